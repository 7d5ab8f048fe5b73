"""The command `colorize`: files, folders, a pipe, a film."""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config import nearest
from ...errors import UsageError
from ...files import DEFAULT_MODEL
from ...startup import start_tensorflow
from .errors import FAILED, OK, one_line, report
from .values import number, positive

if TYPE_CHECKING:
    from ...colorizer import Colorizer
    from ..file_jobs import Outcome

__all__ = ["add_arguments", "run"]

_FORMATS = ("bmp", "gif", "jpeg", "png", "tiff", "webp")
_PIPE = "-"


def _size(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither auto nor a number of pixels")
    return int(text)


def _format(text: str) -> str:
    name = {"jpg": "jpeg", "tif": "tiff"}.get(text.lower(), text.lower())
    if name not in _FORMATS:
        raise argparse.ArgumentTypeError(f"unknown format {text!r}: {nearest(name, _FORMATS)}")
    return name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what follows `pix2pix-color colorize`."""
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", help="images, folders, one film, or - for a pipe"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        required=True,
        help="a folder, which keeps the tree of the inputs; for one image or film also a file; "
        "- for a pipe",
    )
    parser.add_argument(
        "--model",
        metavar="MODEL",
        default=DEFAULT_MODEL,
        help=f"a shipped model's name, or a folder or file of a model (default: {DEFAULT_MODEL})",
    )
    parser.add_argument(
        "--render-size",
        metavar="N",
        type=_size,
        help="shorter side, in pixels, of what the network sees: a multiple of its training "
        "size (default: auto, the model's own)",
    )
    parser.add_argument(
        "--strength",
        metavar="X",
        type=number,
        default=1.0,
        help="of the colors: 0 none, 1 the model's (default), up to 4",
    )
    parser.add_argument(
        "--vividness",
        metavar="X",
        type=number,
        help="of a model with a dial: from 0, the most faithful colors, to 1, the most "
        "believable ones (default: the model's own)",
    )
    parser.add_argument(
        "--format", metavar="NAME", type=_format, help=f"{', '.join(_FORMATS)} (default: as read)"
    )
    parser.add_argument(
        "--name",
        metavar="PATTERN",
        default="{stem}{suffix}",
        help="of each output in a folder (default: {stem}{suffix})",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace outputs that exist (never an input)"
    )
    parser.add_argument(
        "--compare", action="store_true", help="write the gray and the colorized side by side"
    )
    parser.add_argument(
        "--json", action="store_true", help="print a line of JSON an image, for programs"
    )
    parser.add_argument(
        "--workers", metavar="N", type=positive, help="images at a time (default: all cores)"
    )
    film = parser.add_argument_group("a film")
    film.add_argument(
        "--smoothing",
        metavar="X",
        type=number,
        default=0.8,
        help="against flicker, 0 to 1 (default: 0.8)",
    )
    film.add_argument(
        "--segment-seconds",
        metavar="X",
        type=number,
        default=10.0,
        help="what an interruption can lose (default: 10)",
    )
    film.add_argument(
        "--crf",
        metavar="N",
        type=int,
        help="quality, 0 to 51, lower is better (default: 16; 24 in .webm)",
    )


def run(options: argparse.Namespace) -> int:
    """Colorizes what is named; goes on after an image that cannot be."""
    if _PIPE in (*options.paths, options.output):
        return _pipe(options)
    paths, output = [Path(path) for path in options.paths], Path(options.output)
    if len(paths) == 1 and _is_film(paths[0]):
        return _film(options, paths[0], output)
    if len(paths) == 1 and not paths[0].is_dir() and _names_an_image(output):
        return _one(options, paths[0], output)
    if _names_an_image(output) and not output.exists():
        raise UsageError(f"-o {output} names one file, and there may be several images.")
    return _many(options, paths, output)


def _is_film(path: Path) -> bool:
    from ..video import VIDEO_EXTENSIONS

    return path.suffix.lower() in VIDEO_EXTENSIONS


def _film(options: argparse.Namespace, source: Path, output: Path) -> int:
    from tqdm import tqdm

    from ..video import OUTPUT_EXTENSIONS, colorize_video

    if options.format or options.compare or options.json:
        raise UsageError("--format, --compare and --json are for images, not for a film.")
    if output.is_dir() or output.suffix.lower() not in OUTPUT_EXTENSIONS:
        ending = source.suffix if source.suffix.lower() in OUTPUT_EXTENSIONS else ".mp4"
        output = output / f"{source.stem}{ending}"
        output.parent.mkdir(parents=True, exist_ok=True)
    colorizer = _load(options)
    names = ("render_size", "strength", "smoothing", "segment_seconds", "crf", "overwrite")
    settings = {name: getattr(options, name) for name in names}
    with tqdm(unit=" frames", disable=None) as bar:

        def progress(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        colorize_video(colorizer, source, output, progress=progress, **settings)
    print(f"{source} -> {output}", flush=True)
    return OK


def _names_an_image(path: Path) -> bool:
    from ...image_files import FORMATS

    return any(path.suffix.lower() in suffixes for suffixes in FORMATS.values())


def _load(options: argparse.Namespace) -> Colorizer:
    start_tensorflow()
    from ...colorizer import Colorizer, check_settings

    print(f"Loading the model {options.model}...", file=sys.stderr, flush=True)
    colorizer = Colorizer.load(options.model)
    # Before the first file, of which there may be thousands.
    check_settings(colorizer.multiple, options.render_size, options.strength)
    return colorizer if options.vividness is None else colorizer.at_vividness(options.vividness)


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    names = ("render_size", "strength", "overwrite", "compare")
    return {name: getattr(options, name) for name in names}


def _pipe(options: argparse.Namespace) -> int:
    if options.paths != [_PIPE] or options.output != _PIPE:
        raise UsageError("A pipe is read and written: pix2pix-color colorize - -o -")
    from ..file_jobs import colorize_one

    content = sys.stdin.buffer.read()
    colorizer, written = _load(options), io.BytesIO()
    settings = {k: v for k, v in _settings(options).items() if k != "overwrite"}
    colorize_one(colorizer, io.BytesIO(content), written, format=options.format, **settings)
    sys.stdout.buffer.write(written.getvalue())
    sys.stdout.buffer.flush()
    return OK


def _one(options: argparse.Namespace, source: Path, target: Path) -> int:
    from ..file_jobs import Job, Outcome

    colorizer = _load(options)
    settings = {**_settings(options), "format": options.format}
    colorizer.colorize_file(source, target, **settings)
    _say(options, Outcome(Job(source, target), "done"), "[1/1] ")
    return OK


def _many(options: argparse.Namespace, paths: list[Path], output: Path) -> int:
    from tqdm import tqdm

    from ..file_jobs import find_jobs, run_jobs

    jobs = find_jobs(paths, output, format=options.format, name=options.name)
    colorizer = _load(options)
    outcomes = run_jobs(colorizer, jobs, output, workers=options.workers, **_settings(options))
    failures: list[Outcome] = []
    skipped = 0
    # A bar for a person; lines for a file or a program.
    bar = tqdm(outcomes, total=len(jobs), unit=" images", disable=None, smoothing=0.1)
    for place, outcome in enumerate(bar, start=1):
        skipped += outcome.status == "skipped"
        failures += [outcome] if outcome.status == "failed" else []
        if options.json or bar.disable:
            _say(options, outcome, f"[{place}/{len(jobs)}] ")
    return _end(len(jobs), skipped, failures)


def _say(options: argparse.Namespace, outcome: Outcome, prefix: str) -> None:
    job = outcome.job
    if options.json:
        line = dataclasses.asdict(outcome) | {"source": str(job.source), "target": str(job.target)}
        del line["job"]
        print(json.dumps(line), flush=True)
        return
    endings = {
        "done": f"{job.source} -> {job.target}",
        "skipped": f"{job.source} skipped: {job.target} exists",
        "failed": f"{job.source} failed",
    }
    print(prefix + endings[outcome.status], flush=True)


def _end(count: int, skipped: int, failures: list[Outcome]) -> int:
    if skipped:
        text = f"{skipped} of {count} images skipped: their outputs exist (--overwrite replaces)."
        print(text, file=sys.stderr)
    if not failures:
        return OK
    if count == 1:
        return report(failures[0].reason, FAILED)
    report(f"{len(failures)} of {count} images could not be colorized:", FAILED)
    for failure in failures:
        print(f"  {one_line(failure.reason)}", file=sys.stderr)
    return FAILED
