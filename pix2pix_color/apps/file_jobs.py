"""Colorizes many image files in parallel, continues past bad ones, and resumes after a stop.

Every output is written completely or not at all, so an output that exists is finished, and the same
call resumes after any interruption. Unfinished files are hidden files beside their outputs, which
the next call clears: a subfolder of the output may be a link to another disk.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import os
import shutil
import time
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FileJobError, ImageFileError, disk_is_full, in_words, one_line
from ..files import locked
from ..image_files import SUFFIXES, find_images, output_suffix

if TYPE_CHECKING:
    from ..colorizer import Colorizer

__all__ = ["Job", "Outcome", "colorize_folder", "find_jobs", "run_jobs"]

_PARTIAL = ".pix2pix-color-partial"
_LOCK = ".pix2pix-color-lock"


@dataclasses.dataclass(frozen=True)
class Job:
    """One image to colorize.

    Attributes:
        source: the input file.
        target: the output file.
        problem: why it cannot be colorized, as far as is known before anything is written; or "".
    """

    source: Path
    target: Path
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of a job.

    Attributes:
        job: the job.
        status: `"done"`, `"skipped"` (its output exists) or `"failed"`.
        reason: why it failed, one line; or "".
        seconds: how long it took.
    """

    job: Job
    status: str
    reason: str = ""
    seconds: float = 0.0


def colorize_folder(
    colorizer: Colorizer,
    folder: str | Path,
    output: str | Path,
    *,
    format: str | None = None,
    name: str = "{stem}{suffix}",
    **settings: Any,
) -> list[Outcome]:
    """Colorizes all images of a folder, at any depth, several at a time.

    Continues after an image that cannot be colorized and skips images whose output exists, so the
    same call resumes after an interruption.

    Args:
        colorizer: the model.
        folder: searched for images; never changed.
        output: a folder, which gets the same tree.
        format, name: as in `find_jobs`.
        **settings: as in `run_jobs`.

    Returns:
        One outcome per image, in order.

    Raises:
        FileJobError: the whole job is impossible.
        ColorizerError: a setting is out of range.
    """
    from ..colorizer import check_settings  # loads TensorFlow

    check_settings(colorizer.multiple, settings.get("render_size"), settings.get("strength", 1.0))
    jobs = find_jobs([folder], output, format=format, name=name)
    return list(run_jobs(colorizer, jobs, output, **settings))


def find_jobs(
    paths: Sequence[str | Path],
    output: str | Path,
    *,
    format: str | None = None,
    name: str = "{stem}{suffix}",
) -> list[Job]:
    """Returns one job per image, in order; folders are searched at any depth.

    Args:
        paths: image files, and folders whose tree is kept below `output`.
        output: a folder, which need not exist.
        format: a format's name or suffix; the default is each input's own, PNG for a GIF.
        name: pattern of an output's name: `{stem}` is the input's name without its suffix,
            `{suffix}` the suffix of the output format, with its dot.

    Returns:
        The jobs. Of several inputs with the same output, only the first has no `problem`.

    Raises:
        FileJobError: a folder contains no image, the output is a file, or the pattern is invalid.
        ImageFileError: the format is unknown.
    """
    output = Path(output)
    if output.exists() and not output.is_dir():
        raise FileJobError(f"{output} is a file: for several images the output is a folder.")
    found: list[Job] = []
    for path in map(Path, paths):
        if not path.is_dir():
            found.append(Job(path, output / _target_name(name, path, format)))
            continue
        inside = find_images(path, skip=output)
        if not inside.images and not inside.problems:
            kinds = ", ".join(SUFFIXES)
            raise FileJobError(f"No image in {path}: looked for {kinds} at any depth.")
        for image in inside.images:
            place = output / image.parent.relative_to(path)
            found.append(Job(image, place / _target_name(name, image, format)))
        found += [Job(p, output / p.relative_to(path), reason) for p, reason in inside.problems]
    return _without_clashes(found)


def _target_name(pattern: str, source: Path, format: str | None) -> str:
    try:
        target = pattern.format(stem=source.stem, suffix=output_suffix(source, format))
    except (KeyError, IndexError, ValueError) as error:
        raise FileJobError(
            f"The pattern {pattern!r} is invalid ({error}): use only {{stem}} and {{suffix}}."
        ) from error
    if not target or Path(target).name != target:
        raise FileJobError(f"The pattern {pattern!r} gives {target!r}, which is not a file name.")
    return target


def _without_clashes(jobs: Sequence[Job]) -> list[Job]:
    """Marks the jobs whose output is an input, or the output of another job."""
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
                f"its output {job.target} is already the output of {taken[key]}. Choose another "
                "folder or another name pattern."
            )
        if not problem:
            taken[key] = job.source
        result.append(dataclasses.replace(job, problem=problem))
    return result


def run_jobs(
    colorizer: Colorizer,
    jobs: Sequence[Job],
    output: str | Path,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    **settings: Any,
) -> Iterator[Outcome]:
    """Runs the jobs, several at a time, and yields their outcomes in order.

    Args:
        colorizer: the model.
        jobs: from `find_jobs`.
        output: the same folder; a lock keeps a second call out of it.
        overwrite: replace outputs that exist, instead of skipping them.
        workers: images at a time; the default is the number of cores.
        **settings: of `Colorizer.colorize_file`.

    Raises:
        FileJobError: another call is writing to the folder.
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
            partial = job.target.with_name(f"{prefix}{uuid.uuid4().hex}{job.target.suffix}")
            try:
                colorizer.colorize_file(job.source, partial, threads=1, **settings)
                os.replace(partial, job.target)
            finally:
                partial.unlink(missing_ok=True)
        except (ImageFileError, OSError) as error:
            if disk_is_full(error):
                raise  # every later file would fail as well
            return Outcome(job, "failed", _reason(job, error), time.perf_counter() - start)
        return Outcome(job, "done", "", time.perf_counter() - start)

    with _alone_in(output, {job.target.parent for job in jobs}) as prefix:
        yield from _in_order(work, jobs, workers)


def _cores() -> int:
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


def _reason(job: Job, error: ImageFileError | OSError) -> str:
    message = in_words(error) if isinstance(error, OSError) else one_line(error)
    return message if str(job.source) in message else f"{job.source}: {message}"


@contextlib.contextmanager
def _alone_in(output: Path, folders: Iterable[Path]) -> Iterator[str]:
    """Keeps other calls out, clears what a killed one left, and yields the partial files' prefix.

    The prefix is that of the output: a call for a folder inside it leaves these files alone.
    """
    output.mkdir(parents=True, exist_ok=True)
    with locked(output / _LOCK) as mine:
        if not mine:
            raise FileJobError(
                f"Another pix2pix-color is writing to {output}: wait for it, or choose another "
                "folder."
            )
        prefix = f"{_PARTIAL}-{zlib.crc32(os.fsencode(output.resolve())):08x}-"
        for folder in folders:
            for left in folder.glob(f"*{prefix}*"):  # a file, or the folder of `files.replacing`
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        try:
            yield prefix
        finally:
            (output / _LOCK).unlink(missing_ok=True)


def _in_order(
    work: Callable[[Job], Outcome], jobs: Iterable[Job], workers: int
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
    finally:  # also when the caller stops: jobs that have not started are dropped
        pool.shutdown(cancel_futures=True)
