"""Checks of the input that all scores share."""

from __future__ import annotations

import tensorflow as tf

_TOLERANCE = 1e-3  # that rounding may add to RGB: a quarter of an 8-bit level


def image_batch(images: tf.Tensor, name: str, dtype: tf.DType) -> tf.Tensor:
    """Returns images as a tensor. Raises ValueError if dtype or shape is wrong."""
    images = tf.convert_to_tensor(images)
    if images.dtype != dtype:
        raise ValueError(f"{name} must be {dtype.name}, not {images.dtype.name}.")
    if images.shape.rank != 4 or images.shape[-1] != 3:
        raise ValueError(f"{name} must be (batch, height, width, 3), not {images.shape}.")
    return images


def image_pair(
    real: tf.Tensor, fake: tf.Tensor, dtype: tf.DType = tf.float32
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns both as tensors. Raises ValueError if dtype or shape is wrong or they differ."""
    real, fake = image_batch(real, "real", dtype), image_batch(fake, "fake", dtype)
    if not real.shape.is_compatible_with(fake.shape):
        raise ValueError(f"real {real.shape} and fake {fake.shape} differ in shape.")
    return real, fake


def rgb_batch(rgb: tf.Tensor, name: str) -> tf.Tensor:
    """Returns float32 RGB as a tensor.

    Raises:
        ValueError: dtype or shape is wrong, or, outside a graph, values are outside [0, 1].
    """
    rgb = image_batch(rgb, name, tf.float32)
    if tf.executing_eagerly():
        low, high = float(tf.reduce_min(rgb)), float(tf.reduce_max(rgb))
        if low < -_TOLERANCE or high > 1.0 + _TOLERANCE:
            raise ValueError(
                f"{name} must be RGB in [0, 1], not [{low:g}, {high:g}]; divide 8-bit RGB by 255."
            )
    return rgb


def rgb_pair(real: tf.Tensor, fake: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns both as float32 RGB tensors. Raises ValueError as `image_pair` and `rgb_batch` do."""
    real, fake = image_pair(real, fake)
    return rgb_batch(real, "real"), rgb_batch(fake, "fake")
