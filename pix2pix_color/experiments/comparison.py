"""Compares each run with the report's own: the same images, and other seeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .table import Table, pd

__all__ = ["add_gains", "gain_over", "paired_gain", "score_interval", "seed_deviation"]

Estimate = tuple[float, float, float]
"""A mean with the ends of its 95 % interval."""

_SAME_CONDITIONS = ["seed", "budget", "split", "limit", "dataset"]
_ALL_BUT_SEED = ["config_hash", "images", "budget", "split", "limit", "dataset"]


def paired_gain(values: np.ndarray, baseline: np.ndarray) -> Estimate:
    """Returns the mean gain over the same images and its 95 % interval.

    Some images are easy and some are hard for both predictors, so the interval of their difference
    is much narrower than that of either mean.
    """
    gain = np.asarray(values, np.float64) - np.asarray(baseline, np.float64)
    gain = gain[np.isfinite(gain)]
    mean, half = gain.mean(), 1.96 * gain.std(ddof=1) / np.sqrt(len(gain))
    return mean, mean - half, mean + half


def add_gains(table: Table, folder: Path) -> None:
    """Adds the missing gains over the report's run of the same seed.

    Args:
        table: the results; changed in place.
        folder: contains the run folders, with the scores of each image.
    """
    known = table.reindex(columns=["psnr", "psnr_gain"]).notna()
    compared, runs = table["changes"] != "", table[[*_SAME_CONDITIONS, "run"]]
    missing = runs[compared & known["psnr"] & ~known["psnr_gain"]]
    pairs = missing.merge(runs[~compared], on=_SAME_CONDITIONS, suffixes=("", "_report"))
    for run, report in zip(pairs["run"], pairs["run_report"], strict=True):
        files = [folder / name / "per_image.npz" for name in (run, report)]
        if not all(file.is_file() for file in files):
            continue
        with np.load(files[0]) as own, np.load(files[1]) as baseline:
            for name in own.files:
                if name.startswith("report_"):
                    continue
                gain = paired_gain(own[name], baseline[name])
                for end, value in zip(("", "_low", "_high"), gain, strict=True):
                    table.loc[table["run"] == run, f"{name}_gain{end}"] = value


def seed_deviation(table: Table, score: str = "psnr") -> float | None:
    """Returns the standard deviation of a mean score over runs that differ only in the seed.

    It is the root of the median variance of all variants with several seeds: a few seeds say
    little about one variant, and one unstable variant should not dominate the others.

    Returns:
        The deviation, or None if no variant has two seeds.
    """
    scores = table.reindex(columns=[*_ALL_BUT_SEED, score]).dropna(subset=[score])
    groups = scores.groupby(_ALL_BUT_SEED, dropna=False)[score]
    freedom = groups.count() - 1
    # The median of a chi-squared variable is below its mean (Wilson and Hilferty 1931).
    variance = (groups.var() / (1 - 2 / (9 * freedom)) ** 3).median()
    return None if np.isnan(variance) else float(np.sqrt(variance))


def gain_over(own: Table, report: Table, deviation: float | None, score: str = "psnr") -> Estimate:
    """Returns how much better a variant's runs score than the report's, and the 95 % interval.

    The mean is over the seeds of each. Two independent sources of chance add up in squares: the
    choice of test images, from the paired differences, and the seeds. A variant that varies more
    than others counts with its own deviation.

    Args:
        own, report: the rows of each, with scores; at least one row.
        deviation: from `seed_deviation`; None leaves out the seeds.
        score: a column.
    """
    mean = own[score].mean() - report[score].mean()
    images = _half(own, f"{score}_gain").mean()
    if np.isnan(images):  # without pairs, as two samples
        images = np.hypot(_half(own, score).iloc[0], _half(report, score).iloc[0])
    seeds = 1.96 * np.hypot(*(_seed_error(rows[score], deviation) for rows in (own, report)))
    half = np.hypot(images, seeds)
    return mean, mean - half, mean + half


def score_interval(rows: Table, deviation: float | None, score: str = "psnr") -> Estimate:
    """Returns a variant's mean score over its seeds and the 95 % interval of that mean.

    As in `gain_over`, the interval is for other test images and other seeds.
    """
    mean = rows[score].mean()
    half = np.hypot(_half(rows, score).iloc[0], 1.96 * _seed_error(rows[score], deviation))
    return mean, mean - half, mean + half


def _half(rows: Table, name: str) -> pd.Series:
    """Returns half the width of each row's interval; NaN if it has none."""
    ends = rows.reindex(columns=[f"{name}_low", f"{name}_high"])
    return (ends[f"{name}_high"] - ends[f"{name}_low"]) / 2


def _seed_error(scores: pd.Series, deviation: float | None) -> float:
    """Returns the standard error of the mean over the seeds."""
    own = scores.std() if len(scores) > 1 else 0.0
    return max(deviation or 0.0, own) / np.sqrt(len(scores))
