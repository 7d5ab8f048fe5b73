"""The vividness dial: from a run that was fine-tuned, through export, to its users."""

from __future__ import annotations

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import write_model

from pix2pix_color import Config
from pix2pix_color.apps.cli import main
from pix2pix_color.colorizer import Colorizer
from pix2pix_color.data import load_dataset
from pix2pix_color.errors import ColorizerError
from pix2pix_color.export import export_model
from pix2pix_color.image_files import read_image_file
from pix2pix_color.inference import any_size
from pix2pix_color.model_folder import ModelFolder
from pix2pix_color.networks import build_generator
from pix2pix_color.training import Trainer

CONFIG = Config.vivid().override(
    "data.dataset=photographs",
    "data.image_size=16",
    "generator.guide=",
    "generator.depth=2",
    "generator.filters=4",
    "discriminator.filters=4",
    "discriminator.depth=1",
    "training.batch_size=4",
    "training.steps=3",
    "training.precision=float32",
    "training.sample_every=0",
)


@pytest.fixture(scope="module")
def stable() -> keras.Model:
    generator = build_generator(CONFIG.generator, 16, lightness_scale="unit", seed=5)
    last = generator.get_layer("chroma_conv")  # whose first colors are nearly gray
    last.set_weights([20.0 * weight for weight in last.get_weights()])
    return generator


@pytest.fixture(scope="module")
def run(stable, tmp_path_factory):
    """A run folder, fine-tuned from `stable` for three steps."""
    folder = tmp_path_factory.mktemp("vivid")
    source = write_model(folder / "stable", stable, CONFIG.override("training.initial_generator="))
    trainer = Trainer(CONFIG.override(f"training.initial_generator={source}"), folder / "run")
    trainer.fit(load_dataset("photographs", "train", image_size=16, limit=16), verbose=0)
    shutil.rmtree(source)  # the run has its own copy
    return folder / "run"


@pytest.fixture(scope="module")
def shipped(run, tmp_path_factory):
    return export_model(run, tmp_path_factory.mktemp("shipped") / "vivid")


@pytest.fixture(scope="module")
def colorizer(shipped) -> Colorizer:
    return Colorizer.load(shipped)


@pytest.fixture(scope="module")
def lightness() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 100, (2, 32, 16, 1)).astype(np.float32)


def test_the_graph_mixes_as_the_library_does(run, shipped, stable, colorizer, lightness):
    signature = tf.saved_model.load(str(shipped / "saved_model")).signatures["chroma"]
    results = []
    for vividness in (0.0, 0.3, 1.0):
        mixed = ModelFolder(run).generator(vividness)
        ends = zip(stable.weights, ModelFolder(run).generator().weights, strict=True)
        for weight, (one, other) in zip(mixed.weights, ends, strict=True):
            expected = (1 - vividness) * one.numpy() + vividness * other.numpy()
            np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-6)
        expected = any_size(mixed)(lightness)
        found = signature(lightness=lightness, vividness=tf.constant(vividness))["chroma"]
        np.testing.assert_allclose(found, expected, atol=1e-5)
        dialled = colorizer.at_vividness(vividness)
        assert dialled.vividness == vividness
        np.testing.assert_allclose(dialled.predict_chroma(lightness), expected, atol=1e-5)
        small = lightness[:, :16]
        np.testing.assert_allclose(dialled.generator(small), mixed(small), atol=1e-5)
        results.append(expected)
    assert np.ptp(results[0]) > 1e-3
    assert np.abs(results[2] - results[0]).max() > 1e-3


@pytest.mark.parametrize("vividness", [-0.1, 1.1, float("nan")])
def test_out_of_range_is_refused_everywhere(
    run, shipped, colorizer, lightness, tmp_path, vividness
):
    signature = tf.saved_model.load(str(shipped / "saved_model")).signatures["chroma"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="vividness must be from 0 to 1"):
        signature(lightness=lightness, vividness=tf.constant(vividness))
    with pytest.raises(ColorizerError, match="vividness must be from 0 to 1"):
        colorizer.at_vividness(vividness)
    with pytest.raises(ValueError, match="vividness must be from 0 to 1"):
        ModelFolder(run).generator(vividness)
    with pytest.raises(ColorizerError, match="vividness must be from 0 to 1"):
        export_model(run, tmp_path / "other", vividness=vividness)


def test_a_model_starts_where_its_export_put_the_dial_and_keeps_it(shipped, colorizer, tmp_path):
    folder = shutil.copytree(shipped, tmp_path / "v")
    export_model(folder, folder, vividness=0.5, overwrite=True)  # in place
    images = np.random.default_rng(1).integers(0, 256, (2, 20, 30, 1), np.uint8)
    loaded = Colorizer.load(folder)
    assert loaded.vividness == 0.5
    colors = loaded(images).astype(int)
    assert np.abs(colors - colorizer.at_vividness(0.5)(images)).max() <= 1
    assert np.any(colors != loaded.at_vividness(0.0)(images))
    outside = tf.saved_model.load(str(folder / "saved_model")).signatures
    rgb = outside["serving_default"](images=images)["rgb"]
    settings = {"render_size": 16, "strength": 1.0, "vividness": 0.5}
    settings = {name: tf.constant(value) for name, value in settings.items()}
    np.testing.assert_array_equal(rgb, outside["colorize"](images=images, **settings)["rgb"])
    assert np.abs(rgb.numpy().astype(int) - colors).max() <= 1


def test_the_command(shipped, colorizer, tiny_export, tmp_path, photograph, capsys):
    def colorized(name: str, model: Path, *options: str) -> int:
        target = str(tmp_path / name)
        return main(["colorize", str(photograph), "-o", target, "--model", str(model), *options])

    pixels = read_image_file(photograph).pixels
    assert colorized("default.png", shipped) == 0
    found = read_image_file(tmp_path / "default.png").pixels
    np.testing.assert_array_equal(found, colorizer(pixels))
    assert colorized("quarter.png", shipped, "--vividness", "0.25") == 0
    found = read_image_file(tmp_path / "quarter.png").pixels
    np.testing.assert_array_equal(found, colorizer.at_vividness(0.25)(pixels))
    assert colorized("none.png", tiny_export, "--vividness", "0.5") != 0
    assert "has no vividness dial" in capsys.readouterr().err
    assert not (tmp_path / "none.png").exists()


def test_the_page(shipped, tmp_path, photograph):
    pytest.importorskip("gradio", reason="the extra [demo] is not installed")
    from pix2pix_color.apps.web.page import build_page

    page = build_page(shipped, tmp_path)
    (colorize,) = [f.fn for f in page.fns.values() if f.api_name == "colorize"]
    settings = (str(shipped), 1.0, 0.25, 0, (None, None))
    _, result, *_ = colorize(str(photograph), *settings, [])
    expected = Colorizer.load(shipped).at_vividness(0.25)(read_image_file(photograph).pixels)
    np.testing.assert_array_equal(read_image_file(result).pixels, expected)
