"""Option values as `argparse` reads them, and help that several commands share."""

from __future__ import annotations

import argparse

__all__ = ["DATASETS", "MODELS", "number", "positive"]

DATASETS = (
    "cifar10, photographs (included in scikit-image, no download), tfds:NAME (TensorFlow "
    "Datasets), a folder of images, or a weighted mixture such as cifar10=4,photographs=1"
)
MODELS = "name of a shipped model, or folder of an exported model or of a run"


def positive(text: str) -> int:
    """Returns a positive whole number, which may be written as 50_000."""
    if not text.replace("_", "").isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def number(text: str) -> float:
    """Returns a number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
