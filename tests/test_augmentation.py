"""What the discriminator sees of a batch: shifted, with a blank square."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from pix2pix_color.training.augmentation import augment, draw_places


def by_hand(images, places):
    size = images.shape[1]
    result = np.zeros_like(images)
    for image, place, target in zip(images, places, result, strict=True):
        shift, side = size // 8, size // 2
        down, right = np.floor(place[:2] * (2 * shift + 1)).astype(int) - shift
        top, left = np.floor(place[2:] * (size + side - 1)).astype(int) - side + 1
        for row in range(size):
            for column in range(size):
                hidden = top <= row < top + side and left <= column < left + side
                source = row - down, column - right
                if not hidden and min(source) >= 0 and max(source) < size:
                    target[row, column] = image[source]
    return result


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(30, 16, 16, 3)).astype(np.float32)


def test_is_a_shift_and_a_square_at_the_places_drawn(images):
    places = draw_places(30, 3, 5)
    expected = by_hand(images, places.numpy())
    np.testing.assert_array_equal(augment(tf.constant(images), places), expected)
    blank = (expected == 0).all(axis=-1).mean(axis=(1, 2))
    assert 0.05 < blank.min() < 0.2 and 0.3 < blank.max() < 0.5


def test_the_ends_of_the_range(images):
    first, last = tf.zeros([30, 4]), tf.fill([30, 4], 1 - 1e-6)
    for places in (first, last):
        expected = by_hand(images, places.numpy())
        np.testing.assert_array_equal(augment(tf.constant(images), places), expected)
        assert (expected != 0).mean() > 0.7  # of a square at the corner, a pixel is left


def test_the_gradient_goes_back_to_the_pixels_seen(images):
    x, places = tf.constant(images), draw_places(30, 0, 1)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(2.0 * augment(x, places))
    seen = tape.gradient(total, x).numpy()
    assert set(np.unique(seen)) == {0.0, 2.0}
    assert (seen != 0).sum() == (by_hand(np.ones_like(images), places.numpy()) != 0).sum()


def test_places_depend_on_seed_and_step_alone():
    first = draw_places(8, 1, 2)
    np.testing.assert_array_equal(first, draw_places(8, 1, tf.constant(2, tf.int64)))
    for other in (draw_places(8, 2, 2), draw_places(8, 1, 3)):
        assert np.abs(first - other).min() > 0
