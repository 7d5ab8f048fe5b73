"""The command `colorize`: images, folders, a pipe, a video."""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config import nearest
from ...errors import UsageError, one_line
from ...files import DEFAULT_MODEL
from ...startup import start_tensorflow
from .console import FAILED, report, say
from .values import MODELS, number, positive

if TYPE_CHECKING:
    from ...colorizer import Colorizer
    from ..file_jobs import Outcome

__all__ = ["add_arguments", "run"]

# As in `image_files`, which would load NumPy; a test compares them.
FORMATS = ("bmp", "gif", "jpeg", "png", "tiff", "webp")
_PIPE = "-"


def _size(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither auto nor a number of pixels")
    return int(text)


def _format(text: str) -> str:
    name = {"jpg": "jpeg", "tif": "tiff"}.get(text.lower(), text.lower())
    if name not in FORMATS:
        raise argparse.ArgumentTypeError(f"unknown format {text!r}: {nearest(name, FORMATS)}")
    return name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `pix2pix-color colorize`."""
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", help="images, folders, one video, or - for a pipe"
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
        type=number,
        default=1.0,
        help="color strength: 0 keeps the image gray, 1 is what the model predicts (default), "
        "up to 4",
    )
    parser.add_argument(
        "--vividness",
        metavar="X",
        type=number,
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
        type=positive,
        help="number of images processed at a time (default: the number of cores)",
    )
    video = parser.add_argument_group("video options")
    video.add_argument(
        "--smoothing",
        metavar="X",
        type=number,
        default=0.8,
        help="temporal smoothing against flicker, 0 to 1 (default: 0.8)",
    )
    video.add_argument(
        "--segment-seconds",
        metavar="X",
        type=number,
        default=10.0,
        help="length of the segments that are saved; an interrupted job repeats at most one "
        "(default: 10)",
    )
    video.add_argument(
        "--crf",
        metavar="N",
        type=int,
        help="quality, 0 to 51, lower is better (default: 16; 24 for .webm)",
    )


def run(options: argparse.Namespace) -> int:
    """Colorizes the inputs, and continues after an image that cannot be colorized.

    Returns:
        The exit code: 1 if an image could not be colorized.
    """
    if _PIPE in (*options.paths, options.output):
        return _colorize_pipe(options)
    paths, output = [Path(path) for path in options.paths], Path(options.output)
    if len(paths) == 1 and _is_video(paths[0]):
        return _colorize_video(options, paths[0], output)
    if len(paths) == 1 and not paths[0].is_dir() and _is_image_name(output):
        return _colorize_image(options, paths[0], output)
    if _is_image_name(output) and not output.exists():
        raise UsageError(f"-o {output} is the name of one file, but there may be several images.")
    return _colorize_images(options, paths, output)


def _is_video(path: Path) -> bool:
    from ..video import VIDEO_EXTENSIONS

    return path.suffix.lower() in VIDEO_EXTENSIONS


def _is_image_name(path: Path) -> bool:
    from ...image_files import SUFFIXES

    return path.suffix.lower() in SUFFIXES


def _load(options: argparse.Namespace) -> Colorizer:
    start_tensorflow()
    from ...colorizer import Colorizer, check_settings

    say(f"Loading the model {options.model}...", sys.stderr)
    colorizer = Colorizer.load(options.model)
    # Before the first of what may be thousands of images.
    check_settings(colorizer.multiple, options.render_size, options.strength)
    return colorizer if options.vividness is None else colorizer.at_vividness(options.vividness)


def _settings(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(options, name) for name in ("render_size", "strength", *names)}


def _colorize_pipe(options: argparse.Namespace) -> int:
    if options.paths != [_PIPE] or options.output != _PIPE:
        raise UsageError("A pipe needs both ends: pix2pix-color colorize - -o -")
    source, written = io.BytesIO(sys.stdin.buffer.read()), io.BytesIO()
    _load(options).colorize_file(source, written, **_settings(options, "format", "compare"))
    sys.stdout.buffer.write(written.getvalue())
    sys.stdout.buffer.flush()
    return 0


def _colorize_image(options: argparse.Namespace, source: Path, target: Path) -> int:
    from ..file_jobs import Job, Outcome

    settings = _settings(options, "format", "compare", "overwrite")
    _load(options).colorize_file(source, target, **settings)
    _print_outcome(options, Outcome(Job(source, target), "done"), "[1/1] ")
    return 0


def _colorize_images(options: argparse.Namespace, paths: list[Path], output: Path) -> int:
    from tqdm import tqdm

    from ..file_jobs import find_jobs, run_jobs

    jobs = find_jobs(paths, output, format=options.format, name=options.name)
    settings = _settings(options, "compare", "overwrite", "workers")
    outcomes = run_jobs(_load(options), jobs, output, **settings)
    done: list[Outcome] = []
    # A progress bar on a terminal; lines for a file or a program.
    bar = tqdm(outcomes, total=len(jobs), unit=" images", disable=None, smoothing=0.1)
    for outcome in bar:
        done.append(outcome)
        if options.json or bar.disable:
            _print_outcome(options, outcome, f"[{len(done)}/{len(jobs)}] ")
    return _summarize(done)


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


def _colorize_video(options: argparse.Namespace, source: Path, output: Path) -> int:
    from tqdm import tqdm

    from ..video import OUTPUT_EXTENSIONS, colorize_video

    if options.format or options.compare or options.json:
        raise UsageError("--format, --compare and --json are for images, not for videos.")
    if output.is_dir() or output.suffix.lower() not in OUTPUT_EXTENSIONS:
        suffix = source.suffix if source.suffix.lower() in OUTPUT_EXTENSIONS else ".mp4"
        output = output / f"{source.stem}{suffix}"
        output.parent.mkdir(parents=True, exist_ok=True)
    colorizer = _load(options)
    settings = _settings(options, "smoothing", "segment_seconds", "crf", "overwrite")
    with tqdm(unit=" frames", disable=None) as bar:

        def progress(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        colorize_video(colorizer, source, output, progress=progress, **settings)
    say(f"{source} -> {output}")
    return 0
