"""What a run writes between steps: its description, its history and its sample grids."""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .. import color
from ..data import ImageDataset
from ..files import write_atomically
from ..model_folder import MODEL_FILE
from .step import METRICS

__all__ = ["HistoryWriter", "SampleWriter", "write_description"]


class HistoryWriter:
    """Appends the metrics of every `every`-th step, from step 0 on, to `history.csv`.

    A row holds the values of that very step, as in the report's Figures 4 and 5, not an average.

    Args:
        path: the file.
        every: steps between two rows.
        step: the current step. On resuming, rows from here on are dropped: they will be
            written again.
    """

    def __init__(self, path: Path, every: int, step: int) -> None:
        self.every = every
        header = ",".join(("step", "epoch", *METRICS))
        rows = path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else []
        kept = [row for row in rows if int(row.partition(",")[0]) < step]
        write_atomically(path, "\n".join([header, *kept]) + "\n")
        self._file = open(path, "a", encoding="utf-8", newline="")  # noqa: SIM115

    def write(self, first: int, epoch: int, rows: np.ndarray) -> None:
        """Writes the due ones of consecutive steps.

        Args:
            first: the number of the first step.
            epoch: of these steps.
            rows: (steps, 5), the `METRICS` of each step.
        """
        writer = csv.writer(self._file, lineterminator="\n")
        for offset in range(-first % self.every, len(rows), self.every):
            writer.writerow([first + offset, epoch, *(f"{v:.6g}" for v in rows[offset])])
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class SampleWriter:
    """Writes `samples/step-N.png`: gray, real and colorized rows of eight fixed images.

    Args:
        folder: the run folder.
        dataset: the training images; the first eight are used.
        generator: returns the generator for inference.
    """

    def __init__(
        self, folder: Path, dataset: ImageDataset, generator: Callable[[], keras.Model]
    ) -> None:
        self._folder, self._generator = folder / "samples", generator
        self._lightness, self._chroma = next(iter(dataset.batches(8)))

    def write(self, step: int) -> None:
        """Writes the grid of a step."""
        fake = self._generator()(self._lightness, training=False)
        rows = [
            color.merge(self._lightness, chroma)
            for chroma in (tf.zeros_like(fake), self._chroma, fake)
        ]
        grid = tf.concat([tf.concat(tf.unstack(row), axis=1) for row in rows], axis=0)
        png = tf.io.encode_png(color.to_uint8(grid)).numpy()
        write_atomically(self._folder / f"step-{step:06d}.png", png)


def write_description(folder: Path, guide: dict[str, Any] | None, dataset: ImageDataset) -> None:
    """Writes `model.json` and `files.json`, and warns if the run began with other image files.

    Args:
        folder: the run folder.
        guide: the configuration of the classifier that guides the generator.
        dataset: the training images.
    """
    write_atomically(folder / MODEL_FILE, json.dumps({"guide": guide}, indent=2) + "\n")
    path, now = folder / "files.json", dataset.files
    if not now:
        return
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else now
    changes = {
        "added": now.keys() - before.keys(),
        "removed": before.keys() - now.keys(),
        "changed": {name for name in now.keys() & before.keys() if now[name] != before[name]},
    }
    said = [f"{len(names):,} {kind} ({_some(names)})" for kind, names in changes.items() if names]
    if said:
        warnings.warn(
            f"The files of {dataset.name} are not those that this run began with: "
            f"{', '.join(said)}. Training continues with those of now.",
            stacklevel=2,
        )
    write_atomically(path, json.dumps(now, indent=2) + "\n")


def _some(names: Collection[str]) -> str:
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return ", ".join(sorted(names)[:3]) + more
