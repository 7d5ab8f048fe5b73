"""The scores of a data set, of each image and of the whole set, compared, in tables and files."""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..files import write_atomically
from .protocol import BASELINES, PROTOCOL, REAL, SCORES, Score, title_of
from .statistics import PERCENTILES, UNKNOWN, Interval, Value, bootstrap_ratios, ratios, score_parts

__all__ = ["Evaluation", "aligned", "gap", "markdown", "value_text"]

_SHORT = ("psnr", "ssim", "report_psnr", "report_ssim")


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The scores of one or more models on the same images, beside those of the baselines.

    Attributes:
        dataset, split: what was scored.
        images: of each image the first 16 hexadecimal digits of the SHA-256 of its RGB bytes,
            in the order of the data set.
        labels: int64 (count,), or `None`.
        per_image: predictor to score to float64 (count,). Predictors are the models ("model" if
            there is one without a name), the baselines of `protocol.BASELINES`, and `"real"`,
            the images themselves.
        values: predictor to score (`protocol.SCORES`) to its value on the whole set and its 95 %
            interval (low, high), nan where it is unknown.
        left_out: score to the reason why it was not computed.
        reference: data set, split and count of the images behind the mean chroma and the
            class rebalancing.
        extra: further fields of its `metrics.json`, such as the step.
        protocol: how the numbers were measured; the scores among its names are shown.
    """

    dataset: str
    split: str
    images: tuple[str, ...]
    labels: np.ndarray | None
    per_image: dict[str, dict[str, np.ndarray]]
    values: dict[str, dict[str, Value]]
    left_out: dict[str, str] = dataclasses.field(default_factory=dict)
    reference: dict[str, Any] = dataclasses.field(default_factory=dict)
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)
    protocol: dict[str, str] = dataclasses.field(default_factory=lambda: PROTOCOL)

    @property
    def count(self) -> int:
        """The number of images."""
        return len(self.images)

    @functools.cached_property
    def scores(self) -> dict[str, dict[str, float]]:
        """Predictor to score to its value on the whole set."""
        return {name: {k: v for k, (v, _) in found.items()} for name, found in self.values.items()}

    @functools.cached_property
    def intervals(self) -> dict[str, dict[str, Interval]]:
        """Predictor to score to its 95 % interval."""
        return {name: {k: i for k, (_, i) in found.items()} for name, found in self.values.items()}

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models, without baselines and real images."""
        return tuple(name for name in self.per_image if name not in (*BASELINES, REAL))

    def difference(self, first: str, second: str) -> Difference:
        """Returns the paired differences of two predictors, such as "model" and "no_color"."""
        parts = {}
        for name in SCORES:
            one, other = (score_parts(self.per_image, who, name) for who in (first, second))
            if one is not None and other is not None:
                # Both have the same denominator: ones, or a score of the real images.
                with np.errstate(invalid="ignore"):
                    parts[name] = one[0] - other[0], one[1]
        better = {name: self._share_better(first, second, SCORES[name]) for name in parts}
        return Difference(title_of(first), title_of(second), self.count, ratios(parts), better)

    def _share_better(self, first: str, second: str, score: Score) -> float | None:
        if score.better not in ("higher", "lower"):
            return None
        one, other = (self.per_image[who][score.column] for who in (first, second))
        better = one > other if score.better == "higher" else one < other
        # Values that differ only by rounding are equal.
        return float(np.mean(better & ~np.isclose(one, other, rtol=2e-6, atol=0.0)))

    def summary(self) -> dict[str, Any]:
        """Returns scores and 95 % intervals with their protocol, after `extra`, ready for JSON.

        A number that is unknown or infinite is `None`.
        """
        return {
            **self.extra,
            "dataset": self.dataset,
            "split": self.split,
            "count": self.count,
            "reference": self.reference,
            "protocol": self.protocol,
            "left_out": self.left_out,
            "scores": _json_value(self.scores),
            "intervals": _json_value(self.intervals),
        }

    # Tables and figures -----------------------------------------------------------------------

    def table(
        self, *, intervals: bool = True, short: bool = False, only: Sequence[str] = ()
    ) -> str:
        """Returns the scores as a Markdown table, with arrows that point to the better side.

        Args:
            intervals: with the 95 % interval of each value.
            short: only PSNR and SSIM in both protocols, without intervals, one row for each
                model and for no color; otherwise one row per score.
            only: the scores to show; the default is all.
        """
        caption = ", ".join(filter(None, [self.dataset, self.split, f"{self.count:,} images"]))
        if short:
            names = [name for name in ("no_color", *self.models) if name in self.values]
            rows = [
                [title_of(n), *(self._cell(n, score, False) for score in _SHORT)] for n in names
            ]
            return markdown([caption, *(SCORES[name].title for name in _SHORT)], rows)
        rows = [
            [SCORES[score].heading, *(self._cell(p, score, intervals) for p in self.per_image)]
            for score in only or [name for name in SCORES if name in self.protocol]
        ]
        return markdown([caption, *map(title_of, self.per_image)], rows)

    def _cell(self, predictor: str, score: str, interval: bool = True) -> str:
        value, ends = self.values[predictor].get(score, (None, None))
        return value_text(value, SCORES[score].digits, ends if interval else None)

    def panels(self, only: Sequence[str] = ()) -> dict[str, dict[str, tuple[float, float, float]]]:
        """Returns the input of `figures.score_intervals`, by default of all scores."""
        panels: dict[str, dict[str, tuple[float, float, float]]] = {}
        for name in only or SCORES:
            for predictor in self.per_image:
                if name in self.values[predictor]:
                    value, ends = self.values[predictor][name]
                    panels.setdefault(SCORES[name].heading, {})[title_of(predictor)] = value, *ends
        return panels

    # Files ------------------------------------------------------------------------------------

    def save(self, folder: str | Path, **extra: Any) -> None:
        """Writes `metrics.json`: the summary, after `extra` fields such as the step."""
        content = json.dumps({**extra, **self.summary()}, indent=2, allow_nan=False)
        write_atomically(Path(folder) / "metrics.json", content + "\n")

    def write(self, folder: str | Path) -> None:
        """Writes `metrics.json`, `scores.csv` (one row per image) and `table.md` into a folder."""
        self.save(folder)
        write_atomically(Path(folder) / "scores.csv", self._csv())
        write_atomically(Path(folder) / "table.md", self._page())

    def _csv(self) -> str:
        columns = {
            f"{predictor}.{name}": values
            for predictor in self.per_image
            for name, values in self.per_image[predictor].items()
        }
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", "label", *columns])
        labels = [""] * self.count if self.labels is None else self.labels.tolist()
        values = np.stack(list(columns.values()), axis=-1).tolist()
        for image, label, row in zip(self.images, labels, values, strict=True):
            writer.writerow([image, label, *(f"{value:.6g}" for value in row)])
        return file.getvalue()

    def _page(self) -> str:
        """Returns the table together with how it was measured."""
        lines = ["# Scores", ""]
        facts = [f"{k}: {v}" for k, v in self.extra.items() if isinstance(v, str | int)]
        if facts:
            lines += [f"{'; '.join(facts)}.", ""]
        lines += [
            self.table(),
            "Each cell is a value with its 95 % interval; arrows point to the better side.",
            "",
        ]
        if "report_psnr" in self.protocol:
            lines[-2] += " The report's protocol cannot see whether colors are right."
        if self.left_out:
            lines += ["## Left out", ""]
            lines += [f"- {title_of(name)}: {why}" for name, why in self.left_out.items()]
            lines.append("")
        lines += ["## How it was measured", ""]
        if self.reference:
            source = "{dataset}, {split}, {count:,} images".format(**self.reference)
            lines.append(f"- reference (mean chroma, class rebalancing): {source}")
        lines += [f"- {title_of(name)}: {text}" for name, text in self.protocol.items()]
        return "\n".join(lines) + "\n"


