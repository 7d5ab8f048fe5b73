"""One model on two splits: its scores side by side, and the gap between them."""

from __future__ import annotations

import dataclasses
import math

from ..errors import EvaluationError
from .protocol import SCORES, predictor_title
from .results import Evaluation
from .statistics import bootstrap_ratios, percentile_interval
from .tables import markdown, value_text
from .totals import UNKNOWN, Interval, score_parts

__all__ = ["Gap", "gaps", "side_by_side"]


@dataclasses.dataclass(frozen=True)
class Gap:
    """The difference between a score on the train split and on the test split.

    Attributes:
        train, test: the two scores.
        gap: train minus test.
        interval: its 95 % interval; the two splits are resampled independently.
    """

    train: float
    test: float
    gap: float
    interval: Interval


def gaps(train: Evaluation, test: Evaluation) -> dict[str, dict[str, Gap]]:
    """Returns how much better or worse each predictor scores on its training images.

    The baselines have not been trained: their gap is the difference between the splits.

    Returns:
        predictor to score to gap, for what both evaluations have.

    Raises:
        EvaluationError: the evaluations are of different data sets or of the same split.
    """
    if train.dataset != test.dataset or train.split == test.split:
        raise EvaluationError(
            "Only two splits of one data set can stand side by side, not "
            f"{train.dataset} ({train.split}) and {test.dataset} ({test.split})."
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
    """Returns the scores of both splits and their gap, one Markdown table per predictor.

    Raises:
        EvaluationError: the evaluations are of different data sets or of the same split.
    """
    lines = []
    for predictor, found in gaps(train, test).items():
        rows = []
        for score in SCORES.values():
            if (gap := found.get(score.name)) is None:
                continue
            texts = [
                value_text(
                    e.scores[predictor][score.name],
                    score.digits,
                    e.intervals[predictor][score.name],
                )
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
