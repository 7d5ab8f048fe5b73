"""One run of a study: train, save and score it in a run folder from which it can resume."""

from __future__ import annotations

import functools
import io
import json
import os
import shutil
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from .. import __version__, color
from ..config import Config
from ..data import ImageDataset, load_dataset
from ..distribute import device_kind
from ..errors import ConfigError, Interrupted, NonFiniteLossError, TrainingError, one_line
from ..evaluation import Evaluation, evaluate, sample_images
from ..export import export_saved_model
from ..files import replacing, write_atomically
from ..model_folder import ModelFolder
from ..training import METRICS, Trainer
from .cost import cost_of, flops_per_image
from .jobs import Job
from .table import TABLE_VERSION, Row, pd, rounded

__all__ = [
    "Data",
    "Scorer",
    "describe_device",
    "open_trainer",
    "perform",
    "train",
]

SAMPLES = 8
"""Test images that each run colorizes, the same for all."""


class Data:
    """Reads each split once, however many runs use it.

    Args:
        base: its test images score all runs.
        limit: how many images of the test split are read; None reads all.
    """

    def __init__(self, base: Config, limit: int | None) -> None:
        self.base, self.limit = base, limit
        self._load = functools.cache(load_dataset)

    def train(self, config: Config) -> ImageDataset:
        """Returns the train split as a configuration prepares it."""
        return self._read(config, "train", None)

    def test(self) -> ImageDataset:
        """Returns the first images of the base's test split, the same for every run."""
        return self._read(self.base, "test", self.limit)

    def _read(self, config: Config, split: str, limit: int | None) -> ImageDataset:
        data = config.data
        options = {"image_size": data.image_size, "drop_gray": data.drop_gray}
        return self._load(data.dataset, split, limit=limit, **options)


class Scorer:
    """Scores all runs on the same images, and the baselines only once.

    Args:
        dataset: the images to score on.
        limit: how many images were read, for the table.
    """

    def __init__(self, dataset: ImageDataset, limit: int | None) -> None:
        self.dataset, self.limit = dataset, limit
        self.samples = sample_images(dataset, SAMPLES)
        self._reference = dataset.load_split("train") if dataset.load_split else dataset
        self._baselines: dict[str, dict[str, float]] = {}

    def __call__(self, generator: keras.Model) -> tuple[Evaluation, Row]:
        """Returns a generator's evaluation and the columns of the table that it fills."""
        evaluation = evaluate(
            generator,
            self.dataset,
            baselines=not self._baselines,
            reference=self._reference,
            progress=False,
        )
        summary = evaluation.summary()
        self._baselines |= {k: v for k, v in summary["scores"].items() if k != "model"}
        row, intervals = {}, summary["intervals"]["model"]
        for name, mean in summary["scores"]["model"].items():
            row[name] = mean
            row[f"{name}_low"], row[f"{name}_high"] = intervals.get(name, (None, None))
        row |= {f"{k}_psnr": v["psnr"] for k, v in self._baselines.items() if "psnr" in v}
        return evaluation, row

    def strip(self, generator: keras.Model | None = None) -> bytes:
        """Returns a PNG of the sample images side by side: the real ones, or as colorized."""
        images = self.samples
        if generator is not None:
            lightness, _ = color.split(images)
            images = color.to_uint8(color.merge(lightness, generator(lightness, training=False)))
        buffer = io.BytesIO()
        Image.fromarray(np.concatenate(list(np.asarray(images)), axis=1)).save(buffer, "png")
        return buffer.getvalue()


def _spent(folder: Path) -> dict[str, float]:
    """Returns what the sessions of a run have taken so far; steady: without graph building."""
    path = folder / "spent.json"
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    return {"steps": 0, "seconds": 0.0, "steady_seconds": 0.0, "steady_steps": 0}


class _Clock(keras.callbacks.Callback):
    """Adds up steps and seconds in `spent.json`, over all sessions of a run."""

    def __init__(self, trainer: Trainer) -> None:
        super().__init__()
        self.trainer, self.spent = trainer, _spent(trainer.folder)
        self._graph_is_built = False

    def on_train_batch_begin(self, batch: int, logs: Mapping | None = None) -> None:
        self._first, self._start = self.trainer.current_step, time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Mapping | None = None) -> None:
        seconds, step = time.perf_counter() - self._start, self.trainer.current_step
        self.spent["steps"] = step
        self.spent["seconds"] += seconds
        if self._graph_is_built:  # the first call of a session builds it
            self.spent["steady_seconds"] += seconds
            self.spent["steady_steps"] += step - self._first
        self._graph_is_built = True
        write_atomically(self.trainer.folder / "spent.json", json.dumps(self.spent))


