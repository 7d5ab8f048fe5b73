"""Runs studies: what is done is skipped, what is half done is gone on with, one table.

Several runners, one a GPU say, may share a folder: each run is claimed by a lock that the
operating system frees when its runner ends, however it ends.
"""

from __future__ import annotations

import contextlib
import gc
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import filelock
import keras
import tensorflow as tf

from ..config import Config
from ..distribute import make_strategy
from ..errors import Interrupted
from ..files import write_atomically
from .comparison import add_gains
from .jobs import Job, plan
from .runs import Data, Scorer, describe_device, perform
from .studies import BUDGET, FOLDER, IMAGES, Study, base_config
from .table import Results, Row, key_of, read_row

__all__ = ["Runner", "run_studies", "run_study"]


def _print(text: str) -> None:
    print(text, flush=True)


class Runner:
    """Performs runs one after another, in one folder with one results table.

    Args:
        folder: for the table `results.csv`, `real.png` and a folder a run.
        base: what the variants change; the default is `base_config()`.
        images: how many test images score a run; None takes all.
        strategy: what trains; None picks.
        keep_generators: leave each run's `generator.keras`.
        rescore: score again the runs whose generator is still there.
        say: takes the lines that tell how it goes.
        verbose: as in `Trainer.fit`.

    Raises:
        StudyError: the folder's table cannot be used.
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
        self._limit = images
        self._scorer: Scorer | None = None

    @property
    def scorer(self) -> Scorer:
        """Scores on the test images, which are read when first needed."""
        if self._scorer is None:
            self._scorer = Scorer(self.data.test(), self._limit)
            write_atomically(self.folder / "real.png", self._scorer.strip())
        return self._scorer

    def done(self, job: Job) -> Row | None:
        """Returns the row of a run that is done or has diverged, from the table or its folder."""
        for row in (self.results.find(job.key), read_row(self.folder / job.run)):
            if row and key_of(row) == job.key and not row["status"].startswith("failed"):
                return row
        return None

    def run(self, jobs: Sequence[Job]) -> Results:
        """Performs the runs that are not done yet.

        Raises:
            Interrupted: Ctrl-C or SIGTERM; the run in progress was saved.
        """
        for job in jobs:  # of a table that was lost, the folders still have the rows
            row = self.done(job)
            if row and self.results.find(job.key) != row:
                self._record(row)
        left = [job for job in jobs if self._is_left(job)]
        self.say(f"{len(jobs)} runs, {len(jobs) - len(left)} of them done, in {self.folder}.")
        with clean_stop() as check:
            for number, job in enumerate(left, start=1):
                check()
                with self.claim(job.run) as mine:
                    if not mine:
                        self.say(f"[{number}/{len(left)}] {job}: with another runner.")
                    elif self._is_left(job):
                        self.say(
                            f"[{number}/{len(left)}] {job}: {job.config.training.steps:,} steps. "
                            f"Left in all: {self.time_left(left[number - 1 :])}."
                        )
                        self.perform(job, self.scorer)
        return self.results

    @contextlib.contextmanager
    def claim(self, name: str) -> Iterator[bool]:
        """Yields whether this runner is the one to do what is named, and keeps others from it."""
        lock = self._lock(name)
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def _lock(self, name: str) -> filelock.BaseFileLock:
        locks = self.folder / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        return filelock.FileLock(locks / f"{name}.lock")

    def _is_left(self, job: Job) -> bool:
        return self.done(job) is None or self._can_rescore(job)

    def _can_rescore(self, job: Job) -> bool:
        return self.rescore and (self.folder / job.run / "generator.keras").is_file()

    def perform(self, job: Job, scorer: Scorer, work: Callable[..., str] | None = None) -> Row:
        """Performs a run, adds it to the table and says how it went; see `runs.perform`."""
        try:
            with released():
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
        except Interrupted as stop:  # its advice is for a single run
            raise Interrupted(f"{job}: {str(stop).partition(' To go on')[0]}") from stop
        self._record(row)
        seconds = f"{row['seconds']:.0f} s" if row["seconds"] else "0 s"
        score = f", true PSNR {row['psnr']:.2f} dB" if row.get("psnr") is not None else ""
        self.say(f"    {job}: {row['status']}{score}, {seconds} of training.")
        return row

    def _record(self, row: Row) -> None:
        with self._lock("results"):
            self.results.add(row)
            if add_gains(self.results.rows, self.folder):
                self.results.write()

    def time_left(self, jobs: Sequence[Job]) -> str:
        """Returns in words how long runs will take, by the operations of those already done."""
        device = describe_device(self.strategy)
        known = [r for r in self.results.rows if r["device"] == device and r["seconds"]]
        known = [row for row in known if row["tflop"]]
        if not known:
            return "unknown until a run is done"
        rate = sum(row["seconds"] for row in known) / sum(row["tflop"] for row in known)
        minutes = round(rate * sum(job.tflop for job in jobs) / 60)
        return f"about {minutes // 60} h {minutes % 60:02d} min"


def _gradient_registry() -> dict:
    """Returns TensorFlow's own, which it offers no way to clear; empty where it is elsewhere."""
    try:
        from tensorflow.python.framework import ops

        return ops.gradient_registry._registry
    except (ImportError, AttributeError):
        return {}


@contextlib.contextmanager
def released() -> Iterator[None]:
    """Gives back the memory of what is built inside: of a run, once it is over.

    TensorFlow keeps the gradient function of every custom gradient that a graph has ever
    used, and with it the graph and its variables: 140 MB a run of the report's networks,
    which have them in bfloat16 (`layers`).
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
def clean_stop() -> Iterator[Callable[[], None]]:
    """Makes SIGTERM stop like Ctrl-C, also outside of training, and both say how to go on.

    Yields a function to be called between runs, which stops if a SIGTERM was lost: Python drops
    what is raised while it deletes an object.
    """
    asked: list[int] = []

    def interrupt(number: int, _frame: object) -> None:
        asked.append(number)
        raise KeyboardInterrupt

    def check() -> None:
        if asked:
            raise KeyboardInterrupt

    previous = None
    with contextlib.suppress(ValueError):  # not in the main thread: signals are not ours
        previous = signal.signal(signal.SIGTERM, interrupt)
    again = "To go on, give the same command again."
    try:
        yield check
    except Interrupted as stop:
        raise Interrupted(f"{stop} {again}") from stop
    except KeyboardInterrupt:
        raise Interrupted(f"Stopped; what is done is kept. {again}") from None
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
        studies: from `STUDIES`, or of your own.
        folder: for the table and the run folders.
        budget: images seen by each variant.
        seeds: instead of each variant's own.
        **options: of `Runner`.

    Raises:
        StudyError: a variant that cannot be built; nothing has been trained then.
        StudyError: the folder holds the table of another version.
        Interrupted: Ctrl-C or SIGTERM; giving the same call again goes on.
    """
    runner = Runner(folder, **options)
    return runner.run(plan(studies, runner.base, budget, seeds))


def run_study(study: Study, folder: str | Path = FOLDER, **options) -> Results:
    """Runs one study; see `run_studies`."""
    return run_studies([study], folder, **options)
