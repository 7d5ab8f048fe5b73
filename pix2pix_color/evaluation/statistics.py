"""Bootstrap intervals over images (Efron 1979), vectorized and seeded.

Everything resampled here is a sum over images divided by another sum (a mean has ones below),
or a distance between two sets. The same seed draws the same images for every score, so two
predictors are compared on the same resamples.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = [
    "RESAMPLES",
    "bootstrap_ratios",
    "bootstrap_sums",
    "percentile_interval",
    "ratio",
    "resample_weights",
    "symmetric_interval",
]

RESAMPLES = 1_000
_CHUNK = 2**22  # weights at a time: 16 MB
_Z = 1.96


def resample_weights(count: int, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[np.ndarray]:
    """Yields how often each resample holds each image, a chunk of resamples at a time.

    Args:
        count: number of images.
        resamples: rows over all chunks.
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


def ratio(numerators: np.ndarray, denominators: np.ndarray) -> np.ndarray:
    """Returns the sums over images (axis 0) divided; nan where the denominators sum to zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sum(numerators, axis=0) / np.sum(denominators, axis=0)


def bootstrap_ratios(
    numerators: np.ndarray,
    denominators: np.ndarray,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> np.ndarray:
    """Returns sums over resampled images divided by others.

    Args:
        numerators, denominators: float64 (count, scores).
        resamples, seed: as in `resample_weights`.

    Returns:
        float64 (resamples, scores).
    """
    estimate = ratio(numerators, denominators)
    # What is left after the estimate is small, so that float32 sums lose nothing.
    with np.errstate(invalid="ignore"):
        rest = (numerators - estimate * denominators).astype(np.float32)
        below = denominators.astype(np.float32)
        chunks = [
            (weights @ rest).astype(np.float64) / (weights @ below)
            for weights in resample_weights(len(numerators), resamples, seed)
        ]
        return estimate + np.concatenate(chunks)


def bootstrap_sums(
    matrices: list[np.ndarray], resamples: int = RESAMPLES, seed: int = 0
) -> Iterator[list[np.ndarray]]:
    """Yields the sums of resampled rows of each matrix, a chunk of resamples at a time.

    Args:
        matrices: each (count, bins), of any number type; such as one histogram an image.

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
    """Returns the 95 % percentile interval of (resamples, ...): (2, ...)."""
    return np.percentile(resampled, [2.5, 97.5], axis=0)


def symmetric_interval(estimate: float, resampled: np.ndarray) -> tuple[float, float]:
    """Returns estimate -+ 1.96 standard deviations of its resamples, not below zero.

    A distance between samples grows when images repeat, so that its resamples lie above it:
    their spread is of use, their place is not.
    """
    half = _Z * float(np.std(resampled, ddof=1))
    return max(0.0, estimate - half), estimate + half
