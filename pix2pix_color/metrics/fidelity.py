"""The similarity of two RGB images, in their values and in their structure."""

from __future__ import annotations

import tensorflow as tf

from ._checks import rgb_pair

__all__ = ["mae_rgb", "psnr", "ssim"]

_SSIM_WINDOW = 7
_K1, _K2 = 0.01, 0.03  # Wang et al. 2004, and skimage's defaults


def mae_rgb(real_rgb: tf.Tensor, fake_rgb: tf.Tensor) -> tf.Tensor:
    """Mean absolute error over all pixels and all three channels.

    Args:
        real_rgb, fake_rgb: float32 RGB in [0, 1], (batch, height, width, 3).

    Returns:
        float32 (batch,) in [0, 1], where 1/255 is one 8-bit level.

    Raises:
        ValueError: dtype or shape is wrong, or, outside a graph, values are outside [0, 1].
    """
    real, fake = rgb_pair(real_rgb, fake_rgb)
    return tf.reduce_mean(tf.abs(real - fake), axis=[1, 2, 3])


def psnr(real_rgb: tf.Tensor, fake_rgb: tf.Tensor) -> tf.Tensor:
    """True peak signal-to-noise ratio over all three channels (peak 1).

    Args:
        real_rgb, fake_rgb: float32 RGB in [0, 1], (batch, height, width, 3).

    Returns:
        float64 (batch,) in dB, infinite for equal images; the same as
        `skimage.metrics.peak_signal_noise_ratio` with `data_range=1`.

    Raises:
        ValueError: dtype or shape is wrong, or, outside a graph, values are outside [0, 1].
    """
    real, fake = rgb_pair(real_rgb, fake_rgb)
    difference = tf.cast(real, tf.float64) - tf.cast(fake, tf.float64)
    return decibels(tf.reduce_mean(tf.square(difference), axis=[1, 2, 3]))


def decibels(mean_squared_error: tf.Tensor) -> tf.Tensor:
    """Returns a float64 mean squared error, relative to a peak of 1, in dB."""
    ten = tf.constant(10.0, tf.float64)
    return -ten * tf.math.log(mean_squared_error) / tf.math.log(ten)


def ssim(real_rgb: tf.Tensor, fake_rgb: tf.Tensor) -> tf.Tensor:
    """True structural similarity (Wang et al. 2004), the mean over the three RGB channels.

    Args:
        real_rgb, fake_rgb: float32 RGB in [0, 1], (batch, height, width, 3), at least 7x7.

    Returns:
        float64 (batch,) in [-1, 1], 1 for equal images; the same as
        `skimage.metrics.structural_similarity` with `channel_axis=-1, data_range=1`: a uniform
        7x7 window and sample covariance.

    Raises:
        ValueError: dtype or shape is wrong, images are smaller than the window, or, outside a
            graph, values are outside [0, 1].
    """
    real, fake = rgb_pair(real_rgb, fake_rgb)
    return structural_similarity(
        tf.cast(real, tf.float64), tf.cast(fake, tf.float64), data_range=1.0
    )


def structural_similarity(real: tf.Tensor, fake: tf.Tensor, data_range: float) -> tf.Tensor:
    """Returns the SSIM of float64 images (batch, height, width, channels)."""
    if any(side is not None and side < _SSIM_WINDOW for side in real.shape[1:3]):
        raise ValueError(f"SSIM needs images of at least 7x7 pixels, not {real.shape[1:3]}.")

    def window_mean(values: tf.Tensor) -> tf.Tensor:
        # Sums of shifted slices: pooling in float64 takes ten times as long on a CPU.
        rows = tf.shape(values)[1] - _SSIM_WINDOW + 1
        columns = tf.shape(values)[2] - _SSIM_WINDOW + 1
        values = tf.add_n([values[:, i : i + rows] for i in range(_SSIM_WINDOW)])
        values = tf.add_n([values[:, :, i : i + columns] for i in range(_SSIM_WINDOW)])
        return values / _SSIM_WINDOW**2

    count = _SSIM_WINDOW**2
    unbiased = count / (count - 1)
    mean_real, mean_fake = window_mean(real), window_mean(fake)
    variance_real = unbiased * (window_mean(real * real) - mean_real**2)
    variance_fake = unbiased * (window_mean(fake * fake) - mean_fake**2)
    covariance = unbiased * (window_mean(real * fake) - mean_real * mean_fake)
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    similarity = ((2 * mean_real * mean_fake + c1) * (2 * covariance + c2)) / (
        (mean_real**2 + mean_fake**2 + c1) * (variance_real + variance_fake + c2)
    )
    return tf.reduce_mean(similarity, axis=[1, 2, 3])
