"""Runs studies into one table: finished runs are skipped, unfinished ones are resumed.

Several runners, such as one per GPU, may share a folder: a runner claims each run with a lock that
the operating system releases when its process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras
import tensorflow as tf

from ..config import Config
from ..distribute import make_strategy
from ..errors import Interrupted
from ..files import locked, write_atomically
from .comparison import add_gains
from .jobs import Job, plan
from .runs import Data, Scorer, describe_device, perform
from .study import BUDGET, FOLDER, IMAGES, Study, base_config
from .table import Results, Row, key_of, read_row

__all__ = ["Runner", "free_tf_memory", "interruptible", "run_studies"]


def _print(text: str) -> None:
    print(text, flush=True)


class Runner:
    """Performs runs one after another, in one folder with one results table.

    Args:
        folder: for the table `results.csv`, `real.png` and one folder per run.
        base: what the variants change; the default is `base_config()`.
        images: how many test images score a run; None uses all.
        strategy: what to train on; None chooses.
        keep_generators: keep each run's `saved_model/`.
        rescore: score again the runs whose generator was kept.
        say: called with each line of progress.
        verbose: as in `Trainer.fit`.

    Raises:
        StudyError: The folder's table cannot be used.
    """

    def __init__(
        self,
        folder: str | Path = FOLDER,
        *,
        base: Config | None = None,
        images: int | None = IMAGES,
        strategy: tf.distribute.Strategy | None = None,
        keep_generators: bool = True,
        rescore: bool = False,
        say: Callable[[str], None] = _print,
        verbose: int | str = "auto",
    ) -> None:
        self.folder = Path(folder)
        self.results = Results(self.folder / "results.csv")
        self.base = base or base_config()
        self.data = Data(self.base, images)
        self.strategy = strategy or make_strategy("auto")
        self.keep_generators, self.rescore = keep_generators, rescore
        self.say, self.verbose = say, verbose

    @functools.cached_property
    def scorer(self) -> Scorer:
        """Scores on the test images, which are read when first needed."""
        scorer = Scorer(self.data.test(), self.data.limit)
        write_atomically(self.folder / "real.png", scorer.strip())
        return scorer

    def done(self, job: Job) -> Row | None:
        """Returns the row of a finished or diverged run, from the table or the run's folder."""
        for row in (self.results.find(job.key), read_row(self.folder / job.run)):
            if row and key_of(row) == job.key and not row["status"].startswith("failed"):
                return row
        return None

    def run(self, jobs: Sequence[Job]) -> Results:
        """Performs the runs that are not done yet.

        Raises:
            Interrupted: Ctrl-C or SIGTERM; the run in progress was saved.
        """
        for job in jobs:  # if the table was lost, the run folders still have its rows
            row = self.done(job)
            if row and self.results.find(job.key) != row:
                self._record(row)
        left = [job for job in jobs if self._is_left(job)]
        self.say(f"{len(jobs)} runs, {len(jobs) - len(left)} of them done, in {self.folder}.")
        with interruptible() as check:
            for number, job in enumerate(left, start=1):
                check()
                with self.claim(job.run) as mine:
                    if not mine:
                        self.say(f"[{number}/{len(left)}] {job}: another runner has it.")
                    elif self._is_left(job):
                        self.say(
                            f"[{number}/{len(left)}] {job}: {job.config.training.steps:,} steps. "
                            f"Time left: {self.time_left(left[number - 1 :])}."
                        )
                        self.perform(job, self.scorer)
        return self.results

    def claim(self, name: str, wait: bool = False) -> contextlib.AbstractContextManager[bool]:
        """Enters with whether this runner may do what is named; meanwhile others may not."""
        locks = self.folder / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        return locked(locks / f"{name}.lock", wait)

    def _is_left(self, job: Job) -> bool:
        return self.done(job) is None or self._can_rescore(job)

    def _can_rescore(self, job: Job) -> bool:
        return self.rescore and (self.folder / job.run / "saved_model").is_dir()

    def perform(self, job: Job, scorer: Scorer, work: Callable[..., str] | None = None) -> Row:
        """Performs a run, adds it to the table and reports the outcome; see `runs.perform`."""
        try:
            with free_tf_memory():
                row = perform(
                    job,
                    self.folder / job.run,
                    self.data,
                    scorer,
                    self.strategy,
                    keep_generator=self.keep_generators,
                    verbose=self.verbose,
                    work=work,
                )
        except Interrupted as stop:  # its advice after the first sentence is for a single run
            raise Interrupted(f"{job}: {str(stop).partition('. ')[0]}.") from stop
        self._record(row)
        seconds = f"{row['seconds']:.0f} s" if row["seconds"] else "0 s"
        score = f", true PSNR {row['psnr']:.2f} dB" if row.get("psnr") is not None else ""
        self.say(f"    {job}: {row['status']}{score}, {seconds} of training.")
        return row

    def _record(self, row: Row) -> None:
        with self.claim("results", wait=True):
            self.results.add(row)
            if add_gains(self.results.rows, self.folder):
                self.results.write()

    def time_left(self, jobs: Sequence[Job]) -> str:
        """Returns how long runs will take, judged by the operations of those already done."""
        device = describe_device(self.strategy)
        rows = self.results.rows
        known = rows[(rows["device"] == device) & (rows["seconds"] > 0) & (rows["tflop"] > 0)]
        if not len(known):
            return "unknown until the first run is done"
        rate = known["seconds"].sum() / known["tflop"].sum()
        minutes = round(rate * sum(job.tflop for job in jobs) / 60)
        return f"about {minutes // 60} h {minutes % 60:02d} min"


