"""The command `colorize`: images, videos, folders of both, a pipe."""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config import nearest
from ...errors import (
    ColorizerError,
    CommandError,
    FileJobError,
    UsageError,
    one_line,
)
from ...files import DEFAULT_MODEL
from ...startup import start_tensorflow
from .console import FAILED, report, say
from .values import MODELS, between

if TYPE_CHECKING:
    from ...colorizer import Colorizer
    from ..file_jobs import Outcome

__all__ = ["add_arguments", "run"]

# As in `image_files`, which would load NumPy; a test compares them.
FORMATS = ("bmp", "gif", "jpeg", "png", "tiff", "webp")
_PIPE = "-"
_OF_FILMS = ("smoothing", "segment_seconds", "crf")


def _size(text: str) -> int | None:
    if text == "auto":
        return None
    try:
        return int(between(1, 1 << 16)(text))
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, and not auto") from None


def _format(text: str) -> str:
    name = {"jpg": "jpeg", "tif": "tiff"}.get(text.lower(), text.lower())
    if name not in FORMATS:
        raise argparse.ArgumentTypeError(f"unknown format {text!r}: {nearest(name, FORMATS)}")
    return name


def _pattern(text: str) -> str:
    from ..file_jobs import target_name

    try:
        target_name(text, Path("image.png"), None)
    except FileJobError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


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
        "video; or - for a pipe",
    )
    parser.add_argument(
        "--model",
        metavar="MODEL",
        default=DEFAULT_MODEL,
        help=f"{MODELS} (default: {DEFAULT_MODEL})",
    )
    parser.add_argument(
        "--render-size",
        metavar="N",
        type=_size,
        help="shorter side, in pixels, of the image that the network sees; a multiple of its "
        "training size (default: auto, the model's own)",
    )
    parser.add_argument(
        "--strength",
        metavar="X",
        type=between(0.0, 4.0),
        default=1.0,
        help="color strength: 0 keeps the image gray, 1 is what the model predicts (default), "
        "up to 4",
    )
    parser.add_argument(
        "--vividness",
        metavar="X",
        type=between(0.0, 1.0),
        help="for a model with this setting: from 0, the most faithful colors, to 1, the most "
        "vivid ones (default: the model's own)",
    )
    parser.add_argument(
        "--format",
        metavar="NAME",
        type=_format,
        help=f"output format: {', '.join(FORMATS)} (default: that of the input)",
    )
    parser.add_argument(
        "--name",
        metavar="PATTERN",
        type=_pattern,
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
    video = parser.add_argument_group("video options")
    video.add_argument(
        "--smoothing",
        metavar="X",
        type=between(0.0, 1.0),
        default=0.8,
        help="temporal smoothing against flicker, 0 to 1 (default: 0.8)",
    )
    video.add_argument(
        "--segment-seconds",
        metavar="X",
        type=between(0.01, 3600.0),
        default=10.0,
        help="length of the segments that are saved; an interrupted job repeats at most one "
        "(default: 10)",
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
    from ..file_jobs import Job, Outcome, find_jobs, is_film_name

    paths, output = [Path(path) for path in options.paths], Path(options.output)
    if len(paths) > 1 or paths[0].is_dir():
        if _is_file_name(options.output) and _is_film_or_image(output):
            text = f"-o {output} is the name of one file, but there may be several images."
            raise UsageError(text)
        return _colorize_all(options, paths, output)
    source = paths[0]
    if not source.exists():
        raise CommandError(f"{source} does not exist.")
    is_film = is_film_name(source)
    if is_film and (options.format or options.compare):
        raise UsageError("--format and --compare are for images, not for videos.")
    if _is_file_name(options.output):
        _check_suffix(output, is_film)
    elif not is_film:
        return _colorize_all(options, paths, output)
    else:
        output = find_jobs(paths, output, name=options.name)[0].target
    colorize = _colorize_video if is_film else _colorize_image
    colorize(options, source, output)
    _print_outcome(options, Outcome(Job(source, output), "done"), "[1/1] ")
    return 0


def _is_file_name(text: str) -> bool:
    """Returns whether an output is a file: it has a suffix, and is not written as a folder."""
    path = Path(text)
    return bool(path.suffix) and not path.is_dir() and not text.endswith(("/", os.sep))


def _is_film_or_image(path: Path) -> bool:
    from ...image_files import SUFFIXES
    from ..video import VIDEO_EXTENSIONS

    return path.suffix.lower() in (*SUFFIXES, *VIDEO_EXTENSIONS)


def _check_suffix(output: Path, is_film: bool) -> None:
    """Refuses the name of an output file in a format that cannot be written."""
    from ...image_files import OUTPUT_FORMATS
    from ..video import OUTPUT_EXTENSIONS

    images = (suffix for suffixes in OUTPUT_FORMATS.values() for suffix in suffixes)
    suffixes = OUTPUT_EXTENSIONS if is_film else tuple(images)
    if output.suffix.lower() not in suffixes:
        raise UsageError(
            f"-o {output}: {output.suffix} files cannot be written from this input. Use "
            f"{', '.join(suffixes)}, or a slash at the end for a folder."
        )


def _load(options: argparse.Namespace) -> Colorizer:
    start_tensorflow()
    from ...colorizer import Colorizer, check_settings

    say(f"Loading the model {options.model}...", sys.stderr)
    colorizer = Colorizer.load(options.model)
    if colorizer.model.saved_model is None:
        say(f"It is a run, trained for {colorizer.model.step:,} steps so far.", sys.stderr)
    # Before the first of what may be thousands of images.
    try:
        check_settings(colorizer.multiple, options.render_size, options.strength)
    except ColorizerError as error:
        raise UsageError(str(error)) from None
    return colorizer if options.vividness is None else colorizer.at_vividness(options.vividness)


def _settings(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(options, name) for name in ("render_size", "strength", *names)}


def _colorize_pipe(options: argparse.Namespace) -> int:
    if options.paths != [_PIPE] or options.output != _PIPE:
        raise UsageError("A pipe needs both ends: pix2pix-color colorize - -o -")
    source, written = io.BytesIO(sys.stdin.buffer.read()), io.BytesIO()
    _load(options).colorize_file(
        source, written, **_settings(options, "format", "compare", "first", "strict")
    )
    sys.stdout.buffer.write(written.getvalue())
    sys.stdout.buffer.flush()
    return 0


def _colorize_image(options: argparse.Namespace, source: Path, target: Path) -> None:
    settings = _settings(options, "format", "compare", "overwrite", "first", "strict")
    _load(options).colorize_file(source, target, **settings)


def _colorize_all(options: argparse.Namespace, paths: list[Path], output: Path) -> int:
    from tqdm import tqdm

    from ...image_files import in_numbers
    from ..file_jobs import find_jobs, run_jobs

    jobs = find_jobs(paths, output, format=options.format, name=options.name)
    settings = _settings(options, "compare", "overwrite", "workers", "first", "strict")
    settings["film"] = {name: getattr(options, name) for name in _OF_FILMS}
    colorizer = None if all(job.problem for job in jobs) else _load(options)
    outcomes = run_jobs(colorizer, jobs, output, **settings)
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
        say(f"Left out: {in_numbers(jobs.left_out)}{_hint(jobs.left_out)}.", sys.stderr)
    return exit_code


def _hint(left_out: list[Path]) -> str:
    from ..file_jobs import is_film_name

    has_films = any(map(is_film_name, left_out))
    return " (films need the extra: pip install 'pix2pix_color[video]')" if has_films else ""


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


def _colorize_video(options: argparse.Namespace, source: Path, output: Path) -> None:
    from tqdm import tqdm

    from ..video import colorize_video

    output.parent.mkdir(parents=True, exist_ok=True)
    colorizer = _load(options)
    with tqdm(unit=" frames", disable=None) as bar:

        def progress(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        settings = _settings(options, *_OF_FILMS, "overwrite")
        colorize_video(colorizer, source, output, progress=progress, **settings)
