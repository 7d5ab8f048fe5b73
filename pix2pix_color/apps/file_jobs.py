"""Colorizes image files: one, or many in parallel, past bad ones, on from where it stopped.

Every output is written whole or not at all, so one that exists is done: the same call goes on
after any interruption. What is being written lies in one hidden folder of the output, which
the next call clears.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import errno
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import filelock
import numpy as np

from ..errors import FileJobError, ImageFileError
from ..image_files import FORMATS, output_suffix, read_image_file, write_image_file

__all__ = ["Job", "Outcome", "colorize_one", "find_jobs", "run_jobs"]

Colorize = Callable[..., np.ndarray]
"""A `Colorizer`: pixels and settings to RGB of the same type and size."""

EXTENSIONS = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)
_PARTIAL = ".pix2pix-color-partial"
_LOCK = ".pix2pix-color-lock"


@dataclasses.dataclass(frozen=True)
class Job:
    """One image to colorize.

    Attributes:
        source: the input file.
        target: the output file.
        problem: why it cannot be done, found before anything is written; or empty.
    """

    source: Path
    target: Path
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        job: the job.
        status: `"done"`, `"skipped"` (its output exists) or `"failed"`.
        reason: of a failure, one line.
        seconds: spent on it.
    """

    job: Job
    status: str
    reason: str = ""
    seconds: float = 0.0


def colorize_one(
    colorize: Colorize,
    source: str | Path | BinaryIO,
    destination: str | Path | BinaryIO,
    *,
    format: str | None = None,
    compare: bool = False,
    **settings: Any,
) -> None:
    """Colorizes one image file; an `ImageFileWarning` says what was lost on the way.

    Args:
        colorize: a `Colorizer`.
        source: to read.
        destination: to write, whole or not at all; an existing file is replaced.
        format: as in `write_image_file`.
        compare: write the gray image and the colorized one side by side.
        **settings: of `Colorizer.__call__`.

    Raises:
        ImageFileError: a source that cannot be read, or an unknown format.
        OSError: a destination that cannot be written.
    """
    image = read_image_file(source)
    rgb = colorize(image.pixels, **settings)
    if compare:
        gray = colorize(image.pixels, **settings | {"strength": 0.0})
        rgb = np.concatenate([gray, rgb], axis=1)
        image = dataclasses.replace(image, pixels=rgb, alpha=None)
    write_image_file(image, rgb, destination, format=format)


# What there is to do ------------------------------------------------------------------------


def find_jobs(
    paths: Sequence[str | Path],
    output: str | Path,
    *,
    format: str | None = None,
    name: str = "{stem}{suffix}",
) -> list[Job]:
    """Returns what there is to do, in order; folders are searched to any depth.

    Args:
        paths: image files, and folders whose tree is kept below `output`.
        output: a folder, which need not exist.
        format: a format's name or suffix; the default is each input's own, PNG for a GIF.
        name: of an output: `{stem}` is the input's name without suffix, `{suffix}` the
            output format's, with its dot.

    Returns:
        A job a file. Of several inputs with one output only the first has no `problem`.

    Raises:
        FileJobError: no image in a folder, an output that is a file, or a bad pattern.
    """
    output = Path(output)
    if output.exists() and not output.is_dir():
        raise FileJobError(f"{output} is a file: for several images the output is a folder.")
    found: list[Job] = []
    for path in map(Path, paths):
        if not path.is_dir():
            found.append(Job(path, output / _target_name(name, path, format)))
            continue
        inside = list(_walk(path, output, name, format))
        if not inside:
            kinds = ", ".join(EXTENSIONS)
            raise FileJobError(f"No image in {path}: looked for {kinds} at any depth.")
        found += inside
    return _without_clashes(found)


def _target_name(pattern: str, source: Path, format: str | None) -> str:
    try:
        target = pattern.format(stem=source.stem, suffix=output_suffix(source, format))
    except (KeyError, IndexError, ValueError) as error:
        raise FileJobError(
            f"The pattern {pattern!r} cannot be used ({error}): it holds {{stem}} and {{suffix}}."
        ) from error
    if not target or Path(target).name != target:
        raise FileJobError(f"The pattern {pattern!r} makes {target!r}, which is no file name.")
    return target


