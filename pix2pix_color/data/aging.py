"""The lightness that an old photograph would show of a scene."""

from __future__ import annotations

import math

import tensorflow as tf

from .. import color

__all__ = ["age"]

_DRAWS = 13  # random numbers of an image
_BLUE_SENSITIVE = (0.0, 0.3, 0.7)  # of red, green and blue, before panchromatic emulsions


def age(rgb: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Returns the lightness of images as old photographs and their scans would show it.

    Each effect is there in a share of the images and of random strength: an emulsion that sees
    blue more than red, blur, uneven exposure, a vignette, another contrast with faded blacks and
    whites, film grain, JPEG compression.

    Args:
        rgb: float (batch, size, size, 3) in [0, 1].
        seed: int (2,), of everything random.

    Returns:
        L float32 (batch, size, size, 1) in [0, 100].
    """
    count, size = tf.shape(rgb)[0], rgb.shape[1]
    seeds = tf.unstack(tf.random.split(seed, 3))
    draw = iter(tf.unstack(tf.random.stateless_uniform([_DRAWS, count, 1, 1], seeds[0])))

    lightness = color.split(rgb)[0][..., 0]
    # sRGB levels are spaced about as L is: their weighted mean need not become linear light.
    blue_sensitive = 100.0 * tf.tensordot(rgb, tf.constant(_BLUE_SENSITIVE), 1)
    lightness += _strength(next(draw), 0.5, 1.0) * (blue_sensitive - lightness)
    lightness = _blurred(lightness, _strength(next(draw), 0.5, 1.5))

    places = (tf.range(float(size)) + 0.5) / size
    waves = tf.cos(math.pi * places[:, None] * tf.range(1.0, 4.0))
    weights = tf.random.stateless_normal([count, 3, 3], seeds[1])
    field = tf.matmul(tf.matmul(waves, weights), waves, transpose_b=True)
    lightness *= 1.0 + _strength(next(draw), 0.5, 0.06) * field
    row, column = (0.25 + 0.5 * next(draw) for _ in range(2))
    distance = (places[:, None] - row) ** 2 + (places - column) ** 2
    lightness *= 1.0 - _strength(next(draw), 0.3, 0.6) * distance

    black, white = -10.0 + 25.0 * next(draw), 85.0 + 25.0 * next(draw)
    power = tf.exp(0.8 * next(draw) - 0.4)
    faded = tf.clip_by_value(lightness / 100.0, 1e-3, 1.0) ** power
    faded = black + (white - black) * faded
    lightness += tf.where(next(draw) < 0.7, 1.0, 0.0) * (faded - lightness)

    grain = tf.random.stateless_normal([count, size, size], seeds[2])
    grain = _blurred(grain, 1.2 * next(draw))
    grain /= tf.math.reduce_std(grain, axis=[1, 2], keepdims=True)
    lightness += _strength(next(draw), 0.5, 3.0) * grain
    lightness = tf.clip_by_value(lightness, 0.0, 100.0)[..., None]
    return _compressed(lightness, _strength(next(draw), 0.3, 70.0)[:, 0, 0])


def _strength(draw: tf.Tensor, share: float, greatest: float) -> tf.Tensor:
    """Returns 0 or, in a share of the images, a uniform number up to the greatest."""
    return greatest * tf.maximum(1.0 - draw / share, 0.0)


def _blurred(planes: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """Returns planes (batch, size, size), each blurred by its own Gaussian, sigma (batch, 1, 1)."""
    places = tf.range(float(planes.shape[1]))
    squares = (places[:, None] - places) ** 2
    # A matrix product: no operation convolves each image by a kernel of its own.
    kernel = tf.nn.softmax(-squares / (2.0 * sigma**2 + 1e-3))
    return tf.matmul(tf.matmul(kernel, planes), kernel, transpose_b=True)


def _compressed(lightness: tf.Tensor, loss: tf.Tensor) -> tf.Tensor:
    """Returns lightness after JPEG compression of quality 100 - loss; a loss of 0 is none."""

    def compress(pair: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        plane, quality = pair
        # A shape: often no image of a batch is compressed, and none has to be stacked.
        return tf.ensure_shape(tf.image.adjust_jpeg_quality(plane, quality), plane.shape)

    lossy = tf.where(loss > 0)
    levels = color.to_uint8(tf.gather_nd(lightness, lossy) / 100.0)
    quality = 100 - tf.cast(tf.gather_nd(loss, lossy), tf.int32)
    levels = tf.map_fn(compress, (levels, quality), fn_output_signature=tf.uint8)
    return tf.tensor_scatter_nd_update(
        lightness, lossy, tf.cast(levels, tf.float32) * (100.0 / 255.0)
    )
