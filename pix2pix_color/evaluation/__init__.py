"""Scores a generator against the real images, always beside baselines that need no model.

    evaluation = evaluate(Colorizer.load("report").generator, load_dataset("cifar10", "test"))
    print(evaluation.table())
    evaluation.write("scores")

Two protocols stand side by side: the true one, and the report's own, whose names begin with
`report_` and which cannot see color (see `metrics`). `evaluation.report.write_report` does the
whole work from a model's name to a folder of tables and figures.
"""

from .batch_norm import with_batch_statistics
from .comparison import Difference
from .images import FIGURE_3, ReportImage, find_image, images_at, sample_images
from .protocol import BASELINES, PROTOCOL, REAL, SCORES, Score, predictor_title
from .results import Evaluation
from .scoring import evaluate
from .splits import Gap, gaps, side_by_side

__all__ = [
    "BASELINES",
    "FIGURE_3",
    "PROTOCOL",
    "REAL",
    "SCORES",
    "Difference",
    "Evaluation",
    "Gap",
    "ReportImage",
    "Score",
    "evaluate",
    "find_image",
    "gaps",
    "images_at",
    "predictor_title",
    "sample_images",
    "side_by_side",
    "with_batch_statistics",
]
