"""Colors as a distribution over bins: the layer, the loss, the generator, its training."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from conftest import tiny_config

from pix2pix_color import color, losses, metrics
from pix2pix_color.config import Config
from pix2pix_color.data import load_dataset
from pix2pix_color.errors import ConfigError
from pix2pix_color.export import export_saved_model
from pix2pix_color.networks import build_generator, color_generator
from pix2pix_color.networks.layers import AnnealedMean
from pix2pix_color.training import Trainer

OPTIONS = (
    "data.dataset=photographs",
    "data.color_space=distribution",
    "training.distribution_weight=1",
    "training.l1_weight=0",
    "training.adversarial_weight=0",
)


@pytest.fixture(scope="module")
def generator():
    return build_generator(tiny_config().generator, 8, color_space="distribution", seed=0)


def lab(*shape: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform((0, -120, -120), (100, 120, 120), (*shape, 3)).astype(np.float32)


class TestBinsAndMean:
    def test_the_bins_are_those_of_the_histogram(self):
        values = lab(3, 8, 8)
        counts = [
            np.bincount(b.numpy().ravel(), minlength=484) for b in metrics.chroma_bins(values)
        ]
        np.testing.assert_array_equal(metrics.chroma_histogram(values), counts)

    def test_a_certain_bin_is_read_as_its_middle(self):
        values = lab(1, 8, 8)
        logits = 100.0 * tf.one_hot(metrics.chroma_bins(values), 484)
        chroma = AnnealedMean()(logits).numpy() * color.CHROMA_SCALE
        inside = np.abs(values[..., 1:]).max(-1) < color.CHROMA_LIMIT
        assert np.abs(chroma - values[..., 1:])[inside].max() <= color.CHROMA_BIN / 2 + 1e-3

    def test_of_two_bins_the_likelier_counts_more_than_its_share(self):
        logits = np.full((1, 1, 1, 484), -50, np.float32)
        gray, red = 22 * 11 + 11, 22 * 16 + 11  # a of 5 and of 55, b of 5
        logits[..., gray], logits[..., red] = np.log(0.4), np.log(0.6)
        sharp = 0.6 ** (1 / 0.38) / (0.6 ** (1 / 0.38) + 0.4 ** (1 / 0.38))
        assert 0.6 < sharp < 1
        chroma = 128 * AnnealedMean()(logits)[0, 0, 0]
        np.testing.assert_allclose(chroma, [5 + 50 * sharp, 5], atol=0.01)


def test_the_loss_is_the_surprise_of_each_pixel_by_its_weight():
    bins = np.full((2, 3, 3), 7, np.int32)
    alike = np.zeros((2, 3, 3, 484), np.float32)
    np.testing.assert_allclose(losses.distribution_loss(bins, alike), np.log(484), rtol=1e-6)
    rng = np.random.default_rng(1)
    bins = rng.integers(0, 484, (2, 3, 3)).astype(np.int32)
    logits = rng.normal(size=(2, 3, 3, 484)).astype(np.float32)
    weights = rng.uniform(0, 2, (2, 3, 3)).astype(np.float32)
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    surprise = -np.log(np.take_along_axis(shares, bins[..., None], -1)[..., 0])
    found = losses.distribution_loss(bins, logits, weights)
    np.testing.assert_allclose(found, (surprise * weights).mean((1, 2)), rtol=1e-5)


class TestGenerator:
    def test_gives_chroma_and_starts_nearly_gray(self, generator):
        lightness = lab(2, 8, 8)[..., :1]
        chroma = generator(lightness)
        assert chroma.shape == (2, 8, 8, 2)
        again, logits = color_generator(generator)(lightness)
        assert logits.shape == (2, 8, 8, 484)
        np.testing.assert_array_equal(again, chroma)
        np.testing.assert_allclose(chroma, AnnealedMean()(logits), atol=1e-6)

    def test_survives_export(self, generator, tmp_path):
        lightness = lab(2, 8, 8)[..., :1]
        for variable in generator.weights:
            if len(variable.shape) == 4:
                variable.assign(variable.numpy().astype(np.float16))  # as half precision keeps it
        path = export_saved_model(generator, tmp_path / "saved")
        outside = tf.saved_model.load(str(path)).signatures["chroma"]
        np.testing.assert_allclose(
            outside(lightness=tf.constant(lightness))["chroma"], generator(lightness), atol=1e-6
        )


@pytest.mark.parametrize("rebalance", [0, 0.5])
def test_training_lowers_the_surprise(rebalance, tmp_path):
    config = tiny_config(*OPTIONS, f"training.rebalance={rebalance}", "training.steps=30",
                         "training.generator_learning_rate=0.01")  # fmt: skip
    trainer = Trainer(config, tmp_path / "run")
    images = load_dataset("photographs", "train", image_size=8, limit=64)
    trainer.fit(images, verbose=0)
    history = np.genfromtxt(tmp_path / "run" / "history.csv", delimiter=",", names=True)
    loss = history["generator_loss"]
    assert loss[0] == pytest.approx(np.log(484), rel=0.2)
    assert loss[-1] < 0.8 * loss[0]
    assert Trainer.resume(tmp_path / "run").current_step == 30


def test_the_weight_needs_the_distribution():
    with pytest.raises(ConfigError, match="needs data.color_space=distribution"):
        Config.report().override("training.distribution_weight=1")
