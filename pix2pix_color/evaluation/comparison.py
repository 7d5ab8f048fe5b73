"""The paired difference of two predictors that were scored on the same images."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from .protocol import SCORES, predictor_title
from .statistics import ratios_with_intervals
from .tables import NOTHING, json_value, markdown, value_text
from .totals import Interval, PerImage, score_parts

__all__ = ["Difference", "ScoreDifference", "difference"]


@dataclasses.dataclass(frozen=True)
class ScoreDifference:
    """How far apart two predictors are in one score.

    Attributes:
        mean: first minus second.
        interval: 95 % bootstrap percentile interval of `mean` over images, paired: both
            predictors are resampled together. nan where it is unknown.
        share_better: the share of images on which the first is better; `None` for a score
            without a direction.
    """

    mean: float
    interval: Interval
    share_better: float | None


@dataclasses.dataclass(frozen=True)
class Difference:
    """The paired differences of two predictors, score by score.

    Attributes:
        first, second: their titles.
        count: number of images.
        scores: score name to its difference. Distances between sets have none.
    """

    first: str
    second: str
    count: int
    scores: dict[str, ScoreDifference]

    def table(self) -> str:
        """Returns a Markdown table with one row per score."""
        rows = []
        for name, found in self.scores.items():
            score, share = SCORES[name], found.share_better
            value = value_text(found.mean, score.digits, found.interval)
            rows.append([score.heading, value, NOTHING if share is None else f"{share:.1%}"])
        head = [f"{self.first} - {self.second}, {self.count:,} images"]
        return markdown([*head, "difference", f"images where {self.first} is better"], rows)

    def summary(self) -> dict[str, Any]:
        """Returns the differences ready for JSON; what is unknown is `None`."""
        return {
            "first": self.first,
            "second": self.second,
            "count": self.count,
            "scores": {
                name: {
                    "difference": json_value(found.mean),
                    "interval": json_value(found.interval),
                    "share_better": found.share_better,
                }
                for name, found in self.scores.items()
            },
        }


def difference(per_image: PerImage, first: str, second: str) -> Difference:
    """Returns the paired differences of two predictors on the same images.

    Args:
        per_image: predictor to per-image scores, float64 (count,).
        first, second: the two predictors.
    """
    pairs = {
        name: (one, other)
        for name in SCORES
        if (one := score_parts(per_image, first, name)) is not None
        and (other := score_parts(per_image, second, name)) is not None
    }
    found = {}
    if pairs:
        # Both have the same denominator: ones, or a score of the real images.
        with np.errstate(invalid="ignore"):
            above = np.stack([one[0] - other[0] for one, other in pairs.values()], axis=-1)
        below = np.stack([one[1] for one, _ in pairs.values()], axis=-1)
        means, ends = ratios_with_intervals(above, below)
        for name, mean, low, high in zip(pairs, means, *ends, strict=True):
            share = _share_better(per_image, first, second, name)
            found[name] = ScoreDifference(float(mean), (float(low), float(high)), share)
    count = len(next(iter(per_image[first].values())))
    return Difference(predictor_title(first), predictor_title(second), count, found)


def _share_better(per_image: PerImage, first: str, second: str, name: str) -> float | None:
    score = SCORES[name]
    if score.better not in ("higher", "lower"):
        return None
    one, other = per_image[first][score.column], per_image[second][score.column]
    better = one > other if score.better == "higher" else one < other
    # Values that differ only by rounding are equal.
    return float(np.mean(better & ~np.isclose(one, other, rtol=2e-6, atol=0.0)))
