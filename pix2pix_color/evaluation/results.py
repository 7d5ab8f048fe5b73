"""The scores of a data set: per image, in total with intervals, as files."""

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
from . import tables
from .comparison import Difference, difference
from .protocol import BASELINES, PROTOCOL, REAL, SCORES, predictor_title
from .totals import Interval, PerImage

__all__ = ["Evaluation"]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The scores of one or more models on the same images, beside the baselines'.

    Attributes:
        dataset, split: what was scored.
        images: of each image the first 16 hexadecimal digits of the SHA-256 of its RGB bytes,
            in the order of the data set.
        labels: int64 (count,), or `None`.
        per_image: predictor to score to float64 (count,). Predictors are the models ("model"
            where there is one without a name), the baselines of `protocol.BASELINES`, and
            `"real"`, the images themselves.
        scores: predictor to score (`protocol.SCORES`) to its value on the whole set.
        intervals: the same to (low, high), 95 %; nan where nothing is known.
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

    def summary(self) -> dict[str, Any]:
        """Returns scores and 95 % intervals with their protocol, ready for JSON.

        A number that is not known, or infinite, is `None`.
        """
        return {
            "dataset": self.dataset,
            "split": self.split,
            "count": self.count,
            "reference": self.reference,
            "protocol": PROTOCOL,
            "left_out": self.left_out,
            "scores": {
                predictor: {name: _json(value) for name, value in self.scores[predictor].items()}
                for predictor in self.predictors
            },
            "intervals": {
                predictor: {
                    name: [_json(end) for end in ends]
                    for name, ends in self.intervals[predictor].items()
                }
                for predictor in self.predictors
            },
        }

    def table(
        self, *, intervals: bool = True, short: bool = False, only: Sequence[str] = ()
    ) -> str:
        """Returns the scores as a Markdown table.

        Args:
            intervals: with the 95 % interval of each value.
            short: only PSNR and SSIM in both protocols, a row for each model and for no
                color, without intervals; otherwise a row for each score.
            only: the scores to show; the default is all.
        """
        if short:
            return tables.short_table(self)
        return tables.full_table(self, intervals=intervals, only=only)

    def panels(
        self, only: Sequence[str] = ()
    ) -> dict[str, dict[str, tuple[float, float | None, float | None]]]:
        """Returns what `figures.score_intervals` draws: score to predictor to value and interval.

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

    def difference(self, first: str, second: str) -> Difference:
        """Returns the paired differences of two predictors, such as "model" and "no_color".

        Raises:
            EvaluationError: there is no such predictor.
        """
        for name in (first, second):
            if name not in self.per_image:
                known = ", ".join(self.predictors)
                raise EvaluationError(f"There is no predictor {name!r}, but: {known}.")
        return difference(self.per_image, first, second)

    def save(self, path: str | Path, **extra: Any) -> Path:
        """Writes the summary, and `extra` fields such as the step, to `path` (metrics.json)."""
        path = Path(path)
        path = path / "metrics.json" if path.is_dir() else path
        content = {**self.extra, **extra, **self.summary()}
        write_atomically(path, json.dumps(content, indent=2, allow_nan=False) + "\n")
        return path

    def write(self, folder: str | Path, **extra: Any) -> Path:
        """Writes `metrics.json`, `scores.csv` (one row an image) and `table.md` into a folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.save(folder / "metrics.json", **extra)
        write_atomically(folder / "scores.csv", self._csv())
        write_atomically(folder / "table.md", tables.page(self, {**self.extra, **extra}))
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

    @classmethod
    def load(cls, folder: str | Path) -> Evaluation:
        """Reads back what `write` wrote; per-image scores have six significant digits.

        Raises:
            EvaluationError: a file is missing or not what `write` wrote.
        """
        folder = Path(folder)
        try:
            summary = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
            images, labels, per_image = _read_csv(folder / "scores.csv")
            known = {name: summary.pop(name) for name in ("dataset", "split", "reference")}
            left_out, scores = summary.pop("left_out"), summary.pop("scores")
            intervals, count = summary.pop("intervals"), summary.pop("count")
            summary.pop("protocol")
        except (OSError, KeyError, ValueError, AttributeError, StopIteration) as error:
            raise EvaluationError(
                f"{folder} is not what pix2pix-color evaluate -o writes: {error!r}. It needs "
                "metrics.json and scores.csv."
            ) from error
        if count != len(images) or set(scores) != set(per_image):
            raise EvaluationError(f"{folder}: metrics.json and scores.csv do not fit together.")
        return cls(
            **known,
            images=images,
            labels=labels,
            per_image=per_image,
            scores={p: {n: _number(v) for n, v in part.items()} for p, part in scores.items()},
            intervals={
                p: {n: (_number(low), _number(high)) for n, (low, high) in part.items()}
                for p, part in intervals.items()
            },
            left_out=left_out,
            extra=summary,
        )


def _json(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _read_csv(
    path: Path,
) -> tuple[tuple[str, ...], np.ndarray | None, dict[str, dict[str, np.ndarray]]]:
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        header = next(reader)
        rows = list(reader)
    if header[:2] != ["image", "label"] or any(len(row) != len(header) for row in rows):
        raise ValueError(f"{path.name} has other columns")
    values = np.array([row[2:] for row in rows], np.float64)
    labels = [row[1] for row in rows]
    per_image: dict[str, dict[str, np.ndarray]] = {}
    for column, series in zip(header[2:], values.T, strict=True):
        predictor, _, name = column.rpartition(".")
        per_image.setdefault(predictor, {})[name] = series.copy()
    known = all(label != "" for label in labels)
    return (
        tuple(row[0] for row in rows),
        np.array(labels, np.int64) if known else None,
        per_image,
    )