def open_trainer(job: Job, folder: Path, strategy: tf.distribute.Strategy) -> Trainer:
    """Returns the trainer of a run, at its newest checkpoint if there is one."""
    if (folder / "config.json").is_file():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # without a checkpoint it starts over, below
                trainer = Trainer.resume(folder, strategy=strategy)
            if trainer.config == job.config and trainer.current_step:
                return trainer
        except (TrainingError, ConfigError):
            pass
    shutil.rmtree(folder, ignore_errors=True)
    return Trainer(job.config, folder, strategy)


def train(
    trainer: Trainer, dataset: ImageDataset, *, steps: int | None = None, verbose: int | str = 0
) -> None:
    """Trains a run to its last step, or to `steps`, and records the time."""
    if trainer.current_step < (steps or trainer.config.training.steps):
        trainer.fit(dataset, steps=steps, callbacks=[_Clock(trainer)], verbose=verbose)


def describe_device(strategy: tf.distribute.Strategy) -> str:
    """Returns the name of the device, such as `"CPU, 2 cores"` or that of a GPU."""
    kind, count = device_kind(strategy), strategy.num_replicas_in_sync
    if kind == "CPU":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return f"CPU, {cores} cores"
    name = kind
    for device in tf.config.list_physical_devices(kind):
        name = tf.config.experimental.get_device_details(device).get("device_name", kind)
    return name if count == 1 else f"{count} x {name}"


def perform(
    job: Job,
    folder: Path,
    data: Data,
    scorer: Scorer,
    strategy: tf.distribute.Strategy,
    *,
    keep_generator: bool = True,
    verbose: int | str = 0,
    work: Callable[[Trainer], str] | None = None,
) -> Row:
    """Trains and scores one run, or the rest of it.

    Args:
        job: the run.
        folder: its run folder.
        data, scorer: the training images, and what scores the run.
        strategy: what it trains on.
        keep_generator: keep `saved_model/` in the folder (about 13 MB).
        verbose: as in `Trainer.fit`.
        work: trains instead of `train`, and returns the run's status.

    Returns:
        Its row; the status is "done", what `work` returned, "diverged at step N", or "failed: "
        with the reason.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; the run was saved.
    """
    saved = folder / "saved_model"
    status, scores = "done", {}
    try:
        if not saved.is_dir():
            trainer = open_trainer(job, folder, strategy)
            if work is None:
                train(trainer, data.train(job.config), verbose=verbose)
            else:
                status = work(trainer)
            write_atomically(folder / "status", status)
            export_saved_model(trainer.inference_generator(), saved)
        status = (folder / "status").read_text(encoding="utf-8")
        generator = ModelFolder(folder).generator()
        evaluation, scores = scorer(generator)
        evaluation.save(folder, step=_spent(folder)["steps"])
        with replacing(folder / "per_image.npz") as temporary:
            np.savez_compressed(temporary, **evaluation.per_image["model"])
        write_atomically(folder / "samples.png", scorer.strip(generator))
    except NonFiniteLossError as error:
        status = f"diverged at step {error.step}"
    except Interrupted:
        raise
    except (ConfigError, ValueError, tf.errors.OpError, TrainingError) as error:
        status = f"failed: {(one_line(error) or type(error).__name__)[:300]}"
    row = rounded(_facts(job, folder, scorer, strategy, status) | scores)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "row.json", json.dumps(row, indent=2) + "\n")
    if not status.startswith("failed"):
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    if not keep_generator:
        shutil.rmtree(saved, ignore_errors=True)
    return row


def _facts(
    job: Job, folder: Path, scorer: Scorer, strategy: tf.distribute.Strategy, status: str
) -> Row:
    """Returns every column but the scores."""
    cost, training = cost_of(job.config), job.config.training
    spent = _spent(folder)
    steps, seconds = spent["steps"], spent["steady_seconds"]
    speed = spent["steady_steps"] * training.batch_size / seconds if seconds else None
    return {
        "table_version": TABLE_VERSION,
        "package_version": __version__,
        "study": job.study,
        "variant": job.variant,
        "seed": job.seed,
        "changes": " ".join(job.changes),
        "config_hash": job.config_hash,
        "run": job.run,
        "status": status,
        "dataset": scorer.dataset.name,
        "split": job.split,
        "limit": scorer.limit,
        "count": scorer.dataset.count,
        "budget": job.budget,
        "images": job.images,
        "steps": steps,
        "batch_size": training.batch_size,
        "generator_parameters": cost.generator_parameters,
        "discriminator_parameters": cost.discriminator_parameters,
        "gflop_per_image": flops_per_image(job.config) / 1e9,
        "tflop": flops_per_image(job.config) * steps * training.batch_size / 1e12,
        "seconds": spent["seconds"],
        "images_per_second": speed,
        "device": describe_device(strategy),
        **_final_metrics(folder / "history.csv"),
    }


def _final_metrics(path: Path) -> dict[str, float | None]:
    """Returns the mean metrics over the last tenth of a run's history."""
    if not path.is_file():
        return dict.fromkeys(METRICS)
    history = pd.read_csv(path)
    return history[list(METRICS)].tail(max(1, len(history) // 10)).mean().to_dict()