# Two predictors on the same images ------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Difference:
    """The paired differences of two predictors, score by score.

    Attributes:
        first, second: their titles.
        count: number of images.
        values: score name to the mean of first minus second and its 95 % bootstrap interval, for
            which both predictors are resampled together. Distances between sets have none.
        share_better: score name to the share of images on which the first is better; `None` for a
            score without a direction.
    """

    first: str
    second: str
    count: int
    values: dict[str, Value]
    share_better: dict[str, float | None]

    def table(self) -> str:
        """Returns a Markdown table with one row per score."""
        rows = []
        for name, (mean, interval) in self.values.items():
            value, better = value_text(mean, SCORES[name].digits, interval), self.share_better[name]
            share = _NOTHING if better is None else f"{better:.1%}"
            rows.append([SCORES[name].heading, value, share])
        head = [f"{self.first} - {self.second}, {self.count:,} images"]
        return markdown([*head, "difference", f"images where {self.first} is better"], rows)

    def summary(self) -> dict[str, Any]:
        """Returns the differences ready for JSON; what is unknown is `None`."""
        scores = {
            name: {
                "difference": _json_value(mean),
                "interval": _json_value(interval),
                "share_better": self.share_better[name],
            }
            for name, (mean, interval) in self.values.items()
        }
        return {"first": self.first, "second": self.second, "count": self.count, "scores": scores}


