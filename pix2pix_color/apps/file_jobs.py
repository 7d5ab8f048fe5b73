"""Colorizes many images in parallel and films in turn, past bad ones, and resumes after a stop.

Every output is written completely or not at all, so an output that exists is finished, and the same
call resumes after any interruption. Unfinished files lie in hidden folders beside their outputs,
which the next call clears: a subfolder of the output may be a link to another disk.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import (
    FileJobError,
    ImageFileError,
    UsageError,
    VideoError,
    disk_is_full,
    in_words,
    one_line,
)
from ..files import UNFINISHED, locked
from ..image_files import OUTPUT_FORMATS, SUFFIXES, find_images, in_numbers, output_suffix
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
    "job_of",
    "run_job",
    "run_jobs",
]

_LOCK = f"{UNFINISHED}lock"


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
    """Colorizes the images and films of a folder, at any depth: `find_jobs`, then `run_jobs`.

    Continues after an image that cannot be colorized and skips images whose output exists, so the
    same call resumes after an interruption. The folder is never changed. Arguments and errors are
    those of the two functions.

    Returns:
        One outcome per image, in order.
    """
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
        FileJobError: a folder contains no image, or the output is a file.
        UsageError: the pattern is invalid, or gives no name of a file that can be written.
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
            found.append(Job(path, output / _target_name(name, path, format)))
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
            found.append(Job(file, place / _target_name(name, file, format)))
        found += [Job(p, output / p.relative_to(path), reason) for p, reason in inside.problems]
    jobs = Jobs(_checked(found))
    jobs.left_out = left_out
    return jobs


def job_of(source: str | Path, target: str | Path) -> Job:
    """Returns the job of one image or film, whose output is a file.

    Raises:
        UsageError: the target's suffix is not that of a format that can be written.
    """
    source, target = Path(source), Path(target)
    _check_suffix(source, target)
    return _checked([Job(source, target)])[0]


def is_film_name(path: Path) -> bool:
    """Returns whether a file is treated as a film, by its suffix."""
    return path.suffix.lower() in VIDEO_EXTENSIONS


def _target_name(pattern: str, source: Path, format: str | None) -> str:
    if is_film_name(source):
        suffix = source.suffix if source.suffix.lower() in OUTPUT_EXTENSIONS else ".mp4"
    else:
        suffix = output_suffix(source, format)
    try:
        target = pattern.format(stem=source.stem, suffix=suffix)
    except (KeyError, IndexError, ValueError, AttributeError):
        target = ""
    if not target or Path(target).name != target:
        raise UsageError(
            f"The pattern {pattern!r} gives no file name: use only {{stem}} and {{suffix}}."
        )
    _check_suffix(source, Path(target))
    return target


def _check_suffix(source: Path, target: Path) -> None:
    of_images = sum(OUTPUT_FORMATS.values(), ())
    suffixes = OUTPUT_EXTENSIONS if is_film_name(source) else of_images
    if target.suffix.lower() not in suffixes:
        raise UsageError(
            f"The output {target} has no suffix of a format that can be written from this input: "
            f"{', '.join(suffixes)}. (A slash at the end makes it a folder.)"
        )


def _checked(jobs: Sequence[Job]) -> list[Job]:
    """Marks the jobs without an input, and those whose output is an input or another's output."""
    inputs = {os.path.realpath(job.source) for job in jobs}
    taken: dict[str, Path] = {}
    result = []
    for job in jobs:
        place, problem = os.path.realpath(job.target), job.problem
        if not problem and not os.path.lexists(job.source):
            problem = "does not exist."
        elif not problem and place in inputs:
            problem = f"its output {job.target} would replace an input. Choose another folder."
        elif not problem and job.target.is_dir():
            problem = f"its output {job.target} is a folder."
        elif not problem and taken.setdefault(place, job.source) != job.source:
            problem = (
                f"its output {job.target} is already the output of {taken[place]}. Choose another "
                "folder or another name pattern."
            )
        result.append(dataclasses.replace(job, problem=problem))
    return result


