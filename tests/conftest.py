"""What the tests share: tiny configurations, images and models, and other Python processes."""

from __future__ import annotations

import functools
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
os.environ.setdefault("MPLBACKEND", "Agg")
if "PYTEST_XDIST_WORKER" in os.environ:  # the workers share the cores
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import numpy as np
import pytest

from pix2pix_color.config import Config

if TYPE_CHECKING:
    import keras

    from pix2pix_color.colorizer import Colorizer
    from pix2pix_color.data import ImageDataset

logging.getLogger("tensorflow").setLevel("ERROR")

TINY = (
    "data.image_size=8",
    "generator.depth=2",
    "generator.filters=4",
    "discriminator.depth=1",
    "discriminator.filters=4",
    "training.batch_size=8",
    "training.steps=8",
    "training.log_every=2",
    "training.precision=float32",
    "training.sample_every=0",
)
"""Changes that make a run of 8x8 images train in a second or two."""


def tiny_config(*changes: str) -> Config:
    return Config.report().override(*TINY, *changes)


def random_images(count: int = 40, size: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def as_dataset(images: np.ndarray, name: str = "synthetic") -> ImageDataset:
    import tensorflow as tf

    from pix2pix_color.data import ImageDataset

    return ImageDataset(name, "train", tf.data.Dataset.from_tensor_slices(images), len(images), 0)


# Made once per test process: a test that changes one of these folders works on a copy ---------


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a finished run of 8x8 images, as `pix2pix-color train` leaves it."""
    from pix2pix_color.training import Trainer

    folder = tmp_path_factory.mktemp("session") / "tiny"
    trainer = Trainer(tiny_config("data.dataset=photographs"), folder)
    trainer.fit(as_dataset(random_images(), "photographs"), verbose=0)
    return folder


@pytest.fixture(scope="session")
def tiny_export(tiny_run: Path) -> Path:
    """Returns the folder that `pix2pix-color export` makes of `tiny_run`."""
    from pix2pix_color.export import export_model

    return export_model(tiny_run, tiny_run.parent / "exported")


@pytest.fixture(scope="session")
def tiny_colorizer(tiny_export: Path) -> Colorizer:
    """Returns the model of `tiny_export`."""
    from pix2pix_color.colorizer import Colorizer

    return Colorizer.load(tiny_export)


@pytest.fixture(scope="session")
def lively() -> keras.Model:
    """Returns a generator of 8x8 images in strong colors, exactly as half precision keeps it."""
    from pix2pix_color.networks import build_generator

    generator = build_generator(tiny_config().generator, 8, seed=0)
    rng = np.random.default_rng(0)
    weights = [w + rng.normal(0, 0.2, w.shape).clip(-0.5, 2) for w in generator.get_weights()]
    generator.set_weights([w.astype(np.float16) if w.ndim == 4 else w for w in weights])
    return generator


@pytest.fixture(scope="session")
def lively_export(lively: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder that exports `lively`, with a name that no URL can hold."""
    from pix2pix_color.export import export_model

    source = write_model(tmp_path_factory.mktemp("lively"), lively, tiny_config())
    return export_model(source, source.parent / "my model")


@pytest.fixture(scope="session")
def colorizer(lively_export: Path) -> Colorizer:
    """Returns the model of `lively_export`."""
    from pix2pix_color.colorizer import Colorizer

    return Colorizer.load(lively_export)


def write_finished_run(folder: Path) -> None:
    """Writes a tiny run folder as `pix2pix-color train` leaves it after 8 steps, untrained."""
    from pix2pix_color.training import Trainer

    trainer = Trainer(tiny_config(), folder)
    trainer.step.assign(8)
    trainer.save()
    (folder / "config.json").write_text(trainer.config.to_json())
    (folder / "history.csv").write_text(
        "step,epoch,generator_loss,adversarial_loss,l1_loss,discriminator_loss,"
        "discriminator_accuracy\n0,0,38.0,0.7,0.37,1.4,0.5\n10,0,8.0,0.7,0.07,1.3,0.5\n"
    )


def write_model(folder: Path, generator: keras.Model, config: Config, **options: object) -> Path:
    """Writes a folder with a SavedModel of a generator and its configuration."""
    from pix2pix_color.export import export_saved_model

    export_saved_model(generator, folder / "saved_model", **options)
    (folder / "config.json").write_text(config.to_json())
    return folder


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    """Returns a small gray PNG."""
    from PIL import Image

    path = tmp_path / "in.png"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


# CIFAR-10 tests say why they are skipped ------------------------------------------------------


@functools.cache
def _why_cifar10_is_absent() -> str | None:
    try:
        import tensorflow_datasets as tfds

        builder = tfds.builder("cifar10")  # reads the description only, downloads nothing
        if builder.is_prepared():
            return None
        return f"CIFAR-10 is not in {builder.data_dir}: set TFDS_DATA_DIR to a folder that has it"
    except Exception as error:  # whatever TFDS raises is a reason to skip, and is shown
        return f"TFDS cannot load CIFAR-10: {error}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("cifar10"):
        reason = _why_cifar10_is_absent()
        if reason:
            pytest.skip(reason)


# Other processes ------------------------------------------------------------------------------


def python_process(script: str, *arguments: object, **environment: str) -> subprocess.Popen:
    """Starts another Python that can import the package and these helpers."""
    tests = Path(__file__).parent
    paths = [str(tests.parent), str(tests), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_python(script: str, *arguments: object, timeout: int = 300, **environment: str):
    """Runs another Python to its end and returns its exit code, output and errors."""
    process = python_process(script, *arguments, **environment)
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
        pytest.fail(f"The script took more than {timeout} s.\n{output}\n{errors[-3000:]}")
    return process.returncode, output, errors
