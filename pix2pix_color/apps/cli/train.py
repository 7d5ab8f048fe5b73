"""The command `train`: starts a run or resumes one."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from ...config import PRESETS, Config
from ...errors import CommandError, UsageError
from ...model_folder import ModelFolder, absolute_paths
from ...startup import start_tensorflow
from .console import EXIT_CODES, say
from .values import DATASETS

if TYPE_CHECKING:
    from ...data import ImageDataset

__all__ = ["add_arguments", "run"]

_MANY_EPOCHS = 3_000  # the report has 650

# As in `distribute`, which would load TensorFlow; a test compares them.
STRATEGIES = ("auto", "cpu", "gpu", "mirrored", "multi_worker", "tpu")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `pix2pix-color train`."""
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help=f"initial hyperparameters: {', '.join(PRESETS)} (default: report)",
    )
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        dest="changes",
        help="change a hyperparameter; repeatable: --set training.batch_size=128",
    )
    place = parser.add_mutually_exclusive_group()
    place.add_argument(
        "--run", metavar="FOLDER", type=Path, help="folder of the new run (default: runs/PRESET)"
    )
    place.add_argument(
        "--resume", metavar="FOLDER", type=Path, help="resume the run in this folder"
    )
    parser.add_argument("--steps", metavar="N", help="step to stop at; sets training.steps")
    parser.add_argument(
        "--dataset", metavar="DATA", help=f"training images; sets data.dataset: {DATASETS}"
    )
    parser.add_argument(
        "--strategy",
        metavar="NAME",
        default="auto",
        help=f"devices to train on: {', '.join(STRATEGIES)} (default: auto, which reports its "
        "choice)",
    )
    parser.add_argument(
        "--tpu", metavar="ADDRESS", default="local", help="address of the TPU (default: local)"
    )
    lines = [
        f"  {section}.{field} = {value}"
        for section, fields in Config.report().to_dict().items()
        for field, value in fields.items()
    ]
    parser.epilog = "hyperparameters and their values in the preset report:\n"
    parser.epilog += "\n".join(lines) + "\n\n" + EXIT_CODES


def run(options: argparse.Namespace) -> None:
    """Trains to the last step and prints how to score the run."""
    config, folder, changes = _configure(options)
    config = absolute_paths(config)
    start_tensorflow()
    from ...distribute import describe_strategy, is_chief, make_strategy
    from ...training import Trainer

    strategy = make_strategy(options.strategy, tpu=options.tpu)
    say(f"Devices: {describe_strategy(strategy)}.")
    dataset = _load(config)
    if options.resume is not None:
        trainer = Trainer.resume(folder, changes=changes, strategy=strategy)
        say(f"Resuming {folder} at step {trainer.current_step:,}.")
    else:
        trainer = Trainer(config, folder, strategy)
    say(
        f"Networks: generator {trainer.generator.count_params():,} parameters, "
        f"discriminator {trainer.discriminator.count_params():,}, in "
        f"{trainer.config.training.precision}."
    )
    steps = config.training.steps
    if trainer.current_step < steps:
        say(f"Training to step {steps:,} in {folder}. Ctrl-C saves the run and stops.")
        epochs = steps // max(1, dataset.steps_per_epoch(config.training.batch_size))
        if epochs > _MANY_EPOCHS:
            say(
                f"{steps:,} steps of {dataset.count:,} images are {epochs:,} epochs; for so few "
                "images, a lower --steps is usually enough."
            )
        trainer.fit(dataset)
    else:
        say(f"Training has already finished ({steps:,} steps); raise --steps to continue.")
    if is_chief(strategy):
        say(f"Saved {folder}, trained for {trainer.current_step:,} steps on {dataset.name}.")
        data = shlex.quote(dataset.name)  # a folder's name may contain spaces
        say(f"To score it: pix2pix-color evaluate --model {folder} --dataset {data}")


def _configure(options: argparse.Namespace) -> tuple[Config, Path, list[str]]:
    """Returns the run's configuration, its folder, and the changes that the options make."""
    changes = list(options.changes)
    if options.steps is not None:
        changes.append(f"training.steps={options.steps}")
    if options.dataset is not None:
        changes.append(f"data.dataset={options.dataset}")
    if options.resume is not None:
        if options.preset:
            raise UsageError("--preset starts a run and --resume continues one: use only one.")
        config = ModelFolder(options.resume).run_config(*changes)
        return config, options.resume, changes
    preset = options.preset or "report"
    config = Config.preset(preset).override(*changes)
    folder = options.run or Path("runs") / preset
    if (folder / "config.json").exists():
        raise CommandError(
            f"{folder} already contains a run. Resume it (pix2pix-color train --resume {folder}) "
            "or choose another folder with --run."
        )
    return config, folder, changes


def _load(config: Config) -> ImageDataset:
    """Loads the train split as the configuration specifies, and reports how many images it has."""
    from ...data import load_dataset

    say(f"Reading {config.data.dataset} (train)...")
    dataset = load_dataset(
        config.data.dataset,
        "train",
        image_size=config.data.image_size,
        drop_gray=config.data.drop_gray,
    )
    for note in dataset.notes:
        say(note)
    say(
        f"Data: {dataset.name} (train), {dataset.count:,} images; {dataset.gray_count:,} gray "
        "images dropped."
    )
    return dataset
