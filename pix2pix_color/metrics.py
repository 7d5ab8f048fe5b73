"""Scores, as plain functions over batches: the true ones, and the report's own.

Every score of the report's protocol has `report_` in its name. It cannot see whether the
colours are right, and is kept so that the report's numbers can be reproduced: do not use it
to compare models.
"""

from __future__ import annotations

import tensorflow as tf

__all__ = [
    "discriminator_accuracy",
    "psnr",
    "report_psnr",
    "report_ssim",
    "ssim",
]


def discriminator_accuracy(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """Mean of the share of real patches with p >= 0.5 and of fake ones with p < 0.5.

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


_SSIM_WINDOW = 7
_K1, _K2 = 0.01, 0.03  # Wang et al. 2004, and skimage's defaults


def _pair(real: tf.Tensor, fake: tf.Tensor, dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
    real, fake = tf.convert_to_tensor(real), tf.convert_to_tensor(fake)
    for name, images in (("real", real), ("fake", fake)):
        if images.dtype != dtype:
            raise ValueError(f"{name} must be {dtype.name}, not {images.dtype.name}.")
        if images.shape.rank != 4 or images.shape[-1] != 3:
            raise ValueError(f"{name} must be (batch, height, width, 3), not {images.shape}.")
    if not real.shape.is_compatible_with(fake.shape):
        raise ValueError(f"real {real.shape} and fake {fake.shape} differ in shape.")
    return real, fake


def psnr(real_rgb: tf.Tensor, fake_rgb: tf.Tensor) -> tf.Tensor:
    """True peak signal-to-noise ratio over all three channels (peak 1).

    Args:
        real_rgb, fake_rgb: float32 RGB in [0, 1], (batch, height, width, 3).

    Returns:
        float64 (batch,) in dB, infinite for equal images; `skimage.metrics`
        `peak_signal_noise_ratio(data_range=1)`.

    Raises:
        ValueError: another dtype or shape.
    """
    real, fake = _pair(real_rgb, fake_rgb, tf.float32)
    difference = tf.cast(real, tf.float64) - tf.cast(fake, tf.float64)
    return _decibels(tf.reduce_mean(tf.square(difference), axis=[1, 2, 3]))


def _decibels(mean_squared_error: tf.Tensor) -> tf.Tensor:
    ten = tf.constant(10.0, tf.float64)
    return -ten * tf.math.log(mean_squared_error) / tf.math.log(ten)


def ssim(real_rgb: tf.Tensor, fake_rgb: tf.Tensor) -> tf.Tensor:
    """True structural similarity in RGB, the mean of the three channels' (Wang et al. 2004).

    Args:
        real_rgb, fake_rgb: float32 RGB in [0, 1], (batch, height, width, 3), at least 7x7.

    Returns:
        float64 (batch,) in [-1, 1]; `skimage.metrics.structural_similarity` with
        `channel_axis=-1, data_range=1`: a uniform 7x7 window and sample covariance.

    Raises:
        ValueError: another dtype or shape, or images smaller than the window.
    """
    real, fake = _pair(real_rgb, fake_rgb, tf.float32)
    return _ssim(tf.cast(real, tf.float64), tf.cast(fake, tf.float64), data_range=1.0)


def _ssim(real: tf.Tensor, fake: tf.Tensor, data_range: float) -> tf.Tensor:
    if any(side is not None and side < _SSIM_WINDOW for side in real.shape[1:3]):
        raise ValueError(f"SSIM needs images of at least 7x7 pixels, not {real.shape[1:3]}.")

    def window_mean(values: tf.Tensor) -> tf.Tensor:
        return tf.nn.avg_pool2d(values, _SSIM_WINDOW, strides=1, padding="VALID")

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


def report_psnr(real_rgb: tf.Tensor, fake_rgb: tf.Tensor) -> tf.Tensor:
    """The report's PSNR: the uint8 difference is squared *in uint8*, which wraps modulo 256.

    Bit-faithful to the scores of the report's Figure 3 (rows 2 to 4). A wrong colour rarely
    costs more than a right one: an image without any colour scores about 31 dB.

    Args:
        real_rgb, fake_rgb: uint8 RGB, (batch, height, width, 3).

    Returns:
        float64 (batch,) in dB, peak 255.

    Raises:
        ValueError: another dtype or shape.
    """
    real, fake = _pair(real_rgb, fake_rgb, tf.uint8)
    difference = tf.cast(real, tf.int32) - tf.cast(fake, tf.int32)
    wrapped = tf.math.floormod(tf.square(difference), 256)  # the square of a wrap, wrapped
    error = tf.reduce_mean(tf.cast(wrapped, tf.float64), axis=[1, 2, 3])
    return _decibels(error / 255.0**2)


def report_ssim(real_rgb: tf.Tensor, fake_rgb: tf.Tensor) -> tf.Tensor:
    """The report's SSIM: of the two images turned *gray*, where a colourization is its input.

    Gray is OpenCV's fixed-point conversion, which gives the scores of the report's Figure 3.

    Args:
        real_rgb, fake_rgb: uint8 RGB, (batch, height, width, 3), at least 7x7.

    Returns:
        float64 (batch,) in [-1, 1].

    Raises:
        ValueError: another dtype or shape, or images smaller than the window.
    """
    real, fake = _pair(real_rgb, fake_rgb, tf.uint8)

    def gray(rgb: tf.Tensor) -> tf.Tensor:
        weighted = tf.cast(rgb, tf.int32) * tf.constant([4899, 9617, 1868])
        levels = (tf.reduce_sum(weighted, axis=-1, keepdims=True) + 8192) // 16384
        return tf.cast(levels, tf.float64)

    return _ssim(gray(real), gray(fake), data_range=255.0)
