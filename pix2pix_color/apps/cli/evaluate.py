"""The command `evaluate`: scores as a table, as JSON, and as a folder of files and figures."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ...startup import start_tensorflow
from .console import say
from .values import DATASETS, MODELS, positive

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `pix2pix-color evaluate`."""
    parser.add_argument(
        "--model", metavar="MODEL", default="report", help=f"{MODELS} (default: report)"
    )
    parser.add_argument(
        "--against", metavar="MODEL", help="a second model, to compare on the same images"
    )
    parser.add_argument(
        "--dataset", metavar="DATA", default="cifar10", help=f"{DATASETS} (default: cifar10)"
    )
    parser.add_argument(
        "--split", metavar="NAME", default="test", help="train or test (default: test)"
    )
    parser.add_argument("--limit", metavar="N", type=positive, help="use only the first N images")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        type=Path,
        help="also write metrics.json, scores.csv (every image), table.md and figures there",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace those files")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(options: argparse.Namespace) -> int:
    """Scores a model beside the baselines."""
    start_tensorflow()
    from ...evaluation.report import as_text, write_report

    # With --json, the standard output holds nothing but the JSON.
    aside = sys.stderr if options.json else sys.stdout
    evaluation = write_report(
        options.model,
        options.output,
        against=options.against,
        dataset=options.dataset,
        split=options.split,
        limit=options.limit,
        overwrite=options.overwrite,
        say=lambda text: say(text, aside),
    )
    say(json.dumps(evaluation.summary(), indent=2) if options.json else as_text(evaluation))
    return 0
