"""What runs between the steps: the history, the checkpoints, the sample grids."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from .. import color
from ..data import ImageDataset
from ..files import write_atomically

if TYPE_CHECKING:
    from .trainer import Trainer

__all__ = ["METRICS", "CheckpointWriter", "HistoryWriter", "SampleWriter"]

METRICS = (
    "generator_loss",
    "adversarial_loss",
    "l1_loss",
    "discriminator_loss",
    "discriminator_accuracy",
)
"""Columns of `history.csv` after `step` and `epoch`; `l1_loss` is not yet weighted."""


class HistoryWriter(keras.callbacks.Callback):
    """Appends to `history.csv` the metrics of every `log_every`-th step, from step 0 on.

    A row is the value at that very step, as the report's Figures 4 and 5 show it, not an
    average. On resuming, rows beyond the checkpoint are dropped: they will be made again.
    """

    def __init__(self, trainer: Trainer) -> None:
        super().__init__()
        self.trainer = trainer
        self.path = trainer.folder / "history.csv"
        self._file = None

    def on_train_begin(self, logs: Mapping | None = None) -> None:
        header = ",".join(("step", "epoch", *METRICS))
        kept = []
        if self.path.exists():
            rows = self.path.read_text(encoding="utf-8").splitlines()[1:]
            kept = [r for r in rows if int(r.partition(",")[0]) < self.trainer.current_step]
        write_atomically(self.path, "\n".join([header, *kept]) + "\n")
        self._file = open(self.path, "a", encoding="utf-8", newline="")  # noqa: SIM115

    def on_train_batch_end(self, batch: int, logs: Mapping | None = None) -> None:
        first, epoch, rows = self.trainer.recent
        offset = -first % self.trainer.config.training.log_every
        if offset < len(rows):
            writer = csv.writer(self._file, lineterminator="\n")
            writer.writerow([first + offset, epoch, *(f"{v:.6g}" for v in rows[offset])])
            self._file.flush()

    def on_train_end(self, logs: Mapping | None = None) -> None:
        self._file.close()


class CheckpointWriter(keras.callbacks.Callback):
    """Saves every `checkpoint_every` steps and at the end, stopped by a signal or not."""

    def __init__(self, trainer: Trainer) -> None:
        super().__init__()
        self.trainer = trainer
        self._saved = trainer.current_step

    def on_train_batch_end(self, batch: int, logs: Mapping | None = None) -> None:
        every = self.trainer.config.training.checkpoint_every
        if self.trainer.current_step // every > self._saved // every:
            self._save()

    def on_train_end(self, logs: Mapping | None = None) -> None:
        if self.trainer.current_step > self._saved:
            self._save()

    def _save(self) -> None:
        self.trainer.save()
        self._saved = self.trainer.current_step


class SampleWriter(keras.callbacks.Callback):
    """Writes `samples/step-N.png`: gray, real and colorized rows of eight fixed images."""

    def __init__(self, trainer: Trainer, dataset: ImageDataset, every: int) -> None:
        super().__init__()
        self.trainer, self.every = trainer, every
        self._written = trainer.current_step
        self._lightness, self._chroma = next(iter(dataset.batches(8)))

    def on_train_batch_end(self, batch: int, logs: Mapping | None = None) -> None:
        step = self.trainer.current_step
        if step // self.every > self._written // self.every:
            self._written = step
            self._write(step)

    def _write(self, step: int) -> None:
        fake = self.trainer.inference_generator()(self._lightness, training=False)
        rows = [
            color.merge(self._lightness, chroma)
            for chroma in (tf.zeros_like(fake), self._chroma, fake)
        ]
        grid = tf.concat([tf.concat(tf.unstack(row), axis=1) for row in rows], axis=0)
        png = tf.io.encode_png(color.to_uint8(grid)).numpy()
        write_atomically(self.trainer.folder / "samples" / f"step-{step:06d}.png", png)
