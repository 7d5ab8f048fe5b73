"""Distributions of colors and of features: histograms, class rebalancing, FCD's distance."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from scipy.ndimage import gaussian_filter

from ..color import CHROMA_BIN, CHROMA_LIMIT
from ._checks import image_batch

__all__ = [
    "CHROMA_BIN",
    "chroma_bins",
    "chroma_histogram",
    "class_rebalancing",
    "frechet_distance",
    "pixel_weights",
]

_SIDE = 2 * CHROMA_LIMIT // CHROMA_BIN
_BINS = _SIDE**2
_SMOOTHING = 5.0 / CHROMA_BIN  # sigma of Zhang et al. 2016, in bins


def chroma_bins(lab: tf.Tensor) -> tf.Tensor:
    """The ab bin of each pixel, as `chroma_histogram` counts them.

    Args:
        lab: float32 Lab, (batch, height, width, 3).

    Returns:
        int32 (batch, height, width); undefined for NaN.
    """
    places = tf.floor((lab[..., 1:] + CHROMA_LIMIT) / CHROMA_BIN)
    places = tf.where(tf.math.is_nan(places), 0.0, places)
    places = tf.cast(tf.clip_by_value(places, 0.0, _SIDE - 1.0), tf.int32)
    return _SIDE * places[..., 0] + places[..., 1]


def chroma_histogram(lab: tf.Tensor) -> tf.Tensor:
    """The number of pixels of each image in each bin of the ab plane.

    Args:
        lab: float32 Lab, (batch, height, width, 3).

    Returns:
        float32 (batch, 484). Bin 22 i + j holds a from 10 i - 110 and b from 10 j - 110, each
        up to but excluding the next ten. Values outside [-110, 110] count in the outermost bins.
        An image with NaN has NaN in all bins.

    Raises:
        ValueError: dtype or shape is wrong.
    """
    lab = image_batch(lab, "lab", tf.float32)
    batch = tf.shape(lab)[0]
    numbers = chroma_bins(lab) + _BINS * tf.range(batch)[:, None, None]
    counts = tf.math.unsorted_segment_sum(tf.ones(tf.shape(lab)[:3]), numbers, _BINS * batch)
    missing = tf.reduce_any(tf.math.is_nan(lab[..., 1:]), axis=[1, 2, 3])
    counts = tf.reshape(counts, [batch, _BINS])
    return tf.where(missing[:, None], np.float32("nan"), counts)


def class_rebalancing(histogram: np.ndarray, uniform: float = 0.0) -> np.ndarray:
    """The weight of a pixel in each ab bin that makes rare colors count as much as gray.

    Zhang, Isola and Efros 2016 (Colorful image colorization, equation 4): the weight is the
    inverse of the bin's share of pixels, after the shares have been smoothed over the ab plane
    with a Gaussian of sigma 5 (half a bin) and mixed with equal shares of all bins that occur. A
    bin far from all that occur would get an unbounded weight; it gets that of the rarest one.

    Args:
        histogram: (484,) counts of a whole training set, as from `chroma_histogram`.
        uniform: lambda, the proportion of the equal shares, from 0 to 1 (Zhang et al. train with
            0.5); 1 gives all pixels the same weight.

    Returns:
        float64 (484,), above 0, scaled so that the mean weight of the counted pixels is 1.
        (Zhang et al. scale by the smoothed shares, which does not change a weighted mean.)

    Raises:
        ValueError: the shape is wrong, a count is negative or not finite, there is no pixel, or
            lambda is out of range.
    """
    counts = np.asarray(histogram, np.float64)
    if counts.shape != (_BINS,):
        raise ValueError(f"histogram must be ({_BINS},), not {counts.shape}.")
    if not np.isfinite(counts).all() or counts.min() < 0 or counts.sum() == 0:
        raise ValueError("histogram must hold counts, at least 0 and not all 0.")
    if not 0 <= uniform <= 1:
        raise ValueError(f"uniform must be in [0, 1], not {uniform}.")
    shares = counts / counts.sum()
    plane = shares.reshape(_SIDE, _SIDE)
    smoothed = gaussian_filter(plane, _SMOOTHING, mode="constant", truncate=8.0).reshape(-1)
    if uniform:
        seen = counts > 0
        smoothed = (1 - uniform) * smoothed / smoothed.sum() + uniform / seen.sum()
    weights = 1.0 / np.maximum(smoothed, smoothed[counts > 0].min())
    return weights / np.sum(shares * weights)


def pixel_weights(real_lab: tf.Tensor, bin_weights: tf.Tensor) -> tf.Tensor:
    """The weight of each pixel: that of the ab bin of its true color.

    Args:
        real_lab: float32 Lab, (batch, height, width, 3).
        bin_weights: (484,), such as those of `class_rebalancing`.

    Returns:
        float32 (batch, height, width); NaN where a or b is NaN.

    Raises:
        ValueError: dtype or shape is wrong.
    """
    lab = image_batch(real_lab, "real", tf.float32)
    bin_weights = tf.cast(bin_weights, tf.float32)
    if bin_weights.shape != (_BINS,):
        raise ValueError(f"bin_weights must be ({_BINS},), not {bin_weights.shape}.")
    missing = tf.reduce_any(tf.math.is_nan(lab[..., 1:]), axis=-1)
    return tf.where(missing, np.float32("nan"), tf.gather(bin_weights, chroma_bins(lab)))


def frechet_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """Squared Fréchet distance between the normal distributions of two sets of features.

    Heusel et al. 2017: |m1 - m2|^2 + trace(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2), with means m and
    sample covariances C. For any factors with C = R^T R, the trace of the last term is the sum of
    the singular values of R1 R2^T. This is also exact for singular covariances, such as those of
    fewer images than features.

    Args:
        real, fake: (count, dimensions), at least two rows each.

    Returns:
        At least 0, in squared units of the features; 0 (up to rounding) for equal statistics.

    Raises:
        ValueError: shapes are wrong, or values are not finite.
    """
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    if real.ndim != 2 or real.shape[1:] != fake.shape[1:] or min(len(real), len(fake)) < 2:
        raise ValueError(
            "Features must be (count, dimensions) with at least two rows, not "
            f"{real.shape} and {fake.shape}."
        )
    if not (np.isfinite(real).all() and np.isfinite(fake).all()):
        raise ValueError("Features must be finite.")
    root1, root2 = (
        np.linalg.qr(features - features.mean(axis=0), mode="r") / np.sqrt(len(features) - 1)
        for features in (real, fake)
    )
    overlap = np.linalg.norm(root1 @ root2.T, "nuc")
    traces = np.sum(root1**2) + np.sum(root2**2)
    gap = np.sum((real.mean(axis=0) - fake.mean(axis=0)) ** 2)
    return max(0.0, float(gap + traces - 2.0 * overlap))
