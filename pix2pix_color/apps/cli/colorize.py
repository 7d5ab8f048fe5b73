"""The command `colorize`: images, videos, folders of both, a pipe."""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import CommandError, UsageError, one_line
from ...files import DEFAULT_MODEL
from ...startup import start_tensorflow
from .console import FAILED, report, say
from .values import MODELS, add_settings, between, hint

if TYPE_CHECKING:
    from ...colorizer import Colorizer
    from ..file_jobs import Job, Outcome

__all__ = ["add_arguments", "run"]

# As in `image_files`, which would load NumPy; a test compares them.
FORMATS = ("bmp", "gif", "jpeg", "jpg", "png", "tif", "tiff", "webp")
_PIPE = "-"
_ONE_IMAGE = "--hint and --hints are for a single image."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `pix2pix-color colorize`."""
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", help="images, videos, folders, or - for a pipe"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        required=True,
        help="a folder, in which the inputs keep their subfolders; a file, for one image or "
        "video (a slash at the end always means a folder); or - for a pipe",
    )
    parser.add_argument(
        "--model",
        metavar="MODEL",
        default=DEFAULT_MODEL,
        help=f"{MODELS} (default: {DEFAULT_MODEL})",
    )
    add_settings(parser)
    parser.add_argument(
        "--format",
        metavar="NAME",
        type=str.lower,
        choices=FORMATS,
        help=f"output format: {', '.join(FORMATS)} (default: that of the input)",
    )
    parser.add_argument(
        "--name",
        metavar="PATTERN",
        default="{stem}{suffix}",
        help="file names in an output folder (default: {stem}{suffix})",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace existing outputs (never an input)"
    )
    parser.add_argument(
        "--compare", action="store_true", help="put the gray and the color image side by side"
    )
    parser.add_argument(
        "--json", action="store_true", help="print machine-readable output, one line per image"
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=between(1, 1024),
        help="number of images processed at a time (default: the number of cores)",
    )
    parser.add_argument(
        "--first", action="store_true", help="only the first frame or page of an image file"
    )
    parser.add_argument(
        "--strict", action="store_true", help="refuse truncated images instead of warning"
    )
    guidance = parser.add_argument_group("colors of your choice (model photo)")
    guidance.add_argument(
        "--hint",
        metavar="X,Y=#RRGGBB",
        type=hint,
        action="append",
        default=[],
        help="the color at a pixel of a single image, such as 120,80=#1f4fa0; may be repeated",
    )
    guidance.add_argument(
        "--hints", metavar="FILE", help="a file of such hints, as the web page saves them"
    )
    guidance.add_argument(
        "--like", metavar="REFERENCE", help="a color image whose palette is used for all inputs"
    )
    video = parser.add_argument_group("video options")
    video.add_argument(
        "--smoothing",
        metavar="X",
        type=between(0.0, 1.0),
        default=0.8,
        help="temporal smoothing against flicker, 0 to 1 (default: 0.8)",
    )
    video.add_argument(
        "--crf",
        metavar="N",
        type=between(0, 51),
        help="quality, 0 to 51, lower is better (default: 16; 24 for .webm)",
    )


def run(options: argparse.Namespace) -> int:
    """Colorizes the inputs, and continues after an image that cannot be colorized.

    Returns:
        The exit code: 1 if an image could not be colorized.
    """
    if _PIPE in (*options.paths, options.output):
        return _colorize_pipe(options)
    from tqdm import tqdm

    from ...image_files import SUFFIXES, in_numbers
    from ..file_jobs import find_jobs, is_film_name, run_jobs

    paths, output = [Path(path) for path in options.paths], Path(options.output)
    is_folder = output.is_dir() or options.output.endswith(("/", os.sep)) or not output.suffix
    if not is_folder and len(paths) == 1 and not paths[0].is_dir():
        return _colorize_file(options, paths[0], output)
    if not is_folder and (is_film_name(output) or output.suffix.lower() in SUFFIXES):
        text = f"-o {output} is the name of one file, but there may be several images."
        raise UsageError(text)
    jobs = find_jobs(paths, output, format=options.format, name=options.name)
    if (options.hint or options.hints) and (len(jobs) != 1 or is_film_name(jobs[0].source)):
        raise UsageError(_ONE_IMAGE)
    outcomes = run_jobs(
        _load(options, jobs), jobs, output, workers=options.workers, **_settings(options)
    )
    done: list[Outcome] = []
    # A progress bar on a terminal; lines for a file or a program.
    bar = tqdm(outcomes, total=len(jobs), unit=" images", disable=None, smoothing=0.1)
    for outcome in bar:
        done.append(outcome)
        if options.json or bar.disable:
            _print_outcome(options, outcome, f"[{len(done)}/{len(jobs)}] ")
    exit_code = _summarize(done)
    if jobs.left_out and options.json:
        say(json.dumps({"left_out": [str(path) for path in jobs.left_out]}))
    elif jobs.left_out:
        has_films = any(map(is_film_name, jobs.left_out))
        hint = " (films need the extra: pip install 'pix2pix_color[video]')" if has_films else ""
        say(f"Left out: {in_numbers(jobs.left_out)}{hint}.", sys.stderr)
    return exit_code


def _colorize_file(options: argparse.Namespace, source: Path, target: Path) -> int:
    from tqdm import tqdm

    from ..file_jobs import is_film_name, job_of, run_job

    job, is_film = job_of(source, target), is_film_name(source)
    if is_film and (options.format or options.compare):
        raise UsageError("--format and --compare are for images, not for videos.")
    if is_film and (options.hint or options.hints):
        raise UsageError(_ONE_IMAGE)
    if target.exists() and not options.overwrite:
        raise CommandError(f"{target} exists: use --overwrite to replace it.")
    colorizer, settings = _load(options, [job]), _settings(options)
    with tqdm(unit=" frames", disable=None if is_film else True) as bar:

        def progress(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        settings["film"]["progress"] = progress
        outcome = run_job(colorizer, job, format=options.format, **settings)
    _print_outcome(options, outcome, "[1/1] ")
    return _summarize([outcome])


def _colorize_pipe(options: argparse.Namespace) -> int:
    if options.paths != [_PIPE] or options.output != _PIPE:
        raise UsageError("A pipe needs both ends: pix2pix-color colorize - -o -")
    source, written = io.BytesIO(sys.stdin.buffer.read()), io.BytesIO()
    colorizer, settings = _load(options), _settings(options)
    del settings["overwrite"], settings["film"]
    colorizer.colorize_file(source, written, format=options.format, **settings)
    sys.stdout.buffer.write(written.getvalue())
    sys.stdout.buffer.flush()
    return 0


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the settings of `file_jobs.run_job`."""
    names = ("render_size", "strength", "compare", "overwrite", "first", "strict")
    settings = {name: getattr(options, name) for name in names}
    settings["film"] = {"smoothing": options.smoothing, "crf": options.crf}
    if options.hint or options.hints:
        from ...hints import Hints

        saved = Hints.read(options.hints) if options.hints else Hints()
        settings["hints"] = dataclasses.replace(saved, points=(*saved.points, *options.hint))
    return settings


