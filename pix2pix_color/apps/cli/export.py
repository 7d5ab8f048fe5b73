"""The command `export`: a model in the formats that other programs load."""

from __future__ import annotations

import argparse
from pathlib import Path

from ...errors import CommandError
from ...startup import start_tensorflow
from .console import say
from .values import MODELS, between

__all__ = ["add_arguments", "run"]

# As in `export`, which would load TensorFlow; a test compares them.
FORMATS = ("saved_model", "onnx", "lite")
QUANTIZATIONS = ("float32", "float16", "int8")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `pix2pix-color export`."""
    parser.add_argument("folder", metavar="MODEL", help=MODELS)
    parser.add_argument(
        "-o", "--output", metavar="DEST", type=Path, required=True, help="the folder to create"
    )
    parser.add_argument(
        "--format",
        metavar="NAME",
        nargs="+",
        choices=FORMATS,
        default=["saved_model"],
        dest="formats",
        help=f"one or more of {', '.join(FORMATS)} (default: saved_model)",
    )
    parser.add_argument(
        "--quantization",
        metavar="NAME",
        choices=QUANTIZATIONS,
        default="float32",
        help=f"number format of lite: {', '.join(QUANTIZATIONS)} (default: float32)",
    )
    parser.add_argument(
        "--render-size",
        metavar="N",
        type=int,
        help="default render size of the SavedModel (default: the size of the training images)",
    )
    parser.add_argument(
        "--vividness",
        metavar="X",
        type=between(0.0, 1.0),
        default=1.0,
        help="default vividness of the SavedModel, 0 to 1, for a run that started from another "
        "generator (default: 1)",
    )
    parser.add_argument(
        "--discriminator", action="store_true", help="also export the discriminator"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace DEST if it exists")


def run(options: argparse.Namespace) -> None:
    """Exports a model as a folder that colorizes anywhere."""
    if options.output.exists() and not options.overwrite:
        raise CommandError(f"{options.output} exists. Choose another DEST or add --overwrite.")
    start_tensorflow()
    from ...export import export_model
    from ...model_folder import ModelFolder

    step = ModelFolder(options.folder).step
    trained = "" if step is None else f", trained for {step:,} steps"
    say(f"Exporting {options.folder}{trained}...")
    destination = export_model(
        options.folder,
        options.output,
        options.formats,
        quantization=options.quantization,
        render_size=options.render_size,
        vividness=options.vividness,
        discriminator=options.discriminator,
        overwrite=options.overwrite,
    )
    for path in sorted(destination.rglob("*")):
        if path.is_file():
            say(f"  {path.relative_to(destination)} ({path.stat().st_size:,} bytes)")
    say(f"Exported to {destination}.")
