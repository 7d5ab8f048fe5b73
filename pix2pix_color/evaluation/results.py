"""The scores of a data set: of each image, of the whole set with intervals, and as files."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EvaluationError
from ..files import write_atomically
from .comparison import Difference, difference
from .protocol import BASELINES, PROTOCOL, REAL, SCORES, predictor_title, score_title
from .tables import json_value, markdown, value_text
from .totals import Interval, PerImage

__all__ = ["Evaluation"]

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
        scores: predictor to score (`protocol.SCORES`) to its value on the whole set.
        intervals: the same to (low, high), 95 %; nan where it is unknown.
        left_out: score to the reason why it was not computed.
        reference: data set, split and count of the images behind the mean chroma and the
            class rebalancing.
        extra: further fields of its `metrics.json`, such as the step.
    """

    dataset: str
    split: str
    images: tuple[str, ...]
    labels: np.ndarray | None
    per_image: PerImage
    scores: dict[str, dict[str, float]]
    intervals: dict[str, dict[str, Interval]]
    left_out: dict[str, str] = dataclasses.field(default_factory=dict)
    reference: dict[str, Any] = dataclasses.field(default_factory=dict)
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def count(self) -> int:
        """The number of images."""
        return len(self.images)

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models, without baselines and real images."""
        return tuple(name for name in self.per_image if name not in (*BASELINES, REAL))

    @property
    def predictors(self) -> tuple[str, ...]:
        """The names of models, baselines and real images, in the order of the tables."""
        others = (*BASELINES, REAL)
        return self.models + tuple(name for name in others if name in self.per_image)

    def difference(self, first: str, second: str) -> Difference:
        """Returns the paired differences of two predictors, such as "model" and "no_color".

        Raises:
            EvaluationError: there is no such predictor.
        """
        for name in (first, second):
            if name not in self.per_image:
                known = ", ".join(self.predictors)
                raise EvaluationError(f"There is no predictor {name!r}; there are: {known}.")
        return difference(self.per_image, first, second)

    def summary(self) -> dict[str, Any]:
        """Returns scores and 95 % intervals with their protocol, ready for JSON.

        A number that is unknown or infinite is `None`.
        """
        return {
            "dataset": self.dataset,
            "split": self.split,
            "count": self.count,
            "reference": self.reference,
            "protocol": PROTOCOL,
            "left_out": self.left_out,
            "scores": json_value({name: self.scores[name] for name in self.predictors}),
            "intervals": json_value({name: self.intervals[name] for name in self.predictors}),
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
        caption = f"{self.dataset}, {self.split}, {self.count:,} images"
        if short:
            rows = [
                [predictor_title(name), *(self._cell(name, score, False) for score in _SHORT)]
                for name in ("no_color", *self.models)
                if name in self.scores
            ]
            return markdown([caption, *(SCORES[name].title for name in _SHORT)], rows)
        rows = [
            [SCORES[score].heading, *(self._cell(p, score, intervals) for p in self.predictors)]
            for score in only or SCORES
        ]
        return markdown([caption, *map(predictor_title, self.predictors)], rows)

    def _cell(self, predictor: str, score: str, interval: bool) -> str:
        ends = self.intervals[predictor].get(score) if interval else None
        return value_text(self.scores[predictor].get(score), SCORES[score].digits, ends)

    def panels(
        self, only: Sequence[str] = ()
    ) -> dict[str, dict[str, tuple[float, float | None, float | None]]]:
        """Returns the input of `figures.score_intervals`: score to predictor to value and interval.

        Args:
            only: the scores to draw; the default is all.
        """
        panels: dict[str, dict[str, tuple[float, float | None, float | None]]] = {}
        for name in only or SCORES:
            for predictor in self.predictors:
                if name in self.scores[predictor]:
                    ends = self.intervals[predictor][name]
                    ends = ends if all(map(math.isfinite, ends)) else (None, None)
                    value = (self.scores[predictor][name], *ends)
                    panels.setdefault(SCORES[name].heading, {})[predictor_title(predictor)] = value
        return panels

    # Files ------------------------------------------------------------------------------------

    def save(self, path: str | Path, **extra: Any) -> Path:
        """Writes the summary, and `extra` fields such as the step, to `path` (metrics.json)."""
        path = Path(path)
        path = path / "metrics.json" if path.is_dir() else path
        content = {**self.extra, **extra, **self.summary()}
        write_atomically(path, json.dumps(content, indent=2, allow_nan=False) + "\n")
        return path

    def write(self, folder: str | Path, **extra: Any) -> Path:
        """Writes `metrics.json`, `scores.csv` (one row per image) and `table.md` into a folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.save(folder / "metrics.json", **extra)
        write_atomically(folder / "scores.csv", self._csv())
        write_atomically(folder / "table.md", self._page({**self.extra, **extra}))
        return folder

    def _csv(self) -> str:
        columns = {
            f"{predictor}.{name}": values
            for predictor in self.predictors
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

    def _page(self, extra: dict[str, Any]) -> str:
        """Returns the table together with how it was measured."""
        lines = ["# Scores", ""]
        facts = [f"{key}: {value}" for key, value in extra.items() if isinstance(value, str | int)]
        if facts:
            lines += [f"{'; '.join(facts)}.", ""]
        lines += [
            self.table().rstrip(),
            "",
            "Each cell is a value with its 95 % interval; arrows point to the better side. The "
            "report's protocol cannot see whether colors are right.",
            "",
        ]
        if self.left_out:
            lines += ["## Left out", ""]
            lines += [f"- {score_title(name)}: {why}" for name, why in self.left_out.items()]
            lines.append("")
        lines += ["## How it was measured", ""]
        if self.reference:
            source = "{dataset}, {split}, {count:,} images".format(**self.reference)
            lines.append(f"- reference (mean chroma, class rebalancing): {source}")
        lines += [f"- {score_title(name)}: {text}" for name, text in PROTOCOL.items()]
        return "\n".join(lines) + "\n"
