"""The command `info`: describes the installation, a model or a run."""

from __future__ import annotations

import argparse
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from ... import __version__
from ...errors import Pix2PixColorError, one_line
from ...startup import start_tensorflow
from .console import FAILED, say
from .train import run_config
from .values import MODELS

if TYPE_CHECKING:
    import types

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `pix2pix-color info`."""
    parser.add_argument("model", metavar="MODEL", nargs="?", help=MODELS)


def run(options: argparse.Namespace) -> int:
    """Describes what is named, or the installation and its models.

    Returns:
        The exit code: 1 if a shipped model cannot be used.
    """
    start_tensorflow()
    if options.model is None:
        return _describe_installation()
    folder = Path(options.model)
    if (folder / "config.json").is_file() and not (folder / "SHA256SUMS").is_file():
        _describe_run(folder)
    else:
        _describe_model(options.model)
    return 0


def _describe_installation() -> int:
    import keras
    import tensorflow as tf

    from ...colorizer import Colorizer, shipped_models

    say(f"pix2pix_color {__version__} in {Path(__file__).parents[2]}")
    versions = f"TensorFlow {tf.__version__}, Keras {keras.__version__}"
    say(f"Python {platform.python_version()}, {versions}")
    say(f"Devices: {_devices(tf)}")
    names = shipped_models()
    say("Shipped models:" if names else "This installation comes without models.")
    exit_code = 0
    for name in names:
        try:
            count = Colorizer.load(name).generator.count_params()
            say(f"  {name}: {count:,} parameters, checksums match")
        except Pix2PixColorError as error:
            exit_code = FAILED
            say(f"  {name}: {one_line(error)}")
    return exit_code


def _devices(tf: types.ModuleType) -> str:
    names = []
    for device in tf.config.list_physical_devices():
        details = tf.config.experimental.get_device_details(device)
        model = f" ({details['device_name']})" if "device_name" in details else ""
        names.append(device.name.removeprefix("/physical_device:") + model)
    return ", ".join(names)


def _describe_model(name: str) -> None:
    from ...colorizer import Colorizer

    colorizer = Colorizer.load(name)
    say(f"Model {name} in {colorizer.folder}")
    say(f"Generator: {colorizer.generator.count_params():,} parameters")
    if colorizer.config is not None:
        _describe_history(Path(colorizer.folder))
        say(colorizer.config.to_json().rstrip())


def _describe_run(folder: Path) -> None:
    from ...networks import build_discriminator, build_generator

    config = run_config(folder)
    size = config.data.image_size
    say(f"Run {folder}")
    _describe_history(folder)
    say(f"Generator: {build_generator(config.generator, size).count_params():,} parameters")
    discriminator = build_discriminator(config.discriminator, size)
    say(f"Discriminator: {discriminator.count_params():,} parameters")
    say(config.to_json().rstrip())


def _describe_history(folder: Path) -> None:
    """Prints the last row of the run's history, which shows how far the run has come."""
    path = folder / "history.csv"
    if path.is_file():
        names, *rows = path.read_text(encoding="utf-8").splitlines()
        for row in rows[-1:]:
            pairs = zip(names.split(","), row.split(","), strict=False)
            say("Last logged: " + ", ".join(f"{name} {value}" for name, value in pairs))
