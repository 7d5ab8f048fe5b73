"""The command `train-classifier`: the reference classifier that judges colorized images."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from ...errors import CommandError
from ...startup import start_tensorflow
from .errors import OK

_RUN = Path("runs") / "classifier"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "--run", metavar="FOLDER", type=Path, default=_RUN, help=f"run folder (default: {_RUN})"
    )
    parser.add_argument("--epochs", metavar="N", type=int, help="passes over the training images")
    parser.add_argument("--seed", metavar="N", type=int, help="of weights, order, augmentation")
    parser.add_argument(
        "--gray", metavar="SHARE", type=float, help="of the images shown without colors: 0 to 1"
    )
    parser.add_argument("--limit", metavar="N", type=int, help="only the first N images")
    parser.add_argument(
        "-o", "--output", metavar="DEST", type=Path, help="also make the folder to ship"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace DEST if it exists")


def run(options: argparse.Namespace) -> int:
    """Trains the classifier on CIFAR-10, or goes on where it stopped, and says how good it is."""
    if options.output is not None and options.output.exists() and not options.overwrite:
        raise CommandError(f"{options.output} exists. Choose another DEST or add --overwrite.")
    start_tensorflow()
    from ...classifier import ClassifierConfig, export_classifier, train_classifier
    from ...data import load_dataset

    names = ("epochs", "seed", "gray")
    given = {name: getattr(options, name) for name in names}
    changes = {name: value for name, value in given.items() if value is not None}
    config = dataclasses.replace(ClassifierConfig(), **changes)
    train, test = (
        load_dataset("cifar10", split, drop_gray=False, limit=options.limit)
        for split in ("train", "test")
    )
    print(f"Training on {train.count:,} images of cifar10 in {options.run}.", flush=True)
    metrics = train_classifier(config, options.run, train, test)
    print(
        f"Test accuracy {metrics['test_accuracy']:.2%} of {metrics['test_count']:,} images, "
        f"{metrics['parameters']:,} parameters, {metrics['seconds'] / 60:.1f} minutes.",
        flush=True,
    )
    if options.output is not None:
        export_classifier(options.run, options.output, overwrite=options.overwrite)
        print(f"Exported to {options.output}.", flush=True)
    return OK
