"""What the page does with photographs: one file with its previews, or several into a ZIP.

Nothing here knows the page. Whatever a visitor can cause is a `PhotographError` whose message
may be shown to them: it names files by their own name, not by where they lie on the server.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import shutil
import tempfile
import threading
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...colorizer import Colorizer, shipped_models
from ...errors import ChecksumError, ColorizerError
from ...files import DEFAULT_MODEL
from ...image_files import (
    FORMATS,
    ImageFile,
    ImageFileWarning,
    output_suffix,
    read_image_file,
    write_image_file,
)

__all__ = [
    "Batch",
    "Limits",
    "Models",
    "Photograph",
    "PhotographError",
    "Settings",
    "colorize_batch",
    "colorize_photograph",
]

PREVIEW_SIZE = 1280
"""Longest side, in pixels, of what the page shows; what it hands out is never reduced."""

_REASONS = "failures.txt"


class PhotographError(RuntimeError):
    """A photograph or a setting that cannot be used; the message is for the visitor."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """What the server accepts, so that no visitor can take all of its memory or time.

    Attributes:
        megabytes: size of a file, in 1,000,000 bytes.
        megapixels: width times height of a photograph, in 1,000,000 pixels.
        files: number of files in a batch.
        queue: number of requests that may wait.
    """

    megabytes: int = 50
    megapixels: int = 50
    files: int = 50
    queue: int = 20

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"The limit {field.name} must be a positive whole number, not {value!r}."
                )

    @property
    def file_bytes(self) -> int:
        """Largest size of a file, in bytes."""
        return self.megabytes * 1_000_000

    @property
    def pixels(self) -> int:
        """Largest width times height."""
        return self.megapixels * 1_000_000


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a visitor chooses.

    Attributes:
        model: one of `Models.names`.
        strength: of the colors, 0 to 2.
        render_size: shorter side, in pixels, of what the network sees; `None`: the model's own.
        keep_format: write the result in the photograph's format; otherwise as PNG.
        vividness: of a model with a dial, 0 (faithful) to 1; `None`: as the model has it. Of
            another model it is nothing, which the notes say where it is not 1.
    """

    model: str
    strength: float = 1.0
    render_size: int | None = None
    keep_format: bool = False
    vividness: float | None = None


class Models:
    """The models that a visitor may choose, each loaded when it is first needed.

    Attributes:
        names: shipped models, and the default one.
        default: loaded at once, so that a wrong name is known before the page is there.

    Raises:
        ColorizerError, ChecksumError: the default model cannot be loaded.
    """

    def __init__(self, default: str | Path = DEFAULT_MODEL) -> None:
        self.default = str(default)
        self.names = list(dict.fromkeys([self.default, *shipped_models()]))
        self._loaded = {self.default: Colorizer.load(default)}
        self._lock = threading.Lock()

    def __getitem__(self, name: str) -> Colorizer:
        # A name from a request is never taken for a path: only these are there.
        if name not in self.names:
            raise PhotographError(f"There is no model {name!r}: choose {' or '.join(self.names)}.")
        with self._lock:
            if name not in self._loaded:
                try:
                    self._loaded[name] = Colorizer.load(name)
                except (ColorizerError, ChecksumError) as error:
                    raise PhotographError(f"The server cannot load the model {name}.") from error
            return self._loaded[name]


@dataclasses.dataclass(frozen=True)
class Photograph:
    """A colorized photograph.

    Attributes:
        path: the full-size result.
        original, gray, colored: uint8 (height, width, 3) previews: as it was sent, what the
            model was given of it, and the result.
        size: (width, height) of the result.
        render_size: what the network saw, in pixels.
        seconds: from reading to writing.
        notes: what could not be kept or used of the file, a sentence each.
    """

    path: Path
    original: np.ndarray
    gray: np.ndarray
    colored: np.ndarray
    size: tuple[int, int]
    render_size: int
    seconds: float
    notes: list[str]


@dataclasses.dataclass(frozen=True)
class Batch:
    """Several colorized photographs.

    Attributes:
        path: the ZIP, with a list of the failures inside where there are any.
        names: of the files in it.
        failures: (name, reason) of each file that is not in it.
        notes: what could not be kept or used of a file, a sentence each.
    """

    path: Path
    names: list[str]
    failures: list[tuple[str, str]]
    notes: list[str]


def colorize_photograph(
    source: str | Path, settings: Settings, models: Models, limits: Limits, folder: Path
) -> Photograph:
    """Colorizes one file, for looking at and for keeping.

    Args:
        source: an image file; never changed.
        settings, models, limits: see there.
        folder: gets a new folder with the result in it.

    Raises:
        PhotographError: anything about the file or the settings that is not right.
    """
    start = time.perf_counter()
    colorizer = models[settings.model]
    with _place(folder) as place:
        result = _colorize(Path(source), place, settings, colorizer, limits)
        seconds = time.perf_counter() - start
        image, height, width = result.image, *result.rgb.shape[:2]
        nothing = np.zeros((1, 1, 1, 2), np.float32)
        gray = colorizer.apply_chroma(_shrink(image.pixels)[None], nothing)[0]
        return Photograph(
            result.path,
            _preview(image.pixels, image.alpha),
            _preview(gray, image.alpha),
            _preview(result.rgb, image.alpha),
            (width, height),
            settings.render_size or colorizer.render_size,
            seconds,
            result.notes,
        )


