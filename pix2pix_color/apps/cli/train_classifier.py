"""The command `train-classifier`: trains the classifier used for evaluation."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from ...errors import CommandError
from ...startup import start_tensorflow
from .console import say

__all__ = ["add_arguments", "run"]

_RUN = Path("runs") / "classifier"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `pix2pix-color train-classifier`."""
    parser.add_argument(
        "--run", metavar="FOLDER", type=Path, default=_RUN, help=f"run folder (default: {_RUN})"
    )
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
        "-o", "--output", metavar="DEST", type=Path, help="also export the classifier to a folder"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace DEST if it exists")


def run(options: argparse.Namespace) -> None:
    """Trains the classifier on CIFAR-10, or resumes its training, and prints its accuracy."""
    if options.output is not None and options.output.exists() and not options.overwrite:
        raise CommandError(f"{options.output} exists. Choose another DEST or add --overwrite.")
    start_tensorflow()
    from ...classifier import ClassifierConfig, export_classifier, train_classifier
    from ...data import load_dataset

    given = {name: getattr(options, name) for name in ("epochs", "seed", "gray")}
    changes = {name: value for name, value in given.items() if value is not None}
    config = dataclasses.replace(ClassifierConfig(), **changes)
    train, test = (
        load_dataset("cifar10", split, drop_gray=False, limit=options.limit)
        for split in ("train", "test")
    )
    say(f"Training on {train.count:,} images of cifar10 in {options.run}.")
    metrics = train_classifier(config, options.run, train, test)
    say(
        f"Test accuracy {metrics['test_accuracy']:.2%} on {metrics['test_count']:,} images; "
        f"{metrics['parameters']:,} parameters; {metrics['seconds'] / 60:.1f} minutes."
    )
    if options.output is not None:
        export_classifier(options.run, options.output, overwrite=options.overwrite)
        say(f"Exported to {options.output}.")