def _load(options: argparse.Namespace, jobs: Sequence[Job] = ()) -> Colorizer | None:
    """Returns the model, or `None` if there are jobs, but nothing that can be colorized."""
    if jobs and all(job.problem for job in jobs):
        return None
    start_tensorflow()
    from ...colorizer import Colorizer, check_settings

    say(f"Loading the model {options.model}...", sys.stderr)
    colorizer = Colorizer.load(options.model)
    check_settings(colorizer.multiple, options.render_size)
    if colorizer.model.saved_model is None:
        say(f"It is a run, trained for {colorizer.model.step:,} steps so far.", sys.stderr)
    if options.vividness is not None:
        colorizer = colorizer.at_vividness(options.vividness)
    if options.hint or options.hints:
        colorizer.require_hints()
    if options.like:
        from ...image_files import read_image_file

        colorizer = colorizer.like(read_image_file(options.like).pixels)
    return colorizer


def _print_outcome(options: argparse.Namespace, outcome: Outcome, prefix: str) -> None:
    job = outcome.job
    if options.json:
        line = dataclasses.asdict(outcome) | {"source": str(job.source), "target": str(job.target)}
        del line["job"]
        say(json.dumps(line))
        return
    texts = {
        "done": f"{job.source} -> {job.target}",
        "skipped": f"{job.source} skipped: {job.target} exists",
        "failed": f"{job.source} failed",
    }
    say(prefix + texts[outcome.status])


def _summarize(outcomes: list[Outcome]) -> int:
    """Reports skipped and failed images and returns the exit code."""
    count = len(outcomes)
    skipped = sum(outcome.status == "skipped" for outcome in outcomes)
    failures = [outcome for outcome in outcomes if outcome.status == "failed"]
    if skipped:
        text = f"{skipped} of {count} images skipped: their outputs exist (--overwrite replaces)."
        say(text, sys.stderr)
    if not failures:
        return 0
    if count == 1:
        return report(failures[0].reason, FAILED)
    report(f"{len(failures)} of {count} images could not be colorized:", FAILED)
    for failure in failures:
        say(f"  {one_line(failure.reason)}", sys.stderr)
    return FAILED
