"""Distances between the set of predicted and the set of real images, with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from .. import metrics
from .protocol import REAL
from .statistics import bootstrap_sums, symmetric_interval

__all__ = ["chroma_distances", "feature_distances"]

_ALONE = (math.nan, math.nan)

Distances = dict[str, tuple[float, tuple[float, float]]]


def chroma_distances(histograms: Mapping[str, np.ndarray], seed: int = 0) -> Distances:
    """Returns the Jensen-Shannon distance of each predictor's colors from the real ones.

    Args:
        histograms: predictor to pixels in each ab bin, (count, bins); `"real"` among them.
        seed: of the resamples.

    Returns:
        predictor, but the real images, to (distance, (low, high)).
    """
    names = [name for name in histograms if name != REAL]
    matrices = [histograms[REAL], *(histograms[name] for name in names)]
    if not names:
        return {}

    def distances(sums: list[np.ndarray]) -> list[np.ndarray]:
        real, *fakes = (np.asarray(part, np.float64) for part in sums)
        return [np.asarray(metrics.jensen_shannon_distance(real, fake)) for fake in fakes]

    values = distances([matrix.sum(axis=0, dtype=np.float64)[None] for matrix in matrices])
    if len(matrices[0]) == 1:
        return {n: (float(v[0]), _ALONE) for n, v in zip(names, values, strict=True)}
    chunks = [distances(sums) for sums in bootstrap_sums(matrices, seed=seed)]
    resampled = [np.concatenate(parts) for parts in zip(*chunks, strict=True)]
    return {
        name: (float(value[0]), symmetric_interval(float(value[0]), spread))
        for name, value, spread in zip(names, values, resampled, strict=True)
    }


def feature_distances(features: Mapping[str, np.ndarray]) -> Distances:
    """Returns the Fréchet distance of each predictor's features from the real ones: fcd.

    Args:
        features: predictor to float32 (count, features); `"real"` among them.

    Returns:
        as `chroma_distances`, with intervals by `frechet_deviation`.
    """
    real = metrics.feature_statistics(features[REAL])
    found: Distances = {}
    for name, values in features.items():
        if name != REAL:
            distance = float(metrics.frechet_distance(*real, *metrics.feature_statistics(values)))
            half = 1.96 * frechet_deviation(features[REAL], values)
            found[name] = distance, (max(0.0, distance - half), distance + half)
    return found


def frechet_deviation(real: np.ndarray, fake: np.ndarray) -> float:
    """Returns the standard deviation of a Fréchet distance over draws of images.

    By the delta method: what each image, with both its versions, adds to the distance to first
    order. The derivative by a covariance is I - T, with T the optimal transport map between the
    two normal distributions. Resampling would repeat two matrix roots for every resample.

    Args:
        real, fake: (count, features), row by row the same image.
    """
    (real_mean, real_cov), (fake_mean, fake_cov) = map(metrics.feature_statistics, (real, fake))
    root, inverse_root = _roots(real_cov)
    middle, inverse_middle = _roots(root @ fake_cov @ root)
    identity, shift = np.eye(len(real_mean)), 2.0 * (real_mean - fake_mean)
    from_real, from_fake = inverse_root @ middle @ inverse_root, root @ inverse_middle @ root
    x, y = real - real_mean, fake - fake_mean
    parts = (x - y) @ shift
    parts += np.sum(x @ (identity - from_real) * x, axis=1)
    parts += np.sum(y @ (identity - from_fake) * y, axis=1)
    return float(np.std(parts, ddof=1) / np.sqrt(len(parts)))


def _roots(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the root of a symmetric matrix and the root's pseudo-inverse."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2.0)
    kept = values > len(values) * np.finfo(np.float64).eps * values[-1]
    roots, inverse = np.zeros_like(values), np.zeros_like(values)
    roots[kept] = np.sqrt(values[kept])
    inverse[kept] = 1.0 / roots[kept]
    return (vectors * roots) @ vectors.T, (vectors * inverse) @ vectors.T
