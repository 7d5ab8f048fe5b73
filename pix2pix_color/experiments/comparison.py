"""Each run beside the report's own: the same images, scored by both, and other seeds."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .table import Row, rounded

__all__ = [
    "Gain",
    "add_gains",
    "baseline_of",
    "gain_over",
    "paired_gain",
    "score_interval",
    "seed_deviation",
]


def baseline_of(row: Row, rows: Sequence[Row]) -> Row | None:
    """Returns the report's run of the same seed, budget and images, or None."""
    same = ("seed", "budget", "split", "limit", "dataset")
    for other in rows:
        if not other["changes"] and all(other[name] == row[name] for name in same):
            return other
    return None


def paired_gain(values: np.ndarray, baseline: np.ndarray) -> tuple[float, float, float]:
    """Returns the mean gain over the same images, and its 95 % interval.

    Both predictors meet the same easy and hard images, so the interval of their difference is
    much narrower than that of either mean.
    """
    gain = np.asarray(values, np.float64) - np.asarray(baseline, np.float64)
    gain = gain[np.isfinite(gain)]
    if not len(gain):
        raise ValueError("No image has a finite score with both.")
    mean = float(np.mean(gain))
    half = 1.96 * float(np.std(gain, ddof=1)) / np.sqrt(len(gain)) if len(gain) > 1 else np.inf
    return mean, mean - float(half), mean + float(half)


def add_gains(rows: Sequence[Row], folder: Path) -> bool:
    """Fills in the gains over the report's run that are still missing.

    Args:
        rows: of the results table; changed in place.
        folder: with the run folders.

    Returns:
        Whether any was added.
    """
    added = False
    for row in rows:
        if not row["changes"] or row.get("psnr") is None or row.get("psnr_gain") is not None:
            continue
        other = baseline_of(row, rows)
        files = [folder / r["run"] / "per_image.npz" for r in (row, other) if r]
        if len(files) < 2 or not all(file.is_file() for file in files):
            continue
        with np.load(files[0]) as own, np.load(files[1]) as report:
            for name in own.files:
                if name.startswith("report_") or name not in report.files:
                    continue
                gains = paired_gain(own[name], report[name])
                names = (f"{name}_gain", f"{name}_gain_low", f"{name}_gain_high")
                row.update(rounded(zip(names, gains, strict=True)))
                added = True
    return added


def seed_deviation(rows: Sequence[Row], score: str = "psnr") -> float | None:
    """Returns how much a mean score moves when only the seed does, as a standard deviation.

    The median of the variances of all variants with several seeds: a few of them say little
    each, and one unstable variant should not hide what the others show.

    Returns:
        The deviation, or None where no variant has two seeds.
    """
    variances = []
    for values in _by_variant(rows, score).values():
        if len(values) > 1:
            freedom = len(values) - 1
            # The median of a chi-squared variable is below its mean (Wilson and Hilferty 1931).
            variances.append(np.var(values, ddof=1) / (1 - 2 / (9 * freedom)) ** 3)
    return float(np.sqrt(np.median(variances))) if variances else None


def _by_variant(rows: Sequence[Row], score: str) -> dict[tuple, list[float]]:
    groups = defaultdict(list)
    for row in rows:
        if row.get(score) is not None:
            names = ("config_hash", "images", "budget", "split", "limit", "dataset")
            groups[tuple(row[name] for name in names)].append(row[score])
    return groups


@dataclasses.dataclass(frozen=True)
class Gain:
    """A variant's mean score minus the report's.

    Attributes:
        mean: over the seeds of each.
        low, high: the 95 % interval for other test images and other seeds; where no seed
            deviation is known, for other images only.
    """

    mean: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0


def gain_over(
    own: Sequence[Row], report: Sequence[Row], deviation: float | None, score: str = "psnr"
) -> Gain:
    """Returns how much better a variant's runs score than the report's.

    Two sources of chance add up in squares: which test images there are, from the paired
    differences, and the seeds. A variant that varies more than others counts with its own
    deviation.

    Args:
        own, report: the rows of each, with scores; at least one.
        deviation: from `seed_deviation`.
        score: a column.
    """
    mean = np.mean([row[score] for row in own]) - np.mean([row[score] for row in report])
    paired = [
        _half(row, f"{score}_gain") for row in own if row.get(f"{score}_gain_low") is not None
    ]
    images = np.mean(paired) if paired else np.hypot(_half(own[0], score), _half(report[0], score))
    seeds = 1.96 * np.hypot(*(_seed_error(rows, deviation, score) for rows in (own, report)))
    total = float(np.hypot(images, seeds))
    return Gain(float(mean), float(mean) - total, float(mean) + total)


def score_interval(
    rows: Sequence[Row], deviation: float | None, score: str = "psnr"
) -> tuple[float, float, float]:
    """Returns a variant's mean score over its seeds, and the 95 % interval of that mean.

    As in `gain_over` the interval is for other test images and other seeds.
    """
    mean = float(np.mean([row[score] for row in rows]))
    half = float(np.hypot(_half(rows[0], score), 1.96 * _seed_error(rows, deviation, score)))
    return mean, mean - half, mean + half


def _half(row: Row, name: str) -> float:
    return (row[f"{name}_high"] - row[f"{name}_low"]) / 2


def _seed_error(rows: Sequence[Row], deviation: float | None, score: str) -> float:
    """Returns the standard error of the mean over the seeds."""
    values = [row[score] for row in rows]
    of_its_own = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return max(deviation or 0.0, of_its_own) / np.sqrt(len(values))
