"""The report's own scores: those of its Figure 3, which cannot see color, and of its Figure 5."""

from __future__ import annotations

import tensorflow as tf

from ._checks import image_pair
from .fidelity import decibels, structural_similarity

__all__ = ["discriminator_accuracy", "report_psnr", "report_ssim"]


def report_psnr(real_rgb: tf.Tensor, fake_rgb: tf.Tensor) -> tf.Tensor:
    """The report's PSNR: the uint8 difference is squared *in uint8*, which wraps modulo 256.

    It reproduces the printed scores of the report's Figure 3 (rows 2 to 4). A wrong color rarely
    costs more than a right one: an image without any color scores about 31 dB.

    Args:
        real_rgb, fake_rgb: uint8 RGB, (batch, height, width, 3).

    Returns:
        float64 (batch,) in dB, peak 255.

    Raises:
        ValueError: dtype or shape is wrong.
    """
    real, fake = image_pair(real_rgb, fake_rgb, tf.uint8)
    difference = tf.cast(real, tf.int32) - tf.cast(fake, tf.int32)
    wrapped = tf.math.floormod(tf.square(difference), 256)  # the square of a wrap, wrapped
    error = tf.reduce_mean(tf.cast(wrapped, tf.float64), axis=[1, 2, 3])
    return decibels(error / 255.0**2)


def report_ssim(real_rgb: tf.Tensor, fake_rgb: tf.Tensor) -> tf.Tensor:
    """The report's SSIM, between the *gray* versions of both images.

    The gray version of a colorized image is just the model's input. The conversion is OpenCV's in
    fixed point, which reproduces the printed scores of the report's Figure 3.

    Args:
        real_rgb, fake_rgb: uint8 RGB, (batch, height, width, 3), at least 7x7.

    Returns:
        float64 (batch,) in [-1, 1].

    Raises:
        ValueError: dtype or shape is wrong, or images are smaller than the window.
    """
    real, fake = image_pair(real_rgb, fake_rgb, tf.uint8)

    def gray(rgb: tf.Tensor) -> tf.Tensor:
        weighted = tf.cast(rgb, tf.int32) * tf.constant([4899, 9617, 1868])
        levels = (tf.reduce_sum(weighted, axis=-1, keepdims=True) + 8192) // 16384
        return tf.cast(levels, tf.float64)

    return structural_similarity(gray(real), gray(fake), data_range=255.0)


def discriminator_accuracy(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """Mean of the fraction of real patches with p >= 0.5 and of fake patches with p < 0.5.

    Args:
        real_logits, fake_logits: float logits, (batch, ...).

    Returns:
        (batch,) in [0, 1]; the report's Figure 5.
    """
    real_logits, fake_logits = map(tf.convert_to_tensor, (real_logits, fake_logits))
    axes = list(range(1, real_logits.shape.rank))
    real = tf.reduce_mean(tf.cast(real_logits >= 0.0, tf.float32), axis=axes)
    fake = tf.reduce_mean(tf.cast(fake_logits < 0.0, tf.float32), axis=axes)
    return (real + fake) / 2.0
