"""Distributions of colors and of features: histograms, class rebalancing, distances."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from ..color import CHROMA_BIN, CHROMA_LIMIT
from ._checks import image_batch

__all__ = [
    "CHROMA_BIN",
    "chroma_bins",
    "chroma_histogram",
    "class_rebalancing",
    "feature_statistics",
    "frechet_distance",
    "jensen_shannon_distance",
    "pixel_weights",
]

_SIDE = 2 * CHROMA_LIMIT // CHROMA_BIN
_BINS = _SIDE**2
_SMOOTHING = 5.0  # sigma of Zhang et al. 2016, in units of CIE Lab


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
    steps = CHROMA_BIN * np.arange(_SIDE)
    kernel = np.exp(-0.5 * ((steps[:, None] - steps) / _SMOOTHING) ** 2)
    smoothed = (kernel @ shares.reshape(_SIDE, _SIDE) @ kernel.T).reshape(-1)
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


def jensen_shannon_distance(p: tf.Tensor, q: tf.Tensor) -> tf.Tensor:
    """Square root of the Jensen-Shannon divergence with base-2 logarithms (Lin 1991).

    Args:
        p, q: histograms or distributions along the last axis, of any number type, at least 0;
            each is divided by its sum, and the leading axes broadcast.

    Returns:
        float64 in [0, 1], without the last axis: 0 for equal distributions, 1 for distributions
        without a common bin, NaN for an empty histogram; the same as
        `scipy.spatial.distance.jensenshannon` with `base=2`.

    Raises:
        ValueError: the last axes differ.
    """
    p, q = (tf.cast(tf.convert_to_tensor(values), tf.float64) for values in (p, q))
    if p.shape[-1:] != q.shape[-1:]:
        raise ValueError(f"p {p.shape} and q {q.shape} differ in their last axis.")
    p, q = (values / tf.reduce_sum(values, axis=-1, keepdims=True) for values in (p, q))
    # log(p / mean) as log1p of a small number keeps precision for nearly equal distributions.
    relative = tf.math.divide_no_nan(p - q, p + q)
    nats = tf.math.xlog1py(p, relative) + tf.math.xlog1py(q, -relative)
    bits = tf.reduce_sum(nats, axis=-1) / (2.0 * np.log(2.0))
    return tf.sqrt(tf.clip_by_value(bits, 0.0, 1.0))


def feature_statistics(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sample covariance of features, for `frechet_distance`.

    Args:
        features: (count, dimensions), at least two rows.

    Returns:
        float64 (dimensions,) and (dimensions, dimensions), divided by count - 1.

    Raises:
        ValueError: the shape is wrong, or there are fewer than two rows.
    """
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(
            f"features must be (count, dimensions) with at least two rows, not {features.shape}."
        )
    mean = features.mean(axis=0)
    centered = features - mean
    return mean, centered.T @ centered / (len(features) - 1)


def frechet_distance(
    mean1: np.ndarray, covariance1: np.ndarray, mean2: np.ndarray, covariance2: np.ndarray
) -> float:
    """Squared Fréchet distance between two normal distributions (Heusel et al. 2017).

    |m1 - m2|^2 + trace(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2). The trace of the last term is the sum
    of the singular values of C1^1/2 C2^1/2. Unlike a root of the product, this is also exact for
    singular covariances, such as those of fewer images than features.

    Args:
        mean1, mean2: (dimensions,).
        covariance1, covariance2: (dimensions, dimensions), symmetric, without negative
            eigenvalues.

    Returns:
        At least 0, in squared units of the features; 0 (up to rounding) for equal distributions.

    Raises:
        ValueError: shapes are wrong, or values are not finite.
    """
    mean1, mean2 = np.asarray(mean1, np.float64), np.asarray(mean2, np.float64)
    roots, traces = [], 0.0
    for mean, covariance in ((mean1, covariance1), (mean2, covariance2)):
        covariance = np.asarray(covariance, np.float64)
        if mean.ndim != 1 or covariance.shape != 2 * mean.shape or mean.shape != mean1.shape:
            raise ValueError(
                "means must be (dimensions,) and covariances (dimensions, dimensions), not "
                f"{mean1.shape}, {mean2.shape} and {covariance.shape}."
            )
        if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
            raise ValueError("means and covariances must be finite.")
        roots.append(_square_root(covariance))
        traces += np.trace(covariance)
    overlap = np.linalg.svd(roots[0] @ roots[1], compute_uv=False).sum()
    return max(0.0, float(np.sum((mean1 - mean2) ** 2) + traces - 2.0 * overlap))


def _square_root(matrix: np.ndarray) -> np.ndarray:
    """Returns the symmetric root of a symmetric matrix without negative eigenvalues."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2.0)
    # Rounding makes zero eigenvalues tiny, but the roots of those would no longer be tiny.
    rounding = len(values) * np.finfo(np.float64).eps * np.abs(values).max(initial=0.0)
    values = np.where(values > rounding, values, 0.0)
    return (vectors * np.sqrt(values)) @ vectors.T
