"""Runs studies into one table: finished runs are skipped, unfinished ones are resumed.

Several runners, such as one per GPU, may share a folder: a runner claims each run with a lock that
the operating system releases when its process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import io
import shutil
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from .. import __version__, color
from ..config import Config
from ..data import ImageDataset, load_dataset
from ..distribute import describe_strategy, make_strategy
from ..errors import Interrupted, NonFiniteLossError, Pix2PixColorError, one_line
from ..evaluation import BASELINES, Evaluation, evaluate, sample_images
from ..export import export_saved_model
from ..files import locked, replacing, write_atomically
from ..model_folder import ModelFolder
from ..training import METRICS, Trainer
from .comparison import add_gains
from .cost import cost_of, flops_per_image
from .jobs import Job, plan
from .study import FOLDER, IMAGES, Study, config_hash
from .table import SAMPLES, TABLE_FILE, TABLE_VERSION, Results, Row, pd

__all__ = ["free_tf_memory", "run_studies"]

_SAMPLES = 8  # test images that each run colorizes, the same for all
_say = functools.partial(print, flush=True)


def run_studies(
    studies: Sequence[Study], folder: str | Path = FOLDER, *, images: int | None = IMAGES
) -> Results:
    """Runs studies, each shared run once, and returns the results table.

    Args:
        studies: from `STUDIES`, or your own.
        folder: for the table, sample images, and one folder per run.
        images: how many test images score a run; None uses all.

    Raises:
        StudyError: A variant cannot be built, in which case nothing was trained, or the folder's
            table cannot be used.
        Interrupted: Ctrl-C or SIGTERM during training; the same call resumes.
    """
    runner = _Runner(Path(folder), images)
    runner.run(plan(studies))
    return runner.results


class _Runner:
    """Performs runs one after another; the arguments are those of `run_studies`."""

    def __init__(self, folder: Path, images: int | None) -> None:
        self.folder, self.images = folder, images
        self.strategy = make_strategy("auto")
        self.results = Results(self.folder / TABLE_FILE)
        self._load = functools.cache(load_dataset)  # each split is read once for all runs

    def run(self, jobs: Sequence[Job]) -> None:
        """Performs the runs that are not done yet."""
        left = [job for job in jobs if not self._is_done(job)]
        _say(f"{len(jobs)} runs, {len(jobs) - len(left)} of them done, in {self.folder}.")
        for number, job in enumerate(left, start=1):
            with self.claim(job.run) as mine:
                if not mine:
                    _say(f"[{number}/{len(left)}] {job}: another runner has it.")
                else:
                    _say(f"[{number}/{len(left)}] {job}: {job.config.training.steps:,} steps.")
                    self._perform(job)

    def claim(self, name: str, wait: bool = False) -> contextlib.AbstractContextManager[bool]:
        """Enters with whether this runner may do what is named; meanwhile others may not."""
        locks = self.folder / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        return locked(locks / f"{name}.lock", wait)

    def _is_done(self, job: Job) -> bool:
        rows = self.results.rows
        return job.run in set(rows.loc[~rows["status"].str.startswith("failed"), "run"])

    def _perform(self, job: Job) -> None:
        """Trains and scores a run, or the rest of it, and adds its row to the table."""
        folder = self.folder / job.run
        status, steps, scores = "done", job.config.training.steps, {}
        try:
            if not (folder / "saved_model").is_dir():
                self._train(job, folder)
            scores = self._score(job, folder)
        except NonFiniteLossError as error:
            status, steps = f"diverged at step {error.step}", error.step
        except Interrupted as stop:  # its advice after the first sentence is for a single run
            what = f"{job}: {str(stop).partition('. ')[0]}"
            raise Interrupted(f"{what}. To resume, run the same command again.") from stop
        except (Pix2PixColorError, ValueError, tf.errors.OpError) as error:
            status, steps = f"failed: {(one_line(error) or type(error).__name__)[:300]}", None
        free_tf_memory()
        row = self._facts(job, status, steps) | scores
        with self.claim("results", wait=True):
            self.results.add([row])
            add_gains(self.results.rows, self.folder)
            self.results.write()
        if steps is not None:
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        score = f", true PSNR {row['psnr']:.2f} dB" if "psnr" in row else ""
        _say(f"    {job}: {status}{score}.")

    def _train(self, job: Job, folder: Path) -> None:
        if (folder / "config.json").is_file():
            trainer = Trainer.resume(folder, strategy=self.strategy)
        else:
            trainer = Trainer(job.config, folder, self.strategy)
        if trainer.current_step < job.config.training.steps:
            trainer.fit(self._dataset(job.config, "train"))
        export_saved_model(trainer.inference_generator(), folder / "saved_model")

    def _dataset(self, config: Config, split: str, limit: int | None = None) -> ImageDataset:
        data = config.data
        options = {"image_size": data.image_size, "drop_gray": data.drop_gray}
        return self._load(data.dataset, split, limit=limit, **options)

    def _score(self, job: Job, folder: Path) -> Row:
        """Returns the columns of a trained run, and writes its evaluation and sample images."""
        generator, base = ModelFolder(folder).generator(), job.study.base
        test = self._dataset(base, "test", self.images)
        reference = self._dataset(base, "train")
        evaluation = evaluate(generator, test, reference=reference, progress=False)
        evaluation.save(folder, step=job.config.training.steps)
        with replacing(folder / "per_image.npz") as temporary:
            np.savez_compressed(temporary, **evaluation.per_image["model"])
        real = sample_images(test, _SAMPLES)
        lightness, _ = color.split(real)
        fake = color.to_uint8(color.merge(lightness, generator(lightness, training=False)))
        for name, images in (("real", real), (job.run, fake.numpy())):
            file = io.BytesIO()
            Image.fromarray(np.concatenate(images, axis=1)).save(file, "png")
            write_atomically(self.folder / SAMPLES / f"{name}.png", file.getvalue())
        history = pd.read_csv(folder / "history.csv")[list(METRICS)]
        return history.tail(max(1, len(history) // 10)).mean().to_dict() | _scores(evaluation)

    def _facts(self, job: Job, status: str, steps: int | None) -> Row:
        """Returns the columns that say what was run."""
        scored = self._dataset(job.study.base, "test", self.images)
        generator, discriminator = cost_of(job.config)
        training, flops = job.config.training, flops_per_image(job.config)
        return {
            "table_version": TABLE_VERSION,
            "package_version": __version__,
            "study": job.study.name,
            "variant": job.variant.name,
            "seed": job.seed,
            "changes": " ".join(job.variant.changes),
            "config_hash": config_hash(job.config),
            "run": job.run,
            "status": status,
            "dataset": scored.name,
            "split": scored.split,
            "limit": self.images,
            "count": scored.count,
            "budget": job.study.budget,
            "images": job.images,
            "steps": steps,
            "batch_size": training.batch_size,
            "generator_parameters": generator.parameters,
            "discriminator_parameters": discriminator.parameters,
            "gflop_per_image": flops / 1e9,
            "tflop": flops * (steps or 0) * training.batch_size / 1e12,
            "device": describe_strategy(self.strategy),
        }


def _scores(evaluation: Evaluation) -> Row:
    """Returns the model's scores with their intervals, and the baselines' true PSNR."""
    scores, row = evaluation.scores, {}
    for name, value in scores["model"].items():
        low, high = evaluation.intervals["model"][name]
        row |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return row | {f"{name}_psnr": scores[name]["psnr"] for name in BASELINES if name in scores}


def free_tf_memory() -> None:
    """Frees the memory of a run that is over.

    TensorFlow keeps the gradient function of every custom gradient that a graph has ever used, and
    with it the graph and its variables: 140 MB for each run of the report's networks in bfloat16
    (`networks.layers`). Its registry has no public way to clear it.
    """
    with contextlib.suppress(ImportError, AttributeError):
        from tensorflow.python.framework import ops

        registered = ops.gradient_registry._registry
        for name in [name for name in registered if name.startswith("CustomGradient-")]:
            del registered[name]
    keras.backend.clear_session()
    gc.collect()
