"""Inception FID: its arithmetic with a small network, and what is said without the weights."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import random_images
from scipy.linalg import sqrtm

from pix2pix_color.errors import EvaluationError
from pix2pix_color.evaluation import inception_fid


def quarters(images: tf.Tensor) -> tf.Tensor:
    """Twelve features: the mean color of each quarter of an image."""
    pooled = tf.nn.avg_pool2d(tf.cast(images, tf.float32) / 255.0, 4, 4, "VALID")
    return tf.reshape(pooled, [-1, 12])


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    return random_images(100), random_images(90, seed=1) // 2 + 20


def test_the_distance_is_that_of_the_formula_with_scipy(pair):
    found = inception_fid(*pair, network=quarters, batch_size=7, progress=False)
    (m1, c1), (m2, c2) = (
        (x.mean(axis=0), np.cov(x, rowvar=False)) for x in (quarters(p).numpy() for p in pair)
    )
    expected = np.sum((m1 - m2) ** 2) + np.trace(c1 + c2 - 2 * sqrtm(c1 @ c2).real)
    assert found == pytest.approx(expected, rel=1e-4)


def test_data_sets_will_do_and_equal_images_are_at_no_distance(pair):
    real, fake = pair
    options = {"network": quarters, "progress": False}
    datasets = (tf.data.Dataset.from_tensor_slices(images) for images in pair)
    assert inception_fid(*datasets, **options) == pytest.approx(
        inception_fid(real, fake, **options)
    )
    assert inception_fid(real, real, **options) == pytest.approx(0, abs=1e-6)


def test_one_image_is_too_few(pair):
    with pytest.raises(EvaluationError, match="at least two colorized images"):
        inception_fid(pair[0], pair[1][:1], network=quarters, progress=False)


def test_without_a_network_one_line_says_where_the_weights_go(pair, monkeypatch, tmp_path):
    from keras.src.utils import file_utils

    def offline(*_: object, **__: object):
        raise Exception("URL fetch failure on https://storage.example/x.h5: None -- no route")

    monkeypatch.setattr(file_utils, "get_file", offline)
    with pytest.raises(EvaluationError) as error:
        inception_fid(*pair, progress=False)
    text = str(error.value)
    assert "\n" not in text
    for part in ("no route", "~/.keras/models", "_notop.h5", "fcd needs no download"):
        assert part in text


def test_the_real_network_gives_2048_features_of_images_of_any_size(monkeypatch):
    from pix2pix_color.evaluation import inception

    real = keras.applications.InceptionV3
    monkeypatch.setattr(
        keras.applications, "InceptionV3", lambda **options: real(**{**options, "weights": None})
    )
    features = inception.load_inception()(tf.constant(random_images(2)))
    assert features.shape == (2, 2048)
    assert np.isfinite(features.numpy()).all()
