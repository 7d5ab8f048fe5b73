"""Bootstrap intervals over images (Efron 1979), vectorized and seeded.

What is resampled is either a sum over images divided by another sum (a mean is divided by a sum
of ones) or a distance between two sets of images. One seed draws the same images for every
score, so that two predictors are compared on the same resamples.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = [
    "bootstrap_ratios",
    "bootstrap_sums",
    "percentile_interval",
    "ratios_with_intervals",
    "resample_weights",
    "symmetric_interval",
]

RESAMPLES = 1_000
_CHUNK = 2**22  # weights at a time: 16 MB
_Z = 1.96


def resample_weights(count: int, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[np.ndarray]:
    """Yields how often each resample contains each image, one chunk of resamples at a time.

    Args:
        count: number of images.
        resamples: number of rows over all chunks.
        seed: of the draws.

    Yields:
        float32 (rows, count); each row sums to `count`.
    """
    rng = np.random.default_rng(seed)
    rows = max(1, _CHUNK // count)
    for start in range(0, resamples, rows):
        drawn = rng.integers(count, size=(min(rows, resamples - start), count))
        weights = np.empty(drawn.shape, np.float32)
        for row, images in zip(weights, drawn, strict=True):
            row[:] = np.bincount(images, minlength=count)
        yield weights


def bootstrap_ratios(
    numerators: np.ndarray,
    denominators: np.ndarray,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> np.ndarray:
    """Returns sums over resampled images divided by other sums.

    Args:
        numerators, denominators: float64 (count, scores).
        resamples, seed: as in `resample_weights`.

    Returns:
        float64 (resamples, scores).
    """
    estimate = numerators.sum(axis=0) / denominators.sum(axis=0)
    # The residuals around the estimate are small, so float32 sums lose nothing.
    rest = (numerators - estimate * denominators).astype(np.float32)
    below = denominators.astype(np.float32)
    with np.errstate(invalid="ignore"):  # all denominators of a resample may be zero
        chunks = [
            (weights @ rest).astype(np.float64) / (weights @ below)
            for weights in resample_weights(len(numerators), resamples, seed)
        ]
    return estimate + np.concatenate(chunks)


def ratios_with_intervals(
    numerators: np.ndarray, denominators: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Returns sums over images divided by other sums, with their bootstrap intervals.

    Args:
        numerators, denominators: float64 (count, scores).
        seed: of the resamples.

    Returns:
        the ratios, float64 (scores,), nan where a denominator sums to zero; and their 95 %
        intervals, float64 (2, scores), nan for a single image and for a ratio that is not finite.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = numerators.sum(axis=0) / denominators.sum(axis=0)
    ends = np.full((2, len(ratios)), np.nan)
    known = np.isfinite(ratios)
    if len(numerators) > 1 and known.any():
        resampled = bootstrap_ratios(numerators[:, known], denominators[:, known], seed=seed)
        ends[:, known] = percentile_interval(resampled)
    return ratios, ends


def bootstrap_sums(
    matrices: list[np.ndarray], resamples: int = RESAMPLES, seed: int = 0
) -> Iterator[list[np.ndarray]]:
    """Yields the sums of resampled rows of each matrix, one chunk of resamples at a time.

    Args:
        matrices: each (count, bins), of any number type, such as one histogram per image.
        resamples, seed: as in `resample_weights`.

    Yields:
        for each matrix float32 (rows, bins).
    """
    count = len(matrices[0])
    block = 4_096  # images whose rows are float32 at a time
    for weights in resample_weights(count, resamples, seed):
        yield [
            sum(
                weights[:, start : start + block] @ matrix[start : start + block].astype(np.float32)
                for start in range(0, count, block)
            )
            for matrix in matrices
        ]


def percentile_interval(resampled: np.ndarray) -> np.ndarray:
    """Returns the 95 % percentile interval of (resamples, ...) as (2, ...)."""
    return np.percentile(resampled, [2.5, 97.5], axis=0)


def symmetric_interval(estimate: float, resampled: np.ndarray) -> tuple[float, float]:
    """Returns the estimate plus and minus 1.96 standard deviations of its resamples.

    A distance between samples grows when images repeat, so its resamples lie above it: their
    spread can be used, their location cannot. The lower end is at least zero.
    """
    half = _Z * float(np.std(resampled, ddof=1))
    return max(0.0, estimate - half), estimate + half
