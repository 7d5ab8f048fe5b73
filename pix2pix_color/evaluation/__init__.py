"""Scores a generator against the real images, always beside baselines that need no model.

    evaluation = evaluate(Colorizer.load("report").generator, load_dataset("cifar10", "test"))
    print(evaluation.table())
    evaluation.write("scores")

Two protocols stand side by side: the true one, and the report's own, whose names begin with
`report_` and which cannot see color (see `metrics`). `evaluation.report.write_report` does the
whole work from a model's name to a folder of tables and figures.
"""

from .images import FIGURE_3, find_image, images_at, sample_images
from .protocol import BASELINES, PROTOCOL, REAL, SCORES
from .results import Evaluation, gap, markdown, value_text
from .scoring import evaluate, with_batch_statistics

__all__ = [
    "BASELINES",
    "FIGURE_3",
    "PROTOCOL",
    "REAL",
    "SCORES",
    "Evaluation",
    "evaluate",
    "find_image",
    "gap",
    "images_at",
    "markdown",
    "sample_images",
    "value_text",
    "with_batch_statistics",
]
