"""Two predictors on the same images, and one on two splits."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import EvaluationError
from .protocol import REAL, SCORES, predictor_title
from .statistics import bootstrap_ratios, percentile_interval, ratio
from .tables import NOTHING, markdown, value_text
from .totals import UNKNOWN, PerImage, score_parts

if TYPE_CHECKING:
    from .results import Evaluation

__all__ = ["Difference", "Gap", "compare", "difference", "gaps", "side_by_side"]


@dataclasses.dataclass(frozen=True)
class ScoreDifference:
    """How far apart two predictors are in one score.

    Attributes:
        mean: first minus second.
        interval: 95 % bootstrap percentile interval of `mean` over images, paired: both
            predictors are resampled together. nan where nothing is known.
        share_better: the share of images where the first is the better one; `None` for a score
            without a direction.
    """

    mean: float
    interval: tuple[float, float]
    share_better: float | None


@dataclasses.dataclass(frozen=True)
class Difference:
    """The paired differences of two predictors, score by score.

    Attributes:
        first, second: what they are called.
        count: number of images.
        scores: score name to its difference. Distances between sets have none.
    """

    first: str
    second: str
    count: int
    scores: dict[str, ScoreDifference]

    def table(self) -> str:
        """Returns a Markdown table with a row for each score."""
        rows = []
        for name, found in self.scores.items():
            score, share = SCORES[name], found.share_better
            rows.append(
                [
                    score.heading,
                    value_text(found.mean, score.digits, found.interval),
                    NOTHING if share is None else f"{share:.1%}",
                ]
            )
        head = [f"{self.first} - {self.second}, {self.count:,} images"]
        return markdown([*head, "difference", f"images where {self.first} is better"], rows)

    def summary(self) -> dict[str, Any]:
        """Returns the differences ready for JSON; what is not known is `None`."""

        def known(value: float) -> float | None:
            return round(value, 6) if math.isfinite(value) else None

        return {
            "first": self.first,
            "second": self.second,
            "count": self.count,
            "scores": {
                name: {
                    "difference": known(found.mean),
                    "interval": [known(end) for end in found.interval],
                    "share_better": found.share_better,
                }
                for name, found in self.scores.items()
            },
        }


def difference(
    per_image: PerImage, first: str, second: str, titles: tuple[str, str] | None = None
) -> Difference:
    """Returns the paired differences of two predictors on the same images.

    Args:
        per_image: predictor to per-image scores, float64 (count,).
        first, second: the two predictors.
        titles: what they are called; the default is `predictor_title`.
    """
    titles = titles or (predictor_title(first), predictor_title(second))
    pairs = {
        name: (one, other)
        for name in SCORES
        if (one := score_parts(per_image, first, name)) is not None
        and (other := score_parts(per_image, second, name)) is not None
    }
    count = len(next(iter(per_image[first].values())))
    found = {}
    if pairs:
        # Both are divided by the same: ones, or a score of the real images.
        with np.errstate(invalid="ignore"):
            above = np.stack([one[0] - other[0] for one, other in pairs.values()], axis=-1)
        below = np.stack([one[1] for one, _ in pairs.values()], axis=-1)
        means, ends = ratio(above, below), np.full((2, len(pairs)), np.nan)
        known = np.isfinite(means)
        if count > 1 and known.any():
            ends[:, known] = percentile_interval(bootstrap_ratios(above[:, known], below[:, known]))
        for place, name in enumerate(pairs):
            found[name] = ScoreDifference(
                float(means[place]),
                (float(ends[0, place]), float(ends[1, place])),
                _share_better(per_image, first, second, name),
            )
    return Difference(*titles, count, found)


def _share_better(per_image: PerImage, first: str, second: str, name: str) -> float | None:
    score = SCORES[name]
    if score.better not in ("higher", "lower"):
        return None
    one, other = per_image[first][score.column], per_image[second][score.column]
    better = one > other if score.better == "higher" else one < other
    # Equal to the digits of scores.csv is equal, whichever of the two was read from there.
    return float(np.mean(better & ~np.isclose(one, other, rtol=2e-6, atol=0.0)))


def compare(
    first: Evaluation, second: Evaluation, titles: tuple[str, str] = ("first", "second")
) -> Difference:
    """Returns the paired differences between the models of two evaluations.

    Args:
        first, second: each of one model, on the same images.
        titles: what the two models are called.

    Raises:
        EvaluationError: other images, or an evaluation of several models.
    """
    for name in ("dataset", "split", "reference"):
        one, other = getattr(first, name), getattr(second, name)
        if one != other:
            raise EvaluationError(f"Only scores of the same {name} compare, not {one} and {other}.")
    if first.images != second.images:
        raise EvaluationError(
            f"Only scores of the same images compare: these are {first.count:,} and "
            f"{second.count:,} of {first.dataset} ({first.split}), in part others or in another "
            "order."
        )
    for evaluation in (first, second):
        if len(evaluation.models) != 1:
            names = ", ".join(evaluation.models) or "no model"
            raise EvaluationError(f"compare() needs evaluations of one model each, not of {names}.")
    pair = {"1": first.per_image[first.models[0]], "2": second.per_image[second.models[0]]}
    return difference({**pair, REAL: first.per_image[REAL]}, "1", "2", titles)


# Two splits ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Gap:
    """How far a score on the train split is from the one on the test split.

    Attributes:
        train, test: the two.
        gap: train minus test.
        interval: its 95 % interval; the two splits are resampled independently.
    """

    train: float
    test: float
    gap: float
    interval: tuple[float, float]


def gaps(train: Evaluation, test: Evaluation) -> dict[str, dict[str, Gap]]:
    """Returns how much better or worse each predictor does on the images it learned from.

    The baselines have learned nothing: their gap is the difference between the splits.

    Returns:
        predictor to score to gap, for what both evaluations have.

    Raises:
        EvaluationError: evaluations of different data sets or of the same split.
    """
    if train.dataset != test.dataset or train.split == test.split:
        raise EvaluationError(
            f"side by side stand two splits of one data set, not {train.dataset} ({train.split}) "
            f"and {test.dataset} ({test.split})."
        )
    return {
        predictor: {
            name: _gap(train, test, predictor, name)
            for name in train.scores[predictor]
            if name in test.scores[predictor]
        }
        for predictor in train.predictors
        if predictor in test.predictors
    }


def _gap(train: Evaluation, test: Evaluation, predictor: str, name: str) -> Gap:
    values = train.scores[predictor][name], test.scores[predictor][name]
    gap = values[0] - values[1]
    parts = [score_parts(e.per_image, predictor, name) for e in (train, test)]
    if not math.isfinite(gap) or min(train.count, test.count) < 2:
        return Gap(*values, gap, UNKNOWN)
    if None in parts:  # a distance, whose intervals are symmetric: independent errors add up
        half = math.hypot(
            *(e.intervals[predictor][name][1] - e.scores[predictor][name] for e in (train, test))
        )
        return Gap(*values, gap, (gap - half, gap + half))
    resampled = [
        bootstrap_ratios(above[:, None], below[:, None], seed=seed)
        for seed, (above, below) in enumerate(parts)
    ]
    low, high = percentile_interval(resampled[0] - resampled[1])[:, 0]
    return Gap(*values, gap, (float(low), float(high)))


def side_by_side(train: Evaluation, test: Evaluation) -> str:
    """Returns the scores of both splits and their gap as a Markdown table for each predictor.

    Raises:
        EvaluationError: evaluations of different data sets or of the same split.
    """
    lines = []
    for predictor, found in gaps(train, test).items():
        rows = []
        for name, gap in sorted(found.items(), key=lambda item: list(SCORES).index(item[0])):
            score = SCORES[name]
            texts = [
                value_text(e.scores[predictor][name], score.digits, e.intervals[predictor][name])
                for e in (train, test)
            ]
            rows.append([score.heading, *texts, value_text(gap.gap, score.digits, gap.interval)])
        head = [
            predictor_title(predictor),
            *(f"{e.split}, {e.count:,} images" for e in (train, test)),
            f"{train.split} - {test.split}",
        ]
        lines.append(markdown(head, rows))
    return "\n".join(lines)
