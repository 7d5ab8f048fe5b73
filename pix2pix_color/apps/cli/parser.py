"""The options of each command."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from ... import __version__
from ...config import Config, nearest
from . import classifier, colorize, commands, demo, evaluation, experiment, export
from .errors import EXIT_CODES, USAGE
from .values import positive

_STRATEGIES = "auto, cpu, gpu, mirrored, multi_worker, tpu"
_DATASETS = (
    "cifar10, photographs (inside scikit-image, no download), tfds:NAME (of TensorFlow Datasets), "
    "a folder of images, or a mixture with weights: cifar10=4,photographs=1"
)
_MODELS = "a shipped model's name, a folder with a generator.keras, or such a file"


class _Parser(argparse.ArgumentParser):
    """Complains in one line, naming the nearest valid word."""

    def error(self, message: str) -> NoReturn:
        wrong = re.match(r"argument \w+: invalid choice: '(.*?)'", message)
        if wrong:
            message = f"unknown command {wrong[1]!r}: {nearest(wrong[1], _COMMANDS)}"
        message = message.rstrip(".")
        self.exit(USAGE, f"pix2pix-color: error: {message}. See {self.prog} --help.\n")

    def unknown(self, words: list[str]) -> NoReturn:
        """Ends with the option nearest to the first unknown one."""
        first = words[0].partition("=")[0]
        if not first.startswith("-"):
            self.error(f"unexpected argument {first!r}")
        options = [o for action in self._actions for o in action.option_strings]
        close = difflib.get_close_matches(first, options, n=1, cutoff=0.5)
        hint = f" Did you mean {close[0]}?" if close else ""
        long = ", ".join(sorted(o for o in options if o.startswith("--")))
        self.error(f"unknown option {first}.{hint} Valid: {long}")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Returns the options and the command's function; ends the program where they are wrong."""
    parser = _Parser(
        prog="pix2pix-color",
        description="Colorizes gray images with a pix2pix GAN: train one, score it, use it.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pix2pix-color {__version__}")
    subparsers = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for name, (add, run, text) in _COMMANDS.items():
        command = subparsers.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add(command)
        command.set_defaults(function=run)
    options, unknown = parser.parse_known_args(arguments)
    if options.command is None:
        if unknown:
            parser.unknown(unknown)
        parser.error("a command is needed: " + ", ".join(_COMMANDS))
    if unknown:
        subparsers.choices[options.command].unknown(unknown)
    return options


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help=f"where the hyperparameters start: {', '.join(Config.presets())} (default: report)",
    )
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        dest="changes",
        help="change a hyperparameter, any number of times: --set training.batch_size=128",
    )
    place = parser.add_mutually_exclusive_group()
    place.add_argument(
        "--run", metavar="FOLDER", type=Path, help="the run folder (default: runs/PRESET)"
    )
    place.add_argument(
        "--resume", metavar="FOLDER", type=Path, help="go on with the run in this folder"
    )
    parser.add_argument("--steps", metavar="N", help="stop at this step; training.steps")
    parser.add_argument("--dataset", metavar="DATA", help=f"data.dataset: {_DATASETS}")
    parser.add_argument(
        "--strategy",
        metavar="NAME",
        default="auto",
        help=f"devices to train on: {_STRATEGIES} (default: auto picks and says which)",
    )
    parser.add_argument(
        "--device-list", metavar="A,B", help="device names for mirrored, such as GPU:0,GPU:1"
    )
    parser.add_argument(
        "--tpu", metavar="ADDRESS", default="local", help="of the TPU (default: local)"
    )
    lines = [
        f"  {section}.{field} = {value}"
        for section, fields in Config.report().to_dict().items()
        for field, value in fields.items()
    ]
    parser.epilog = "hyperparameters, with the values of the preset report:\n"
    parser.epilog += "\n".join(lines) + "\n\n" + EXIT_CODES


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="MODEL", default="report", help=_MODELS)
    parser.add_argument(
        "--against", metavar="MODEL", help="a second model, to compare on the same images"
    )
    parser.add_argument("--dataset", metavar="DATA", default="cifar10", help=_DATASETS)
    parser.add_argument("--split", metavar="NAME", default="test", help="train, test or both")
    parser.add_argument("--limit", metavar="N", type=positive, help="only the first N images")
    parser.add_argument("--batch-size", metavar="N", type=positive, default=256)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        type=Path,
        help="also write metrics.json, scores.csv (every image), table.md and figures there",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace those files")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--inception",
        action="store_true",
        help="also the Inception FID, with weights that Keras downloads: many minutes",
    )


def _add_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL_OR_RUN", nargs="?", help=_MODELS + ", or a run")


def _add_reproduce(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        type=Path,
        default=Path("reproduced"),
        help="what is made anew (default: reproduced)",
    )


_COMMANDS: dict[str, tuple[Any, Any, str]] = {
    "train": (_add_train, commands.train, "train a generator and its discriminator"),
    "evaluate": (
        _add_evaluate,
        evaluation.run,
        "score a model against the truth, beside what needs no model",
    ),
    "colorize": (colorize.add_arguments, colorize.run, "colorize images of any size"),
    "demo": (demo.add_arguments, demo.run, "colorize photographs on a web page"),
    "export": (
        export.add_arguments,
        export.run,
        "make a run into a folder that colorizes anywhere",
    ),
    "info": (_add_info, commands.info, "show versions, devices, models, or one model or run"),
    "experiment": (
        experiment.add_arguments,
        experiment.run,
        "run the report's studies: architecture, hyperparameters, ablations",
    ),
    "train-classifier": (
        classifier.add_arguments,
        classifier.run,
        "train the reference classifier that judges colorized images",
    ),
    "reproduce": (
        _add_reproduce,
        commands.reproduce,
        "reproduce the report, from a checkout's root",
    ),
}
