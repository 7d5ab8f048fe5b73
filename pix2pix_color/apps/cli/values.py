"""Option values as `argparse` reads them, and help that several commands share."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable

__all__ = ["DATASETS", "MODELS", "add_settings", "between", "hint", "positive"]

DATASETS = (
    "cifar10, photographs (included in scikit-image, no download), tfds:NAME (TensorFlow "
    "Datasets), a folder of images, or a weighted mixture such as cifar10=4,photographs=1; to "
    "train also TFRecords of JPEG files: a folder, a file, or a pattern"
)
MODELS = "name of a shipped model, or folder of an exported model or of a run"


def between(low: float, high: float) -> Callable[[str], float]:
    """Returns a reader of numbers from `low` to `high`; of whole numbers if `low` is an `int`."""
    kind = type(low)

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:  # NaN is in no range
            whole = "whole " if kind is int else ""
            raise argparse.ArgumentTypeError(
                f"{text[:40]!r} is not a {whole}number from {low:,} to {high:,}"
            )
        return value

    return read


positive = between(1, 10**12)
"""Reads a positive whole number, which may be written as 50_000."""


def hint(text: str) -> tuple[int, int, str]:
    """Reads X,Y=#rrggbb."""
    found = re.fullmatch(r"(\d{1,9}),(\d{1,9})=(#[0-9a-fA-F]{6})", text)
    if not found:
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} is not a place and a color, such as 120,80=#1f4fa0"
        )
    x, y, color = found.groups()
    return int(x), int(y), color


def add_settings(parser: argparse._ActionsContainer) -> None:
    """Adds the settings of a `Colorizer`."""
    parser.add_argument(
        "--render-size",
        metavar="N",
        type=between(1, 1 << 16),
        help="shorter side, in pixels, of the image that the network sees; a multiple of its "
        "training size (default: the model's own)",
    )
    parser.add_argument(
        "--strength",
        metavar="X",
        type=between(0.0, 4.0),
        default=1.0,
        help="color strength: 0 keeps the image gray, 1 is what the model predicts (default), "
        "up to 4",
    )
    parser.add_argument(
        "--vividness",
        metavar="X",
        type=between(0.0, 1.0),
        help="for a model with this setting: from 0, the most faithful colors, to 1, the most "
        "vivid ones (default: the model's own)",
    )
