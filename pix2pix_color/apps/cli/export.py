"""The command `export`: a run's generator in the formats that other programs load."""

from __future__ import annotations

import argparse
from pathlib import Path

from ...errors import CommandError
from ...startup import start_tensorflow
from .commands import run_config
from .errors import OK
from .values import number

__all__ = ["add_arguments", "run"]

# As in `export`, which would load TensorFlow; a test compares them.
_FORMATS = ("saved_model", "keras", "onnx", "lite")
_QUANTIZATIONS = ("float32", "float16", "int8")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what follows `pix2pix-color export`."""
    parser.add_argument("folder", metavar="RUN", type=Path, help="the run folder")
    parser.add_argument(
        "-o", "--output", metavar="DEST", type=Path, required=True, help="the folder to make"
    )
    parser.add_argument(
        "--format",
        metavar="NAME",
        nargs="+",
        choices=_FORMATS,
        default=["saved_model", "keras"],
        dest="formats",
        help=f"some of {', '.join(_FORMATS)} (default: saved_model keras)",
    )
    parser.add_argument(
        "--quantization",
        metavar="NAME",
        choices=_QUANTIZATIONS,
        default="float32",
        help=f"of the format lite: {', '.join(_QUANTIZATIONS)} (default: float32)",
    )
    parser.add_argument(
        "--render-size",
        metavar="N",
        type=int,
        help="what the SavedModel colorizes at where its user does not say "
        "(default: the size of the training images)",
    )
    parser.add_argument(
        "--vividness",
        metavar="X",
        type=number,
        default=1.0,
        help="where the SavedModel's dial stands unless its user says, 0 to 1, for a run that "
        "started from another generator (default: 1)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace DEST if it exists")


def run(options: argparse.Namespace) -> int:
    """Turns a run folder into one that colorizes anywhere."""
    run_config(options.folder)
    if options.output.exists() and not options.overwrite:
        raise CommandError(f"{options.output} exists. Choose another DEST or add --overwrite.")
    start_tensorflow()
    from ...export import export_formats

    print(f"Exporting {options.folder}...", flush=True)
    destination = export_formats(
        options.folder,
        options.output,
        options.formats,
        options.quantization,
        render_size=options.render_size,
        vividness=options.vividness,
        overwrite=options.overwrite,
    )
    for path in sorted(destination.rglob("*")):
        if path.is_file():
            print(f"  {path.relative_to(destination)} ({path.stat().st_size:,} bytes)")
    print(f"Exported to {destination}.", flush=True)
    return OK
