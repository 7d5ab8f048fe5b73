"""From the scores of single images to those of the whole set, with 95 % intervals over images.

Most intervals come from the bootstrap (Efron 1979), vectorized and seeded. What is resampled is
either a sum over images divided by another sum (a mean is divided by a sum of ones) or a distance
between two sets of images. One seed draws the same images for every score, so that two predictors
are compared on the same resamples.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from scipy.spatial.distance import jensenshannon

from .. import metrics
from .protocol import REAL, SCORES

__all__ = [
    "chroma_distances",
    "diagonal_distances",
    "feature_distances",
    "ratios",
    "score_parts",
    "summarize",
]

PerImage = Mapping[str, Mapping[str, np.ndarray]]  # predictor to score to float64 (count,)
Parts = tuple[np.ndarray, np.ndarray]  # numerators and denominators, float64 (count,)
Interval = tuple[float, float]
Value = tuple[float, Interval]

UNKNOWN: Interval = (math.nan, math.nan)  # of a single image
RESAMPLES = 1_000
PERCENTILES = (2.5, 97.5)
_CHUNK = 2**22  # weights at a time: 16 MB
_BLOCK = 4_096  # images whose histograms are float32 at a time


# Sums over images, divided by other sums ------------------------------------------------------


def score_parts(per_image: PerImage, predictor: str, name: str) -> Parts | None:
    """Returns the numerator and the denominator of a score for each image, if it has them."""
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


def ratios(parts: Mapping[Any, Parts]) -> dict[Any, Value]:
    """Returns sums over images divided by other sums, with their bootstrap intervals.

    A ratio is nan where its denominator sums to zero, an interval for a single image and for a
    ratio that is not finite.
    """
    above, below = (np.stack(part, axis=-1) for part in zip(*parts.values(), strict=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        values = above.sum(axis=0) / below.sum(axis=0)
    ends = np.full((2, len(values)), np.nan)
    known = np.isfinite(values)
    if len(above) > 1 and known.any():
        resampled = bootstrap_ratios(above[:, known], below[:, known])
        ends[:, known] = np.percentile(resampled, PERCENTILES, axis=0)
    found = zip(parts, values.tolist(), *ends.tolist(), strict=True)
    return {key: (value, (low, high)) for key, value, low, high in found}


def summarize(per_image: PerImage) -> dict[str, dict[str, Value]]:
    """Returns predictor to score to (value, (low, high)), without distances between sets."""
    parts = {
        (predictor, name): found
        for predictor in per_image
        for name in SCORES
        if (found := score_parts(per_image, predictor, name)) is not None
    }
    values: dict[str, dict[str, Value]] = {predictor: {} for predictor in per_image}
    for (predictor, name), value in ratios(parts).items():
        values[predictor][name] = value
    return values


def bootstrap_ratios(numerators: np.ndarray, denominators: np.ndarray, seed: int = 0) -> np.ndarray:
    """Returns sums over resampled images divided by other sums, float64 (resamples, scores).

    Args:
        numerators, denominators: float64 (count, scores).
        seed: of the resamples.
    """
    estimate = numerators.sum(axis=0) / denominators.sum(axis=0)
    # The residuals around the estimate are small, so float32 sums lose nothing.
    rest = (numerators - estimate * denominators).astype(np.float32)
    below = denominators.astype(np.float32)
    with np.errstate(invalid="ignore"):  # all denominators of a resample may be zero
        chunks = [
            (weights @ rest).astype(np.float64) / (weights @ below)
            for weights in resample_weights(len(numerators), seed)
        ]
    return estimate + np.concatenate(chunks)


def resample_weights(count: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Yields how often each resample contains each image, one chunk of resamples at a time.

    A chunk is float32 (rows, count); there are `RESAMPLES` rows in all, and each sums to `count`.
    """
    rng = np.random.default_rng(seed)
    rows = max(1, _CHUNK // count)
    for start in range(0, RESAMPLES, rows):
        drawn = rng.integers(count, size=(min(rows, RESAMPLES - start), count))
        weights = np.empty(drawn.shape, np.float32)
        for row, images in zip(weights, drawn, strict=True):
            row[:] = np.bincount(images, minlength=count)
        yield weights


# Distances between sets of images -------------------------------------------------------------


def chroma_distances(histograms: Mapping[str, np.ndarray]) -> dict[str, Value]:
    """Returns the Jensen-Shannon distance of each predictor's colors from the real ones.

    A distance between samples grows when images repeat, so its resamples lie above it: their
    spread can be used, their location cannot.

    Args:
        histograms: predictor (`"real"` among them) to the pixels in each ab bin, (count, bins).
    """
    names = [name for name in histograms if name != REAL]
    matrices = [histograms[name] for name in (REAL, *names)]

    def distances(sums: list[np.ndarray]) -> np.ndarray:
        real, *fakes = (np.asarray(part, np.float64) for part in sums)
        return np.stack([jensenshannon(real, fake, base=2, axis=-1) for fake in fakes])

    values = distances([matrix.sum(axis=0, dtype=np.float64) for matrix in matrices]).tolist()
    count = len(matrices[0])
    blocks = [slice(start, start + _BLOCK) for start in range(0, count, _BLOCK)]
    chunks = (
        distances([sum(weights[:, b] @ m[b].astype(np.float32) for b in blocks) for m in matrices])
        for weights in resample_weights(count)
    )
    return _with_deviations(names, values, chunks, count)


def _with_deviations(
    names: list[str], values: list[float], chunks: Iterable[np.ndarray], count: int
) -> dict[str, Value]:
    """Returns values with intervals from chunks of resampled ones, (predictors, resamples)."""
    if count == 1:
        return {name: (value, UNKNOWN) for name, value in zip(names, values, strict=True)}
    deviations = np.std(np.concatenate([*chunks], axis=1), ddof=1, axis=1).tolist()
    return {
        name: (value, _symmetric_interval(value, deviation))
        for name, value, deviation in zip(names, values, deviations, strict=True)
    }


def _symmetric_interval(value: float, deviation: float) -> Interval:
    half = 1.96 * deviation
    return max(0.0, value - half), value + half


def feature_distances(features: Mapping[str, np.ndarray]) -> dict[str, Value]:
    """Returns the Fréchet distance of each predictor's features from the real ones: FCD.

    Args:
        features: predictor (`"real"` among them) to float32 (count, features).
    """
    found = {}
    for name, values in features.items():
        if name != REAL:
            distance = metrics.frechet_distance(features[REAL], values)
            deviation = frechet_deviation(features[REAL], values)
            found[name] = distance, _symmetric_interval(distance, deviation)
    return found


def diagonal_distances(features: Mapping[str, np.ndarray]) -> dict[str, Value]:
    """Returns the Fréchet distances of the features taken one by one, without correlations.

    It is the sum over features of the squared differences of means and of standard deviations. A
    few hundred images determine these, but not the covariances of a thousand features.

    Args:
        features: predictor (`"real"` among them) to float32 (count, features).
    """
    names, count = [name for name in features if name != REAL], len(features[REAL])
    center = features[REAL].mean(axis=0, dtype=np.float64)  # loses no digits in squares
    powers = {n: np.hstack([v - center, (v - center) ** 2]) for n, v in features.items()}

    def statistics(name: str, weights: np.ndarray) -> np.ndarray:
        means, squares = np.split(weights @ powers[name] / count, 2, axis=1)
        return np.hstack([means, np.sqrt(np.maximum(squares - means**2, 0.0))])

    def distances(weights: np.ndarray) -> np.ndarray:
        real = statistics(REAL, weights)
        return np.stack([np.sum((statistics(n, weights) - real) ** 2, axis=1) for n in names])

    values = distances(np.ones((1, count)))[:, 0].tolist()
    return _with_deviations(names, values, map(distances, resample_weights(count)), count)


def frechet_deviation(real: np.ndarray, fake: np.ndarray) -> float:
    """Returns the standard deviation of a Fréchet distance over draws of images.

    Uses the delta method: the first-order contribution of each image, in both its versions, to
    the distance. The derivative with respect to a covariance is I - T, where T is the optimal
    transport map between the two normal distributions. Bootstrapping would need two matrix roots
    for every resample.

    Args:
        real, fake: (count, features), row by row the same image.
    """
    real_mean, fake_mean = (part.mean(axis=0, dtype=np.float64) for part in (real, fake))
    x, y = real - real_mean, fake - fake_mean
    root, inverse_root = _roots(x.T @ x / (len(x) - 1))
    middle, inverse_middle = _roots(root @ (y.T @ y / (len(y) - 1)) @ root)
    identity, shift = np.eye(len(root)), 2.0 * (real_mean - fake_mean)
    from_real, from_fake = inverse_root @ middle @ inverse_root, root @ inverse_middle @ root
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
