"""From the scores, histograms and features of single images to the scores of the whole set."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from .. import metrics
from .protocol import REAL, SCORES
from .statistics import bootstrap_sums, ratios_with_intervals, symmetric_interval

__all__ = [
    "UNKNOWN",
    "Interval",
    "PerImage",
    "chroma_distances",
    "feature_distances",
    "frechet_deviation",
    "score_parts",
    "summarize",
]

PerImage = Mapping[str, Mapping[str, np.ndarray]]
Interval = tuple[float, float]
Distances = dict[str, tuple[float, Interval]]
UNKNOWN: Interval = (math.nan, math.nan)
"""The interval of a single image."""


def score_parts(
    per_image: PerImage, predictor: str, name: str
) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the terms of a score's numerator and of its denominator, one of each per image.

    Args:
        per_image: predictor to per-image scores, float64 (count,).
        predictor: whose score.
        name: of the score.

    Returns:
        two float64 (count,), or `None` if the predictor has no such score.
    """
    score, real = SCORES[name], per_image.get(REAL, {})
    values = per_image[predictor].get(score.column)
    needed = score.weight or score.relative_to
    if values is None or (needed and (needed not in real or predictor == REAL)):
        return None
    if score.relative_to:
        return values, real[score.relative_to]
    if score.weight:
        return values * real[score.weight], real[score.weight]
    return values, np.ones_like(values)


def summarize(
    per_image: PerImage, seed: int = 0
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, Interval]]]:
    """Returns every score that is a ratio of sums over images, with its bootstrap interval.

    Args:
        per_image: predictor to per-image scores, float64 (count,).
        seed: of the resamples.

    Returns:
        predictor to score name to value, and to (low, high).
    """
    scores: dict[str, dict[str, float]] = {predictor: {} for predictor in per_image}
    intervals: dict[str, dict[str, Interval]] = {predictor: {} for predictor in per_image}
    found = {
        (predictor, name): parts
        for predictor in per_image
        for name in SCORES
        if (parts := score_parts(per_image, predictor, name)) is not None
    }
    if found:
        above, below = (np.stack(part, axis=-1) for part in zip(*found.values(), strict=True))
        values, ends = ratios_with_intervals(above, below, seed)
        for (predictor, name), value, low, high in zip(found, values, *ends, strict=True):
            scores[predictor][name] = float(value)
            intervals[predictor][name] = (float(low), float(high))
    return scores, intervals


def chroma_distances(histograms: Mapping[str, np.ndarray], seed: int = 0) -> Distances:
    """Returns the Jensen-Shannon distance of each predictor's colors from the real ones.

    Args:
        histograms: predictor to the number of pixels in each ab bin, (count, bins); `"real"`
            among them.
        seed: of the resamples.

    Returns:
        each predictor except the real images to (distance, (low, high)).
    """
    names = [name for name in histograms if name != REAL]
    matrices = [histograms[name] for name in (REAL, *names)]
    if not names:
        return {}

    def distances(sums: list[np.ndarray]) -> np.ndarray:
        real, *fakes = (np.asarray(part, np.float64) for part in sums)
        return np.stack([metrics.jensen_shannon_distance(real, fake) for fake in fakes])

    values = distances([matrix.sum(axis=0, dtype=np.float64) for matrix in matrices]).tolist()
    if len(matrices[0]) == 1:
        return {name: (value, UNKNOWN) for name, value in zip(names, values, strict=True)}
    chunks = [distances(sums) for sums in bootstrap_sums(matrices, seed=seed)]
    resampled = np.concatenate(chunks, axis=1)
    return {
        name: (value, symmetric_interval(value, spread))
        for name, value, spread in zip(names, values, resampled, strict=True)
    }


def feature_distances(features: Mapping[str, np.ndarray]) -> Distances:
    """Returns the Fréchet distance of each predictor's features from the real ones: FCD.

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

    Uses the delta method: the first-order contribution of each image, in both its versions, to
    the distance. The derivative with respect to a covariance is I - T, where T is the optimal
    transport map between the two normal distributions. Bootstrapping would need two matrix roots
    for every resample.

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
