"""The commands and their options, and errors that name the nearest valid word."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from ... import __version__
from ...config import nearest
from . import colorize, demo, evaluate, experiment, export, info, train, train_classifier
from .console import EXIT_CODES, USAGE

__all__ = ["COMMANDS", "parse"]

COMMANDS: dict[str, tuple[ModuleType, str]] = {
    "train": (train, "train a generator and its discriminator"),
    "evaluate": (evaluate, "score a model and the baselines against the real colors"),
    "colorize": (colorize, "colorize images of any size, or a video"),
    "demo": (demo, "colorize photographs on a web page"),
    "export": (export, "export a model as a folder that colorizes anywhere"),
    "info": (info, "show versions, devices and models, or describe one model or run"),
    "experiment": (experiment, "run the report's studies: architecture, settings, ablations"),
    "train-classifier": (train_classifier, "train the classifier used for evaluation"),
}
"""Each command's module (`add_arguments` and `run`) and its line in the help."""


class _Parser(argparse.ArgumentParser):
    """Reports errors in one line that names the nearest valid word."""

    def error(self, message: str) -> NoReturn:
        wrong = re.match(r"argument \w+: invalid choice: '(.*?)'", message)
        if wrong:
            message = f"unknown command {wrong[1]!r}: {nearest(wrong[1], COMMANDS)}"
        message = message.rstrip(".")
        self.exit(USAGE, f"pix2pix-color: error: {message}. See {self.prog} --help.\n")

    def unknown(self, words: list[str]) -> NoReturn:
        """Exits with the option nearest to the first unknown word."""
        word = words[0].partition("=")[0]
        options = [o for a in self._actions for o in a.option_strings if o.startswith("--")]
        self.error(f"unexpected {word!r}: {nearest(word, options)}")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Returns the options, with the command's function as `function`.

    Raises:
        SystemExit: after `--help` or `--version`, or with an error message if they are invalid.
    """
    parser = _Parser(
        prog="pix2pix-color",
        description="Colorizes gray images with a pix2pix GAN.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pix2pix-color {__version__}")
    subparsers = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for name, (module, text) in COMMANDS.items():
        command = subparsers.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(function=module.run)
    options, unknown = parser.parse_known_args(arguments)
    if options.command is None:
        if unknown:
            parser.unknown(unknown)
        parser.error("a command is required: " + ", ".join(COMMANDS))
    if unknown:
        subparsers.choices[options.command].unknown(unknown)
    return options
