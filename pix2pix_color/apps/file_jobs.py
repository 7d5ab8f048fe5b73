"""Colorizes many images in parallel and films in turn, past bad ones, and resumes after a stop.

Every output is written completely or not at all, so an output that exists is finished, and the same
call resumes after any interruption. Unfinished files are hidden files beside their outputs, which
the next call clears: a subfolder of the output may be a link to another disk.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import importlib.util
import os
import shutil
import time
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FileJobError, ImageFileError, VideoError, disk_is_full, in_words, one_line
from ..files import locked
from ..image_files import SUFFIXES, find_images, in_numbers, is_output_name, output_suffix
from .video import OUTPUT_EXTENSIONS, VIDEO_EXTENSIONS, colorize_video

if TYPE_CHECKING:
    from ..colorizer import Colorizer

__all__ = [
    "Job",
    "Jobs",
    "Outcome",
    "colorize_folder",
    "find_jobs",
    "is_film_name",
    "run_jobs",
    "target_name",
]

_PARTIAL = ".pix2pix-color-partial"
_LOCK = ".pix2pix-color-lock"


@dataclasses.dataclass(frozen=True)
class Job:
    """One image or film to colorize.

    Attributes:
        source: the input file.
        target: the output file.
        problem: why it cannot be colorized, as far as is known before anything is written; or "".
    """

    source: Path
    target: Path
    problem: str = ""


class Jobs(list[Job]):
    """The jobs of a call, and `left_out`, the files in its folders that have none."""

    left_out: Sequence[Path] = ()


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
    """Colorizes all images of a folder, at any depth, several at a time, and its films.

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
) -> Jobs:
    """Returns one job per image or film, in order; folders are searched at any depth.

    The films of a folder have jobs where PyAV, which they need, is installed.

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
    left_out: list[Path] = []
    has_pyav = importlib.util.find_spec("av") is not None
    for path in map(Path, paths):
        if not path.is_dir():
            problem = "" if path.exists() else "does not exist."
            found.append(Job(path, output / target_name(name, path, format), problem))
            continue
        inside = find_images(path, skip=output)
        films = [other for other in inside.others if has_pyav and is_film_name(other)]
        if not inside.images and not films and not inside.problems:
            kinds = ", ".join(SUFFIXES)
            only = f" (it has {in_numbers(inside.others)})" if inside.others else ""
            raise FileJobError(f"No image in {path}{only}: looked for {kinds} at any depth.")
        left_out += sorted(set(inside.others) - set(films))
        for file in sorted(inside.images + films):
            place = output / file.parent.relative_to(path)
            found.append(Job(file, place / target_name(name, file, format)))
        found += [Job(p, output / p.relative_to(path), reason) for p, reason in inside.problems]
    jobs = Jobs(_without_clashes(found))
    jobs.left_out = left_out
    return jobs


def is_film_name(path: Path) -> bool:
    """Returns whether a file is treated as a film, by its suffix."""
    return path.suffix.lower() in VIDEO_EXTENSIONS


def target_name(pattern: str, source: Path, format: str | None) -> str:
    """Returns the name of an image's or a film's output; see `find_jobs`.

    Raises:
        FileJobError: the pattern is invalid, or gives no name of a file that can be written.
        ImageFileError: the format is unknown.
    """
    if is_film_name(source):
        suffix = source.suffix if source.suffix.lower() in OUTPUT_EXTENSIONS else ".mp4"
    else:
        suffix = output_suffix(source, format)
    try:
        target = pattern.format(stem=source.stem, suffix=suffix)
    except (KeyError, IndexError, ValueError) as error:
        raise FileJobError(
            f"The pattern {pattern!r} is invalid ({error}): use only {{stem}} and {{suffix}}."
        ) from error
    if not target or Path(target).name != target:
        raise FileJobError(f"The pattern {pattern!r} gives {target!r}, which is not a file name.")
    is_film_target = Path(target).suffix.lower() in OUTPUT_EXTENSIONS
    if not (is_film_target if is_film_name(source) else is_output_name(target)):
        raise FileJobError(
            f"The pattern {pattern!r} gives {target!r}, which does not end in the suffix of a "
            "format that can be written: add {suffix}."
        )
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
    film: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Iterator[Outcome]:
    """Runs the jobs, several images at a time and films in turn; yields the outcomes in order.

    Args:
        colorizer: the model.
        jobs: from `find_jobs`.
        output: the same folder; a lock keeps a second call out of it.
        overwrite: replace outputs that exist, instead of skipping them.
        workers: images at a time; the default is the number of cores.
        film: settings of `video.colorize_video` for the films; `render_size` and `strength` are
            those of the images.
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
            if is_film_name(job.source):
                job.target.parent.mkdir(parents=True, exist_ok=True)
                shared = {k: settings[k] for k in ("render_size", "strength") if k in settings}
                shared |= film or {}
                colorize_video(colorizer, job.source, job.target, overwrite=overwrite, **shared)
                return Outcome(job, "done", "", time.perf_counter() - start)
            partial = job.target.with_name(f"{prefix}{uuid.uuid4().hex}{job.target.suffix}")
            try:
                colorizer.colorize_file(job.source, partial, threads=1, **settings)
                os.replace(partial, job.target)
            finally:
                partial.unlink(missing_ok=True)
        except (ImageFileError, VideoError, OSError) as error:
            if disk_is_full(error):
                raise  # every later file would fail as well
            return Outcome(job, "failed", _reason(job, error), time.perf_counter() - start)
        return Outcome(job, "done", "", time.perf_counter() - start)

    with _alone_in(output, {job.target.parent for job in jobs}) as prefix:
        yield from _in_order(work, jobs, workers)


def _cores() -> int:
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


def _reason(job: Job, error: Exception) -> str:
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
    """Yields the outcomes in order, with only a few images in memory at a time.

    A film is colorized here, not in the pool, when its turn comes: Ctrl-C stops it at once.
    """
    pool = concurrent.futures.ThreadPoolExecutor(workers)
    waiting: collections.deque[Callable[[], Outcome]] = collections.deque()
    try:
        for job in jobs:
            is_film = is_film_name(job.source)
            waiting.append(
                functools.partial(work, job) if is_film else pool.submit(work, job).result
            )
            if len(waiting) > 4 * workers:
                yield waiting.popleft()()
        while waiting:
            yield waiting.popleft()()
    finally:  # also when the caller stops: jobs that have not started are dropped
        pool.shutdown(cancel_futures=True)
