"""Tables how each score of the shipped models changed when their weights went to half precision.

    python -m tools.release scores report stable vivid
    python benchmarks/half_precision.py a411f1d

Compares each model's `metrics.json` with the one of an earlier revision, in which weights were
stored in float32. Prints, and writes `benchmarks/half_precision.md`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path

from pix2pix_color.evaluation import SCORES, markdown
from pix2pix_color.model_folder import shipped_models

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Compares, prints, and writes the Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("revision", help="with the models in float32")
    revision = parser.parse_args().revision
    names, columns = shipped_models(), []
    for name in names:
        path = f"saved_models/{name}/metrics.json"
        show = ["git", "-C", str(ROOT), "show", f"{revision}:{path}"]
        before = json.loads(subprocess.run(show, capture_output=True, check=True).stdout)
        after = json.loads((ROOT / path).read_text(encoding="utf-8"))
        assert (before["count"], before["split"]) == (after["count"], after["split"])
        columns.append((before["scores"]["model"], after["scores"]["model"]))
    rows = []
    for score in columns[0][0]:
        cells = [
            f"{before[score]:.{SCORES[score].digits + 1}f} {after[score] - before[score]:+.6f}"
            for before, after in columns
        ]
        rows.append([SCORES[score].heading, *cells])
    count = f"{after['dataset']}, {after['split']} split, {after['count']:,} images"
    text = (
        "# Weights in half precision\n\n"
        f"Each score with weights in float32 (revision {revision}), and its change with kernels, "
        f"and those of the evaluation classifier, in float16. {count}; one model each.\n\n"
        + markdown(["score", *names], rows)
    )
    print(text)
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
