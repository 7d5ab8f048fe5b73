"""From per-image scores to those of the whole set, with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from .protocol import REAL, SCORES
from .statistics import bootstrap_ratios, percentile_interval, ratio

__all__ = ["UNKNOWN", "Interval", "PerImage", "score_parts", "summarize"]

PerImage = Mapping[str, Mapping[str, np.ndarray]]
Interval = tuple[float, float]
UNKNOWN: Interval = (math.nan, math.nan)
"""The interval of a single image, of which nothing is known."""


def score_parts(
    per_image: PerImage, predictor: str, name: str
) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns what a score sums over images and what it divides by, or `None` if not scored.

    Returns:
        two float64 (count,).
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
    """Returns every score that sums over images, and its bootstrap interval.

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
    if not found:
        return scores, intervals
    above, below = (np.stack(part, axis=-1) for part in zip(*found.values(), strict=True))
    values = ratio(above, below)
    ends = np.full((2, len(found)), np.nan)
    known = np.isfinite(values)  # a mean that is infinite has no interval
    if len(above) > 1 and known.any():
        resampled = bootstrap_ratios(above[:, known], below[:, known], seed=seed)
        ends[:, known] = percentile_interval(resampled)
    for (predictor, name), value, low, high in zip(found, values, *ends, strict=True):
        scores[predictor][name] = float(value)
        intervals[predictor][name] = (float(low), float(high))
    return scores, intervals
