"""The command `train-classifier`: trains the classifier used for evaluation."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from ...startup import start_tensorflow
from .console import say

__all__ = ["add_arguments", "run"]

_OUTPUT = Path("runs") / "classifier"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `pix2pix-color train-classifier`."""
    parser.add_argument("--epochs", metavar="N", type=int, help="passes over the training images")
    parser.add_argument(
        "--seed", metavar="N", type=int, help="random seed of weights, order and augmentation"
    )
    parser.add_argument(
        "--gray",
        metavar="SHARE",
        type=float,
        help="share of the training images shown in gray, from 0 to 1",
    )
    parser.add_argument("--limit", metavar="N", type=int, help="use only the first N images")
    parser.add_argument(
        "-o",
        "--output",
        metavar="DEST",
        type=Path,
        default=_OUTPUT,
        help=f"folder for the classifier (default: {_OUTPUT})",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace DEST if it exists")


def run(options: argparse.Namespace) -> None:
    """Trains the classifier on CIFAR-10 and prints its accuracy."""
    start_tensorflow()
    from ...classifier import ClassifierConfig, train_classifier
    from ...data import load_dataset

    given = {name: getattr(options, name) for name in ("epochs", "seed", "gray")}
    changes = {name: value for name, value in given.items() if value is not None}
    config = dataclasses.replace(ClassifierConfig(), **changes)
    train, test = (
        load_dataset("cifar10", split, drop_gray=False, limit=options.limit)
        for split in ("train", "test")
    )
    say(f"Training on {train.count:,} images of cifar10.")
    metrics = train_classifier(config, options.output, train, test, overwrite=options.overwrite)
    say(
        f"Test accuracy {metrics['test_accuracy']:.2%} on {metrics['test_count']:,} images; "
        f"{metrics['parameters']:,} parameters; {metrics['seconds'] / 60:.1f} minutes. "
        f"Saved to {options.output}."
    )
