"""Batch statistics beside moving ones: the first depend on the batch, the second never do."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from conftest import as_dataset, random_images

from pix2pix_color.errors import EvaluationError
from pix2pix_color.evaluation import evaluate, with_batch_statistics
from pix2pix_color.networks import GeneratorConfig, build_generator

LIGHTNESS = np.random.default_rng(0).uniform(0, 100, (6, 8, 8, 1)).astype("f")


def trained_like(**options) -> keras.Model:
    """A generator whose moving statistics are not the initial ones."""
    config = GeneratorConfig(depth=2, filters=4, **options)
    generator = build_generator(config, 8, seed=0)
    rng = np.random.default_rng(1)
    generator.set_weights([w + rng.uniform(0.1, 0.3, w.shape) for w in generator.get_weights()])
    return generator


def call(model: keras.Model, lightness: np.ndarray, training: bool = False) -> np.ndarray:
    return np.asarray(model(lightness, training=training))


def test_batch_statistics_are_what_training_uses():
    generator = trained_like()
    twin = keras.models.clone_model(generator)
    twin.set_weights(generator.get_weights())
    expected = call(twin, LIGHTNESS, training=True)
    for training in (False, True):
        found = call(with_batch_statistics(generator), LIGHTNESS, training)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(expected - call(generator, LIGHTNESS)).max() > 0.01


def test_only_with_batch_statistics_does_an_image_depend_on_its_batch():
    generator = trained_like()
    moving, batch = generator, with_batch_statistics(generator)
    np.testing.assert_allclose(call(moving, LIGHTNESS)[:2], call(moving, LIGHTNESS[:2]), atol=1e-6)
    assert np.abs(call(batch, LIGHTNESS)[:2] - call(batch, LIGHTNESS[:2])).max() > 0.01


def test_nothing_is_changed_and_dropout_stays_off():
    generator = trained_like(dropout=0.5)
    before = [w.copy() for w in generator.get_weights()]
    copy = with_batch_statistics(generator)
    first, second = call(copy, LIGHTNESS), call(copy, LIGHTNESS)
    np.testing.assert_array_equal(first, second)
    for weights in (generator.get_weights(), copy.get_weights()):
        for old, new in zip(before, weights, strict=True):
            np.testing.assert_array_equal(old, new)


def test_a_bfloat16_generator_can_be_scored_so():
    generator = build_generator(
        GeneratorConfig(depth=2, filters=4), 8, seed=0, precision="mixed_bfloat16"
    )
    found = call(with_batch_statistics(generator), LIGHTNESS)
    np.testing.assert_allclose(found, call(generator, LIGHTNESS, training=True), atol=0.05)


def test_a_generator_without_batch_normalization_is_refused():
    plain = build_generator(GeneratorConfig(depth=2, filters=4, normalization="none"), 8)
    with pytest.raises(EvaluationError, match="no batch normalization"):
        with_batch_statistics(plain)


def test_the_two_are_scored_beside_each_other_at_a_batch_size():
    generator = trained_like()
    models = {"moving statistics": generator, "batch statistics": with_batch_statistics(generator)}
    dataset = as_dataset(random_images(6, 8))
    small, large = (
        evaluate(models, dataset, baselines=False, batch_size=size, progress=False).per_image
        for size in (2, 6)
    )
    moving, batch = ((small[name]["psnr"], large[name]["psnr"]) for name in models)
    np.testing.assert_allclose(*moving, atol=1e-3)
    assert np.abs(batch[0] - batch[1]).max() > 0.05