def _walk(top: Path, output: Path, name: str, format: str | None) -> Iterator[Job]:
    """Yields the jobs of a folder; links to folders are followed, but never in a circle."""
    made, folders = output.resolve(), [(top, (top.resolve(),))]
    while folders:
        folder, above = folders.pop(0)
        place = output / folder.relative_to(top)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            yield Job(folder, place, f"cannot be read: {error.strerror}")
            continue
        for entry in entries:
            path = Path(entry.path)
            try:
                if entry.is_dir():
                    real = path.resolve()
                    if real in above:
                        yield Job(path, place / entry.name, "is a link back to a folder above it")
                    # What an earlier call wrote inside an input is no input.
                    elif real != made or made == above[0]:
                        folders.append((path, (*above, real)))
                    continue
            except OSError as error:  # such as a link to itself
                yield Job(path, place / entry.name, f"cannot be read: {error.strerror}")
                continue
            if path.suffix.lower() in EXTENSIONS and not entry.name.startswith("."):
                yield Job(path, place / _target_name(name, path, format))


def _without_clashes(jobs: Iterable[Job]) -> list[Job]:
    """Marks the jobs whose output is an input, or another one's output."""
    jobs = list(jobs)
    inputs = {os.path.realpath(job.source) for job in jobs}
    taken: dict[str, Path] = {}
    result = []
    for job in jobs:
        key = os.path.realpath(job.target)
        problem = job.problem
        if not problem and key in inputs:
            problem = f"its output {job.target} would replace an input. Choose another folder."
        elif not problem and key in taken:
            problem = (
                f"its output {job.target} is already that of {taken[key]}. Colorize it into "
                "another folder, or with another name pattern."
            )
        if not problem:
            taken[key] = job.source
        result.append(dataclasses.replace(job, problem=problem))
    return result


# Doing it -----------------------------------------------------------------------------------


def run_jobs(
    colorize: Colorize,
    jobs: Sequence[Job],
    output: str | Path,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    **settings: Any,
) -> Iterator[Outcome]:
    """Does the jobs, several at a time, and yields how each ended, in order.

    Args:
        colorize: a `Colorizer`.
        jobs: from `find_jobs`.
        output: the same folder; a lock keeps a second call out of it.
        overwrite: replace outputs that exist; else they are skipped.
        workers: images at a time; the default is the number of cores.
        **settings: of `colorize_one`.

    Raises:
        FileJobError: another call is writing there.
        OSError: the folder cannot be written to, or the disk is full.
    """
    output = Path(output)
    workers = workers or _cores()

    def work(job: Job) -> Outcome:
        start = time.perf_counter()
        try:
            if job.problem:
                raise ImageFileError(f"{job.source}: {job.problem}")
            if not overwrite and os.path.lexists(job.target):
                return Outcome(job, "skipped")
            partial = room / f"{uuid.uuid4().hex}{job.target.suffix}"
            colorize_one(colorize, job.source, partial, threads=1, **settings)
            job.target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(partial, job.target)
        except (ImageFileError, OSError) as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise  # every next file would meet it too
            return Outcome(job, "failed", _reason(job, error), time.perf_counter() - start)
        return Outcome(job, "done", "", time.perf_counter() - start)

    with _room_in(output) as room:
        yield from _in_order(work, jobs, workers)


def _cores() -> int:
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


def _reason(job: Job, error: Exception) -> str:
    message = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        message = f"{error.strerror}: {error.filename or job.target}"
    return message if str(job.source) in message else f"{job.source}: {message}"


@contextlib.contextmanager
def _room_in(output: Path) -> Iterator[Path]:
    """Yields an empty hidden folder of the output for what is not whole yet."""
    output.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(output / _LOCK)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        raise FileJobError(
            f"Another pix2pix-color is writing to {output}: wait for it, or choose another folder."
        ) from None
    room = output / _PARTIAL
    try:
        shutil.rmtree(room, ignore_errors=True)
        room.mkdir(exist_ok=True)
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)
        lock.release()
        (output / _LOCK).unlink(missing_ok=True)


def _in_order(
    work: Callable[[Job], Outcome], jobs: Sequence[Job], workers: int
) -> Iterator[Outcome]:
    """Yields the outcomes in order, with only a few images in memory at a time."""
    pool = concurrent.futures.ThreadPoolExecutor(workers)
    waiting: collections.deque[concurrent.futures.Future] = collections.deque()
    try:
        for job in jobs:
            waiting.append(pool.submit(work, job))
            if len(waiting) > 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # also when the caller stops: what has not begun is not begun
        pool.shutdown(cancel_futures=True)