def run_job(
    colorizer: Colorizer,
    job: Job,
    *,
    overwrite: bool = False,
    film: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Outcome:
    """Colorizes one image or film; the output appears complete or not at all.

    Args:
        colorizer: the model.
        job: from `job_of` or `find_jobs`.
        overwrite: replace an output that exists, instead of skipping it.
        film: settings of `video.colorize_video`, for a film; `render_size` and `strength` are
            those of images.
        **settings: of `Colorizer.colorize_file`.

    Raises:
        ColorizerError: a setting is out of range.
        OSError: the disk is full: every later file would fail as well.
    """
    start = time.perf_counter()
    if job.problem:
        return Outcome(job, "failed", f"{job.source}: {job.problem}")
    if not overwrite and os.path.lexists(job.target):
        return Outcome(job, "skipped")
    colorize = colorizer.colorize_file
    if is_film_name(job.source):
        job.target.parent.mkdir(parents=True, exist_ok=True)
        shared = {name: settings[name] for name in ("render_size", "strength") if name in settings}
        colorize, settings = functools.partial(colorize_video, colorizer), shared | (film or {})
    try:
        colorize(job.source, job.target, overwrite=overwrite, **settings)
    except (ImageFileError, VideoError, OSError) as error:
        if disk_is_full(error):
            raise
        reason = in_words(error) if isinstance(error, OSError) else one_line(error)
        reason = reason if str(job.source) in reason else f"{job.source}: {reason}"
        return Outcome(job, "failed", reason, time.perf_counter() - start)
    return Outcome(job, "done", "", time.perf_counter() - start)


def run_jobs(
    colorizer: Colorizer,
    jobs: Sequence[Job],
    output: str | Path,
    *,
    workers: int | None = None,
    **settings: Any,
) -> Iterator[Outcome]:
    """Runs the jobs, several images at a time and films in turn; yields the outcomes in order.

    Args:
        colorizer: the model.
        jobs: from `find_jobs`.
        output: the same folder; a lock keeps a second call out of it.
        workers: images at a time; the default is the number of cores.
        **settings: of `run_job`.

    Raises:
        FileJobError: another call is writing to the folder.
        ColorizerError: a setting is out of range.
        OSError: the folder cannot be written to, or the disk is full.
    """
    if workers is None:
        has_affinity = hasattr(os, "sched_getaffinity")
        workers = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    work = functools.partial(run_job, colorizer, threads=1, **settings)
    with _alone_in(Path(output), jobs), concurrent.futures.ThreadPoolExecutor(workers) as pool:
        waiting: collections.deque[Callable[[], Outcome]] = collections.deque()
        try:
            for job in jobs:
                # A film is colorized here, when its turn comes: Ctrl-C stops it at once.
                is_film = is_film_name(job.source)
                waiting.append(
                    functools.partial(work, job) if is_film else pool.submit(work, job).result
                )
                if len(waiting) > 4 * workers:  # with only a few images in memory
                    yield waiting.popleft()()
            while waiting:
                yield waiting.popleft()()
        finally:  # also when the caller stops: jobs that have not started are dropped
            pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _alone_in(output: Path, jobs: Sequence[Job]) -> Iterator[None]:
    """Keeps other calls out of a folder, and clears what a killed one left unfinished there."""
    output.mkdir(parents=True, exist_ok=True)
    with locked(output / _LOCK) as mine:
        if not mine:
            raise FileJobError(
                f"Another pix2pix-color is writing to {output}: wait for it, or choose another "
                "folder."
            )
        names = {job.target.name for job in jobs}
        for folder in {job.target.parent for job in jobs}:
            for left in folder.glob(f"{UNFINISHED}*"):
                if left.is_dir() and not names.isdisjoint(os.listdir(left)):
                    shutil.rmtree(left)
        try:
            yield
        finally:
            (output / _LOCK).unlink(missing_ok=True)
