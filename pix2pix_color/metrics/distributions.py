"""Colors and features as distributions: histograms, class rebalancing, distances."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from ..color import CHROMA_BIN, CHROMA_LIMIT
from ._checks import image_batch, per_pixel

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
    """The ab bin of each pixel, of those of `chroma_histogram`.

    Args:
        lab: float32 Lab, (batch, height, width, 3).

    Returns:
        int32 (batch, height, width); of NaN any.
    """
    places = tf.floor((lab[..., 1:] + CHROMA_LIMIT) / CHROMA_BIN)
    places = tf.where(tf.math.is_nan(places), 0.0, places)
    places = tf.cast(tf.clip_by_value(places, 0.0, _SIDE - 1.0), tf.int32)
    return _SIDE * places[..., 0] + places[..., 1]


def chroma_histogram(lab: tf.Tensor, weights: tf.Tensor | None = None) -> tf.Tensor:
    """How many pixels of each image fall in each bin of the ab plane.

    Args:
        lab: float32 Lab, (batch, height, width, 3).
        weights: (batch, height, width): what each pixel counts, instead of 1.

    Returns:
        float32 (batch, 484). Bin 22 i + j holds a from 10 i - 110 and b from 10 j - 110, each
        up to but without the next ten; what lies outside [-110, 110] falls in the outermost
        bins. An image with NaN has NaN in all.

    Raises:
        ValueError: another dtype or shape.
    """
    lab = image_batch(lab, "lab", tf.float32)
    ones = tf.ones(tf.shape(lab)[:3])
    weights = ones if weights is None else per_pixel(weights, lab, "weights")
    batch = tf.shape(lab)[0]
    numbers = chroma_bins(lab) + _BINS * tf.range(batch)[:, None, None]
    counts = tf.math.unsorted_segment_sum(weights, numbers, _BINS * batch)
    missing = tf.reduce_any(tf.math.is_nan(lab[..., 1:]), axis=[1, 2, 3])
    counts = tf.reshape(counts, [batch, _BINS])
    return tf.where(missing[:, None], np.float32("nan"), counts)


def class_rebalancing(histogram: np.ndarray, uniform: float = 0.0) -> np.ndarray:
    """What a pixel of each ab bin should count, so that rare colors count as much as gray.

    Zhang, Isola and Efros 2016 (Colorful image colorization, equation 4): the weight is one
    over the share of the bin, after the shares were smoothed over the ab plane with a Gaussian
    whose sigma is 5, half a bin, and mixed with equal shares of all bins seen. A bin that was
    never seen and is not beside one that was would get a boundless weight: it gets that of the
    rarest bin seen.

    Args:
        histogram: (484,) counts of a whole training set, as from `chroma_histogram`.
        uniform: lambda, how much of the equal shares is mixed in, 0 to 1 (Zhang et al. train
            with 0.5); 1 makes all pixels count alike.

    Returns:
        float64 (484,), above 0, scaled so that the mean weight of the counted pixels is 1.
        (Zhang et al. scale by the smoothed shares, which changes no weighted mean.)

    Raises:
        ValueError: another shape, a count that is negative or not finite, no pixel, or a
            lambda out of range.
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
    """The weight of the ab bin that each pixel's true color falls in.

    Args:
        real_lab: float32 Lab, (batch, height, width, 3).
        bin_weights: (484,), such as those of `class_rebalancing`.

    Returns:
        float32 (batch, height, width); NaN where a or b is.

    Raises:
        ValueError: another dtype or shape.
    """
    lab = image_batch(real_lab, "real", tf.float32)
    bin_weights = tf.cast(bin_weights, tf.float32)
    if bin_weights.shape != (_BINS,):
        raise ValueError(f"bin_weights must be ({_BINS},), not {bin_weights.shape}.")
    missing = tf.reduce_any(tf.math.is_nan(lab[..., 1:]), axis=-1)
    return tf.where(missing, np.float32("nan"), tf.gather(bin_weights, chroma_bins(lab)))


def jensen_shannon_distance(p: tf.Tensor, q: tf.Tensor) -> tf.Tensor:
    """Square root of the Jensen-Shannon divergence, with logarithms to base 2 (Lin 1991).

    Args:
        p, q: histograms or distributions in the last axis, of any number type, at least 0;
            each is divided by its sum, and the leading axes broadcast.

    Returns:
        float64, without the last axis, in [0, 1]: 0 for equal distributions, 1 for those that
        have no bin in common; `scipy.spatial.distance.jensenshannon(base=2)`. NaN for a
        histogram that is empty.

    Raises:
        ValueError: the last axes differ.
    """
    p, q = (tf.cast(tf.convert_to_tensor(values), tf.float64) for values in (p, q))
    if p.shape[-1:] != q.shape[-1:]:
        raise ValueError(f"p {p.shape} and q {q.shape} differ in their last axis.")
    p, q = (values / tf.reduce_sum(values, axis=-1, keepdims=True) for values in (p, q))
    # log(p / mean) as log1p of a small number: of nearly equal distributions it loses nothing.
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
        ValueError: another shape, or fewer than two rows.
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

    |m1 - m2|^2 + trace(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2). The last trace is the sum of the
    singular values of C1^1/2 C2^1/2, which unlike a root of the product is exact for singular
    covariances too, as of fewer images than features.

    Args:
        mean1, mean2: (dimensions,).
        covariance1, covariance2: (dimensions, dimensions), symmetric, without negative
            eigenvalues.

    Returns:
        At least 0, in squared units of the features; 0 up to rounding for equal distributions.

    Raises:
        ValueError: other shapes, or values that are not finite.
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
    # What rounding leaves of a zero eigenvalue has a root that is no longer small.
    rounding = len(values) * np.finfo(np.float64).eps * np.abs(values).max(initial=0.0)
    values = np.where(values > rounding, values, 0.0)
    return (vectors * np.sqrt(values)) @ vectors.T