def colorize_batch(
    sources: Sequence[str | Path],
    settings: Settings,
    models: Models,
    limits: Limits,
    folder: Path,
    progress: Callable[[int, int, str], None] = lambda done, count, name: None,
) -> Batch:
    """Colorizes several files into a ZIP; goes on after one that cannot be.

    Args:
        sources: image files; never changed.
        settings, models, limits: see there.
        folder: gets a new folder with the ZIP in it.
        progress: called before each file with how many are done, of how many, and its name.

    Raises:
        PhotographError: no files or too many, wrong settings, or not one file could be
            colorized (the message then has every reason).
    """
    if not sources:
        raise PhotographError("Choose some photographs first.")
    if len(sources) > limits.files:
        raise PhotographError(
            f"{len(sources)} files are too many: at most {limits.files} at a time."
        )
    colorizer = models[settings.model]
    taken, failures, notes = {_REASONS}, [], []
    with _place(folder) as place:
        target = place / "colorized.zip"
        # The files are compressed already: a second time would only take longer.
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            for done, source in enumerate(map(Path, sources)):
                progress(done, len(sources), source.name)
                try:
                    result = _colorize(source, place, settings, colorizer, limits)
                except PhotographError as error:
                    failures.append((source.name, str(error).removeprefix(f"{source.name}: ")))
                    continue
                archive.write(result.path, _distinct(result.path.name, taken))
                result.path.unlink()
                notes += result.notes
            names = archive.namelist()
            reasons = "".join(f"{name}: {reason}\n" for name, reason in failures)
            if failures:
                archive.writestr(_REASONS, reasons)
        if not names:
            raise PhotographError(f"None of the files could be colorized.\n{reasons}")
        return Batch(target, names, failures, notes)


@contextlib.contextmanager
def _place(folder: Path) -> Iterator[Path]:
    """Yields a new folder, which stays unless something goes wrong."""
    place = Path(tempfile.mkdtemp(dir=folder))
    try:
        yield place
    except BaseException as error:
        shutil.rmtree(place, ignore_errors=True)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise PhotographError("The server's disk is full.") from error
        raise


class _Result(NamedTuple):
    image: ImageFile
    rgb: np.ndarray
    path: Path
    notes: list[str]


def _colorize(
    source: Path, place: Path, settings: Settings, colorizer: Colorizer, limits: Limits
) -> _Result:
    """Reads a file, colorizes it, and writes the result into `place`."""
    dialled, notes = colorizer, []
    try:
        if settings.vividness is not None:
            if colorizer.vividness is not None:
                dialled = colorizer.at_vividness(settings.vividness)
            elif settings.vividness != 1.0:
                notes.append(f"The model {Path(colorizer.name).name} has no dial of vividness.")
        if source.stat().st_size > limits.file_bytes:
            raise PhotographError(f"the file has more than {limits.megabytes} MB.")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ImageFileWarning)
            image = read_image_file(source, max_pixels=limits.pixels)
            rgb = dialled(
                image.pixels, render_size=settings.render_size, strength=settings.strength
            )
            path = place / f"{source.stem}-color{_suffix(image, settings)}"
            write_image_file(image, rgb, path)
    except Exception as error:
        reason = _reason(error, source, place)
        if reason is None:
            raise  # a bug, which a traceback finds
        raise PhotographError(f"{source.name}: {reason}") from error
    texts = [str(w.message) for w in caught if issubclass(w.category, ImageFileWarning)]
    notes += [f"{source.name}: {_shorten(text, source, place)}" for text in texts]
    return _Result(image, rgb, path, notes)


def _suffix(image: ImageFile, settings: Settings) -> str:
    # The content counts, not the suffix that the file came with.
    return output_suffix(f"a{FORMATS[image.format][0]}") if settings.keep_format else ".png"


def _reason(error: Exception, source: Path, place: Path) -> str | None:
    """Returns what went wrong without the server's paths; `None` if no visitor can cause it."""
    if isinstance(error, FileNotFoundError):
        return "is no longer on the server: choose it again."
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "the server's disk is full."
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return "too large for the server's memory."
    ours = type(error).__module__.split(".")[0] == __package__.split(".")[0]
    if not ours and not isinstance(error, OSError):
        return None
    return _shorten(str(error), source, place)


def _shorten(text: str, source: Path, place: Path) -> str:
    """Returns a message about a file in one line, without saying where on the server it lies."""
    for folder in (source.parent, source.parent.resolve(), place, place.resolve()):
        text = text.replace(f"{folder}{os.sep}", "")
    return " ".join(text.removeprefix(source.name).removeprefix(":").split())


def _distinct(name: str, taken: set[str]) -> str:
    """Returns the name, numbered where it is taken already, whatever the case of its letters."""
    path, number, candidate = Path(name), 1, name
    while candidate.casefold() in taken:
        number += 1
        candidate = f"{path.stem} ({number}){path.suffix}"
    taken.add(candidate.casefold())
    return candidate


def _preview(pixels: np.ndarray, alpha: np.ndarray | None = None) -> np.ndarray:
    """Returns uint8 (height, width, 3), at most `PREVIEW_SIZE` on a side, on white.

    Args:
        pixels: uint8 or uint16 (height, width, 1 or 3).
        alpha: uint8 or uint16 (height, width), of the same size or of the full one.
    """
    small = np.broadcast_to(rgb := _shrink(pixels), (*rgb.shape[:2], 3))
    if alpha is None:
        return small
    opacity = _shrink(alpha[..., None]).astype(np.float32) / 255
    return (small * opacity + 255 * (1 - opacity)).round().astype(np.uint8)


def _shrink(pixels: np.ndarray) -> np.ndarray:
    """Returns uint8 (height, width, 1 or 3), at most `PREVIEW_SIZE` on a side."""
    from PIL import Image

    pixels = (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    image.thumbnail((PREVIEW_SIZE, PREVIEW_SIZE), reducing_gap=2.0)
    return np.atleast_3d(np.asarray(image))
