"""What a run writes between steps: its description, its history and its sample grids."""

from __future__ import annotations

import json
import warnings
from collections.abc import Collection
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

__all__ = ["append_history", "start_history", "write_description", "write_samples"]


def start_history(path: Path, step: int) -> None:
    """Writes the header of `history.csv`, and keeps the rows of an earlier session before `step`.

    The rows from there on will be written again.
    """
    rows = path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else []
    kept = [row for row in rows if int(row.partition(",")[0]) < step]
    write_atomically(path, "\n".join([",".join(("step", "epoch", *METRICS)), *kept]) + "\n")


def append_history(path: Path, first: int, epoch: int, rows: np.ndarray, every: int) -> None:
    """Appends the metrics of every `every`-th step, counted from step 0.

    A row holds the values of that very step, as in the report's Figures 4 and 5, not an average.

    Args:
        path: the file.
        first: the number of the first step.
        epoch: of these steps.
        rows: (steps, 5), the `METRICS` of consecutive steps.
        every: steps between two rows.
    """
    with open(path, "a", encoding="utf-8", newline="") as file:
        for offset in range(-first % every, len(rows), every):
            values = ",".join(f"{value:.6g}" for value in rows[offset])
            file.write(f"{first + offset},{epoch},{values}\n")


def write_samples(path: Path, generator: keras.Model, dataset: ImageDataset) -> None:
    """Writes a PNG with gray, real and colorized rows of the first eight training images."""
    lightness, chroma = next(iter(dataset.batches(8)))
    fake = generator(lightness, training=False)
    rows = [color.merge(lightness, colors) for colors in (tf.zeros_like(fake), chroma, fake)]
    grid = tf.concat([tf.concat(tf.unstack(row), axis=1) for row in rows], axis=0)
    write_atomically(path, tf.io.encode_png(color.to_uint8(grid)).numpy())


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
