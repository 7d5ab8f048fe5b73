"""The command `evaluate`: scores as a table, as JSON, and as a folder of files and figures."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ...startup import start_tensorflow
from .console import say
from .values import DATASETS, MODELS, positive

if TYPE_CHECKING:
    from ...evaluation import Evaluation

__all__ = ["add_arguments", "run"]

_SPLITS = ("train", "test")


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
        "--split", metavar="NAME", default="test", help="train, test or both (default: test)"
    )
    parser.add_argument("--limit", metavar="N", type=positive, help="use only the first N images")
    parser.add_argument(
        "--batch-size",
        metavar="N",
        type=positive,
        default=256,
        help="number of images scored at a time (default: 256)",
    )
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
    """Scores a model beside the baselines, on one split or on both."""
    start_tensorflow()
    from ...evaluation import side_by_side
    from ...evaluation.report import as_text, write_report

    # With --json, the standard output holds nothing but the JSON.
    aside = sys.stderr if options.json else sys.stdout

    def show(evaluation: Evaluation) -> None:
        if not options.json:
            say(as_text(evaluation))

    done = write_report(
        options.model,
        options.output,
        against=options.against,
        dataset=options.dataset,
        splits=_SPLITS if options.split == "both" else (options.split,),
        limit=options.limit,
        batch_size=options.batch_size,
        overwrite=options.overwrite,
        say=lambda text: say(text, aside),
        on_split=show,
    )
    if options.json:
        contents = {split: {**e.extra, **e.summary()} for split, e in done.items()}
        say(json.dumps(contents if len(done) > 1 else contents[options.split], indent=2))
    elif len(done) > 1:
        say(f"Train and test side by side:\n\n{side_by_side(done['train'], done['test'])}")
    return 0
