"""What each command does. TensorFlow is imported when one runs."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import __version__
from ...config import Config
from ...errors import CommandError, ConfigError, UsageError
from ...files import replacing
from ...startup import start_tensorflow
from .errors import FAILED, OK, is_ours, one_line

if TYPE_CHECKING:
    from ...colorizer import Colorizer
    from ...data import ImageDataset


def _say(text: str) -> None:
    print(text, flush=True)


def train(options: argparse.Namespace) -> int:
    """Starts a run or goes on with one, and saves its generator."""
    changes = list(options.changes)
    if options.steps is not None:
        changes.append(f"training.steps={options.steps}")
    if options.dataset is not None:
        changes.append(f"data.dataset={options.dataset}")
    preset = options.preset or "report"
    if options.resume is not None:
        if options.preset:
            raise UsageError("--preset starts a run and --resume goes on with one: not both.")
        config = _resumed_config(options.resume, changes)
        folder = options.resume
    else:
        config = Config.preset(preset).override(*changes)
        folder = options.run or Path("runs") / preset
        if (folder / "config.json").exists():
            raise CommandError(
                f"{folder} already holds a run. Go on with it (pix2pix-color train --resume "
                f"{folder}) or choose another folder with --run."
            )
    start_tensorflow()
    from ...distribute import describe_strategy, is_chief, make_strategy
    from ...training import Trainer

    devices = options.device_list.split(",") if options.device_list else None
    strategy = make_strategy(options.strategy, tpu=options.tpu, devices=devices)
    _say(f"Devices: {describe_strategy(strategy)}.")
    dataset = load(config, config.data.dataset, "train")
    if options.resume is not None:
        trainer = Trainer.resume(folder, changes=changes, strategy=strategy)
        _say(f"Going on with {folder} at step {trainer.current_step:,}.")
    else:
        trainer = Trainer(config, folder, strategy)
    _say(
        f"Networks: generator {trainer.generator.count_params():,} parameters, "
        f"discriminator {trainer.discriminator.count_params():,}."
    )
    if trainer.current_step < config.training.steps:
        _say(f"Training to step {config.training.steps:,} in {folder}. Ctrl-C saves and stops.")
        trainer.fit(dataset)
    else:
        _say(f"It has taken its {config.training.steps:,} steps; --steps N goes further.")
    if is_chief(strategy):
        target = folder / "generator.keras"
        with replacing(target) as temporary:
            trainer.inference_generator().save(temporary)
        _say(f"Saved {target}, trained for {trainer.current_step:,} steps on {dataset.name}.")
        data = shlex.quote(dataset.name)  # a folder's name may have spaces
        _say(f"Score it: pix2pix-color evaluate --model {folder} --dataset {data}")
    return OK


def _resumed_config(folder: Path, changes: Sequence[str]) -> Config:
    """Returns a run's configuration, changed in what its checkpoints do not depend on."""
    for change in changes:
        name = change.partition("=")[0].strip()
        if name.startswith(("generator.", "discriminator.")) or name == "data.image_size":
            raise ConfigError(
                f"{name} shapes the networks and cannot change on --resume: start another run."
            )
    return run_config(folder).override(*changes)


def run_config(folder: Path) -> Config:
    """Returns the configuration of a run folder, or says why there is none."""
    path = folder / "config.json"
    if not path.is_file():
        raise CommandError(
            f"{folder} is not a run folder: it has no config.json. Start one with --run {folder}."
        )
    try:
        return Config.from_json(path.read_text(encoding="utf-8"))
    except (ConfigError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be used: {error}") from error


def load(
    config: Config, name: str, split: str, limit: int | None = None, file: Any = None
) -> ImageDataset:
    """Loads a split the way the configuration asks, and says what it holds."""
    from ...data import load_dataset

    print(f"Reading {name} ({split})...", file=file, flush=True)
    dataset = load_dataset(
        name,
        split,
        image_size=config.data.image_size,
        drop_gray=config.data.drop_gray,
        fit=config.data.fit,
        limit=limit,
    )
    print(
        f"Data: {dataset.name} ({split}), {dataset.count:,} images; "
        f"{dataset.gray_count:,} gray ones dropped.",
        file=file,
        flush=True,
    )
    return dataset


def _load_colorizer(model: str) -> Colorizer:
    from ...colorizer import Colorizer

    return Colorizer.load(model)


def info(options: argparse.Namespace) -> int:
    """Describes the installation, a model or a run."""
    start_tensorflow()
    if options.model is None:
        return _info_installation()
    folder = Path(options.model)
    if (folder / "config.json").is_file() and not (folder / "SHA256SUMS").is_file():
        return _info_run(folder)
    colorizer = _load_colorizer(options.model)
    _say(f"Model {options.model} in {colorizer.folder}")
    _say(f"Generator: {colorizer.generator.count_params():,} parameters")
    if colorizer.config is not None:
        _say_history(Path(colorizer.folder))
        _say(colorizer.config.to_json().rstrip())
    return OK


def _info_installation() -> int:
    import platform

    import keras
    import tensorflow as tf

    from ...colorizer import shipped_models

    _say(f"pix2pix_color {__version__} in {Path(__file__).parents[1]}")
    versions = f"TensorFlow {tf.__version__}, Keras {keras.__version__}"
    _say(f"Python {platform.python_version()}, {versions}")
    _say(f"Devices: {_devices(tf)}")
    names = shipped_models()
    _say("Shipped models:" if names else "No model is shipped with this installation.")
    failed = False
    for name in names:
        try:
            count = _load_colorizer(name).generator.count_params()
            _say(f"  {name}: {count:,} parameters, checksums right")
        except Exception as error:
            if not is_ours(error):
                raise
            failed = True
            _say(f"  {name}: {one_line(error)}")
    return FAILED if failed else OK


def _devices(tf: Any) -> str:
    names = []
    for device in tf.config.list_physical_devices():
        details = tf.config.experimental.get_device_details(device)
        model = f" ({details['device_name']})" if "device_name" in details else ""
        names.append(device.name.removeprefix("/physical_device:") + model)
    return ", ".join(names)


def _info_run(folder: Path) -> int:
    from ...networks import build_discriminator, build_generator

    config = run_config(folder)
    generator = build_generator(config.generator, config.data.image_size)
    discriminator = build_discriminator(config.discriminator, config.data.image_size)
    _say(f"Run {folder}")
    _say_history(folder)
    _say(f"Generator: {generator.count_params():,} parameters")
    _say(f"Discriminator: {discriminator.count_params():,} parameters")
    _say(config.to_json().rstrip())
    return OK


def _say_history(folder: Path) -> None:
    """Says how far the run's history goes, with the values of its last row."""
    path = folder / "history.csv"
    if path.is_file():
        names, *rows = path.read_text(encoding="utf-8").splitlines()
        for row in rows[-1:]:
            pairs = zip(names.split(","), row.split(","), strict=False)
            _say("Last logged: " + ", ".join(f"{name} {value}" for name, value in pairs))


def reproduce(options: argparse.Namespace) -> int:
    """Reproduces the report from the root of a checkout."""
    from ...reproduction import reproduce

    start_tensorflow()
    reproduce(options.output)
    return OK
