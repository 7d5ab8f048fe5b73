"""The command `info`: describes the installation, a model or a run."""

from __future__ import annotations

import argparse
import platform
from pathlib import Path

from ... import __version__
from ...errors import Pix2PixColorError, one_line
from ...startup import start_tensorflow
from .console import FAILED, say
from .values import MODELS

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
    return _describe_installation() if options.model is None else _describe(options.model)


def _describe_installation() -> int:
    import keras
    import tensorflow as tf

    from ...model_folder import ModelFolder, shipped_models

    say(f"pix2pix_color {__version__} in {Path(__file__).parents[2]}")
    versions = f"TensorFlow {tf.__version__}, Keras {keras.__version__}"
    say(f"Python {platform.python_version()}, {versions}")
    devices = []
    for device in tf.config.list_physical_devices():
        details = tf.config.experimental.get_device_details(device)
        model = f" ({details['device_name']})" if "device_name" in details else ""
        devices.append(device.name.removeprefix("/physical_device:") + model)
    say(f"Devices: {', '.join(devices)}")
    names, exit_code = shipped_models(), 0
    say("Shipped models:" if names else "This installation comes without models.")
    for name in names:
        try:
            model = ModelFolder(name)
            model.verify()
            count = model.generator().count_params()
            say(f"  {name}: {count:,} parameters, checksums match")
        except Pix2PixColorError as error:
            exit_code = FAILED
            say(f"  {name}: {one_line(error)}")
    return exit_code


def _describe(name: str) -> int:
    from ...model_folder import ModelFolder
    from ...networks import build_discriminator

    model = ModelFolder(name)
    checked = model.verify()
    where = f"Model {name}" + (f" in {model.path}" if model.path != Path(name) else "")
    say(where + (f", {checked} checksums match" if checked else ""))
    config = model.config
    say("Steps taken: " + ("none saved yet" if model.step is None else f"{model.step:,}"))
    if model.step is not None:
        say(f"Generator: {model.generator().count_params():,} parameters")
    discriminator = build_discriminator(config.discriminator, config.data.image_size)
    say(f"Discriminator: {discriminator.count_params():,} parameters")
    history = model.path / "history.csv"
    if history.is_file():
        names, *rows = history.read_text(encoding="utf-8").splitlines()
        for row in rows[-1:]:
            pairs = zip(names.split(","), row.split(","), strict=False)
            say("Last logged: " + ", ".join(f"{name} {value}" for name, value in pairs))
    say(config.to_json().rstrip())
    return 0