def _gradient_registry() -> dict:
    """Returns TensorFlow's registry, which has no public way to clear it; empty if it has moved."""
    try:
        from tensorflow.python.framework import ops

        return ops.gradient_registry._registry
    except (ImportError, AttributeError):
        return {}


@contextlib.contextmanager
def free_tf_memory() -> Iterator[None]:
    """Frees the memory of everything built inside, such as a run that is over.

    TensorFlow keeps the gradient function of every custom gradient that a graph has ever used, and
    with it the graph and its variables: 140 MB for each run of the report's networks in bfloat16
    (`networks.layers`).
    """
    registered = _gradient_registry()
    before = set(registered)
    try:
        yield
    finally:
        for name in set(registered) - before:
            if name.startswith("CustomGradient-"):
                del registered[name]
        keras.backend.clear_session()
        gc.collect()


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Makes SIGTERM stop like Ctrl-C, also outside of training; both say how to resume.

    Yields a function to be called between runs, which stops if a SIGTERM was lost: Python ignores
    an exception that is raised while it deletes an object.
    """
    asked: list[int] = []

    def interrupt(number: int, _frame: object) -> None:
        asked.append(number)
        raise KeyboardInterrupt

    def check() -> None:
        if asked:
            raise KeyboardInterrupt

    previous = None
    with contextlib.suppress(ValueError):  # not in the main thread, signals are not ours to handle
        previous = signal.signal(signal.SIGTERM, interrupt)
    again = "To resume, run the same command again."
    try:
        yield check
    except Interrupted as stop:
        raise Interrupted(f"{stop} {again}") from stop
    except KeyboardInterrupt:
        raise Interrupted(f"Stopped; finished runs were kept. {again}") from None
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)


def run_studies(
    studies: Sequence[Study],
    folder: str | Path = FOLDER,
    *,
    budget: int = BUDGET,
    seeds: Sequence[int] | None = None,
    **options,
) -> Results:
    """Runs grid studies, each shared run once, and returns the results table.

    Args:
        studies: from `STUDIES`, or your own.
        folder: for the table and the run folders.
        budget: images seen by each variant.
        seeds: instead of each variant's own.
        **options: of `Runner`.

    Raises:
        StudyError: A variant cannot be built, in which case nothing was trained, or the folder's
            table is of another version.
        Interrupted: Ctrl-C or SIGTERM; the same call resumes.
    """
    runner = Runner(folder, **options)
    return runner.run(plan(studies, runner.base, budget, seeds))
