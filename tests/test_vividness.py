"""The vividness dial: from a run that was fine-tuned, through export, to its users."""

from __future__ import annotations

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import write_model

from pix2pix_color import Config
from pix2pix_color.apps.cli import main
from pix2pix_color.colorizer import Colorizer
from pix2pix_color.data import load_dataset
from pix2pix_color.errors import ColorizerError, ExportError
from pix2pix_color.export import export_model
from pix2pix_color.image_files import read_image_file
from pix2pix_color.inference import any_size
from pix2pix_color.model_folder import ModelFolder
from pix2pix_color.networks import build_generator
from pix2pix_color.networks.packing import interpolate_generators
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
POINTS = [0.0, 0.3, 1.0]


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


@pytest.fixture
def lightness():
    return np.random.default_rng(0).uniform(0, 100, (2, 32, 16, 1)).astype(np.float32)


def test_a_run_keeps_what_it_started_from(run, stable):
    kept = ModelFolder(run).initial_generator()
    for one, other in zip(kept.get_weights(), stable.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)  # too small for half precision


@pytest.mark.parametrize("vividness", POINTS)
def test_the_graph_mixes_as_the_library_does(run, shipped, stable, lightness, vividness):
    vivid = ModelFolder(run).generator()
    expected = any_size(interpolate_generators(stable, vivid, vividness))(lightness)
    signature = tf.saved_model.load(str(shipped / "saved_model")).signatures["chroma"]
    found = signature(lightness=lightness, vividness=tf.constant(vividness))["chroma"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.ptp(expected) > 1e-3


def test_the_ends_differ(run, stable, lightness):
    vivid = ModelFolder(run).generator()
    assert np.abs(any_size(vivid)(lightness) - any_size(stable)(lightness)).max() > 1e-3


@pytest.mark.parametrize("vividness", [-0.1, 1.1, float("nan")])
def test_out_of_range_is_refused_everywhere(run, shipped, lightness, tmp_path, vividness):
    signature = tf.saved_model.load(str(shipped / "saved_model")).signatures["chroma"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="vividness must be from 0 to 1"):
        signature(lightness=lightness, vividness=tf.constant(vividness))
    with pytest.raises(ColorizerError, match="vividness must be from 0 to 1"):
        Colorizer.load(shipped).at_vividness(vividness)
    with pytest.raises(ExportError, match="vividness must be from 0 to 1"):
        export_model(run, tmp_path / "other", vividness=vividness)


class TestColorizer:
    @pytest.mark.parametrize("vividness", POINTS)
    def test_equals_the_generator_at_the_same_point(self, shipped, lightness, vividness):
        dialled = Colorizer.load(shipped).at_vividness(vividness)
        assert dialled.vividness == vividness
        # Both sides multiples of the training size: nothing is resized.
        small = lightness[:, :16]
        np.testing.assert_allclose(
            dialled.predict_chroma(small), dialled.generator(small), atol=1e-5
        )

    def test_starts_where_the_export_put_it(self, run, tmp_path):
        folder = export_model(run, tmp_path / "half", vividness=0.5)
        images = np.random.default_rng(1).integers(0, 256, (2, 20, 30, 1), np.uint8)
        loaded = Colorizer.load(folder)
        assert loaded.vividness == 0.5
        np.testing.assert_array_equal(loaded(images), loaded.at_vividness(0.5)(images))
        assert np.any(loaded(images) != loaded.at_vividness(0.0)(images))
        outside = tf.saved_model.load(str(folder / "saved_model")).signatures
        rgb = outside["serving_default"](images=images)["rgb"]
        settings = {"render_size": 16, "strength": 1.0, "vividness": 0.5}
        moved = outside["colorize"](
            images=images, **{name: tf.constant(value) for name, value in settings.items()}
        )["rgb"]
        np.testing.assert_array_equal(rgb, moved)
        assert np.abs(rgb.numpy().astype(int) - loaded(images)).max() <= 1

    def test_another_model_has_none(self, tiny_colorizer):
        with pytest.raises(ColorizerError, match="has no vividness dial"):
            tiny_colorizer.at_vividness(0.5)


def test_an_export_in_place_keeps_its_dial(run, tmp_path, lightness):
    folder = export_model(run, tmp_path / "v")
    before = Colorizer.load(folder).at_vividness(0.3).predict_chroma(lightness)
    export_model(folder, folder, vividness=0.3, overwrite=True)
    again = Colorizer.load(folder)
    assert again.vividness == pytest.approx(0.3)
    np.testing.assert_allclose(again.predict_chroma(lightness), before, atol=1e-6)
    assert "vividness" in (folder / "SERVING.md").read_text()


def test_the_command(shipped, tmp_path, photograph):
    def colorized(*options: str) -> np.ndarray:
        target = tmp_path / f"out{'-'.join(options)}.png"
        command = ["colorize", str(photograph), "-o", str(target), "--model", str(shipped)]
        assert main([*command, *options]) == 0
        return read_image_file(target).pixels

    pixels = read_image_file(photograph).pixels
    loaded = Colorizer.load(shipped)
    np.testing.assert_array_equal(colorized(), loaded(pixels))
    np.testing.assert_array_equal(
        colorized("--vividness", "0.25"), loaded.at_vividness(0.25)(pixels)
    )


def test_the_command_refuses_a_model_without_a_dial(tiny_export, tmp_path, photograph, capsys):
    command = ["colorize", str(photograph), "-o", str(tmp_path / "a.png"), "--vividness", "0.5"]
    assert main([*command, "--model", str(tiny_export)]) != 0
    assert "has no vividness dial" in capsys.readouterr().err
    assert not (tmp_path / "a.png").exists()


def test_the_page(shipped, tmp_path, photograph):
    pytest.importorskip("gradio", reason="the extra [demo] is not installed")
    from pix2pix_color.apps.web.page import build_page

    page = build_page(shipped, tmp_path)
    (colorize,) = [f.fn for f in page.fns.values() if f.api_name == "colorize"]
    _, result, _, _ = colorize(str(photograph), str(shipped), 1.0, 0.25, 0, [])
    expected = Colorizer.load(shipped).at_vividness(0.25)(read_image_file(photograph).pixels)
    np.testing.assert_array_equal(read_image_file(result).pixels, expected)