# One model on two splits ----------------------------------------------------------------------


class Gap(NamedTuple):
    """A score on both splits, the first minus the second, and the 95 % interval of this gap."""

    train: float
    test: float
    gap: float
    interval: Interval


def gap(train: Evaluation, test: Evaluation, predictor: str, score: str) -> Gap | None:
    """Returns how much better or worse a predictor scores on its training images.

    A baseline has not been trained: its gap is the difference between the splits. The two splits
    are resampled independently. Returns `None` if an evaluation lacks the score.
    """
    both = [e.values[predictor].get(score) for e in (train, test)]
    if None in both:
        return None
    (one, ends), (other, other_ends) = both
    found = Gap(one, other, one - other, UNKNOWN)
    if not math.isfinite(found.gap) or min(train.count, test.count) < 2:
        return found
    parts = [score_parts(e.per_image, predictor, score) for e in (train, test)]
    if None in parts:  # a distance, whose intervals are symmetric: independent errors add up
        half = math.hypot(ends[1] - one, other_ends[1] - other)
        return found._replace(interval=(found.gap - half, found.gap + half))
    resampled = [
        bootstrap_ratios(above[:, None], below[:, None], seed=seed)
        for seed, (above, below) in enumerate(parts)
    ]
    low, high = np.percentile(resampled[0] - resampled[1], PERCENTILES).tolist()
    return found._replace(interval=(low, high))


# Numbers as text ------------------------------------------------------------------------------


_NOTHING = "–"  # noqa: RUF001  (stands where there is no number)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table that ends with a line break."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def aligned(table: str) -> str:
    """Returns a Markdown table with padded columns, to be read in a terminal."""
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows[1] = ["-" * width for width in widths]
    lines = []
    for first, *rest in rows:
        numbers = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        lines.append(f"| {' | '.join([first.ljust(widths[0]), *numbers])} |\n")
    return "".join(lines)


def value_text(value: float | None, digits: int, interval: Sequence[float] | None = None) -> str:
    """Returns "23.01", "23.01 [22.93, 23.08]", or a dash where the value is unknown."""
    if value is None or math.isnan(value):
        return _NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    numbers = [value]
    if interval is not None and all(map(math.isfinite, interval)):
        numbers += interval
    text, *ends = (f"{round(number, digits) + 0.0:.{digits}f}" for number in numbers)  # no -0.00
    return f"{text} [{', '.join(ends)}]" if ends else text


def _json_value(value: Any) -> Any:
    """Returns numbers, also inside mappings and tuples, for JSON: `None` if not finite."""
    if isinstance(value, Mapping):
        return {name: _json_value(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return [_json_value(part) for part in value]
    return round(value, 6) if math.isfinite(value) else None
