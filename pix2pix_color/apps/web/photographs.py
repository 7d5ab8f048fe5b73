"""Colorizes uploaded photographs: a single one with its previews, or several into a ZIP.

Nothing here knows Gradio. Whatever a visitor can cause is a `PhotographError` whose message may
be shown to them: it names files but never says where they are on the server.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ...errors import DemoError, PhotographError, Pix2PixColorError, disk_is_full, in_words
from ...files import DEFAULT_MODEL
from ...image_files import (
    FORMATS,
    ImageFileWarning,
    output_suffix,
    read_image_file,
    write_image_file,
)
from ...model_folder import shipped_models

if TYPE_CHECKING:
    from ...colorizer import Colorizer

__all__ = [
    "Batch",
    "Limits",
    "Models",
    "Photograph",
    "Settings",
    "colorize_batch",
    "colorize_photograph",
]

PREVIEW_SIZE = 1280
"""Longest side, in pixels, of what the page shows. Downloads always have their full size."""

_FAILURES = "failures.txt"


@dataclasses.dataclass(frozen=True)
class Limits:
    """What the server accepts, so that no visitor can take all of its memory or time.

    Attributes:
        megabytes: maximum size of a file, in 1,000,000 bytes.
        megapixels: maximum width times height of a photograph, in 1,000,000 pixels.
        files: maximum number of files in a batch.
        queue: maximum number of waiting requests.

    Raises:
        DemoError: a limit is not a positive whole number.
    """

    megabytes: int = 50
    megapixels: int = 50
    files: int = 50
    queue: int = 20

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not isinstance(value, int) or value < 1:
                raise DemoError(f"The limit {name} must be a positive whole number, not {value!r}.")

    @property
    def file_bytes(self) -> int:
        """Maximum size of a file, in bytes."""
        return self.megabytes * 1_000_000


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a visitor chooses.

    Attributes:
        model: one of `Models.names`.
        strength: color strength: 0 keeps the photograph gray, 1 is what the model predicts.
        vividness: 0 (faithful) to 1 (vivid), for a model that can vary it; `None` is its default.
            A model that cannot ignores it, and the notes say so unless it is 1.
        render_size: shorter side, in pixels, of what the network sees; 0 is the model's own.
        keep_format: write the result in the photograph's format; otherwise as PNG.
    """

    model: str
    strength: float = 1.0
    vividness: float | None = None
    render_size: int = 0
    keep_format: bool = False


class Models:
    """The models that a visitor may choose from; all but the default are loaded when first used.

    Attributes:
        names: the default model and the shipped ones.
        default: name or path of the default model.

    Raises:
        ModelError, ChecksumError: the default model cannot be loaded.
    """

    def __init__(self, default: str | Path = DEFAULT_MODEL) -> None:
        from ...colorizer import Colorizer  # here, since it loads TensorFlow

        self.default, self._load = str(default), Colorizer.load
        self.names = list(dict.fromkeys([self.default, *shipped_models()]))
        self._loaded = {self.default: self._load(default)}

    def __getitem__(self, name: str) -> Colorizer:
        # A name in a request is never used as a path: only these names are accepted.
        if name not in self.names:
            raise PhotographError(
                f"There is no model named {name!r}. Choose {' or '.join(self.names)}."
            )
        if name not in self._loaded:
            try:
                self._loaded[name] = self._load(name)
            except Pix2PixColorError as error:
                raise PhotographError(f"The server cannot load the model {name}.") from error
        return self._loaded[name]


@dataclasses.dataclass(frozen=True)
class Photograph:
    """A colorized photograph.

    Attributes:
        path: the result in full size.
        original, gray, colored: uint8 (height, width, 3) previews of the uploaded photograph, of
            what the model saw of it, and of the result.
        size: (width, height) of the result, in pixels.
        render_size: shorter side, in pixels, of what the network saw.
        seconds: time from reading to writing.
        notes: what could not be kept or used, one sentence each.
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
        path: the ZIP, which also lists the failures if there are any.
        names: of the photographs in it.
        failures: a message about each photograph that is missing from it.
        notes: what could not be kept or used, one sentence each.
    """

    path: Path
    names: list[str]
    failures: list[str]
    notes: list[str]


def colorize_photograph(
    source: str | Path, settings: Settings, models: Models, limits: Limits, folder: Path
) -> Photograph:
    """Colorizes one file and makes previews of it.

    Args:
        source: an image file; never changed.
        settings, models, limits: as documented in their classes.
        folder: receives a new folder that contains the result.

    Raises:
        PhotographError: the file or a setting cannot be used.
    """
    start, source = time.perf_counter(), Path(source)
    colorizer, notes = models[settings.model], []
    if settings.vividness is not None and colorizer.vividness is not None:
        colorizer = colorizer.at_vividness(settings.vividness)
    elif settings.vividness not in (None, 1.0):
        notes.append(f"The vividness of {Path(colorizer.name).name} cannot be changed.")
    with _new_folder(folder) as place, _for_visitors(source, place, notes):
        if source.stat().st_size > limits.file_bytes:
            raise PhotographError(f"{source.name} is larger than {limits.megabytes} MB.")
        image = read_image_file(source, max_pixels=limits.megapixels * 1_000_000)
        render_size = settings.render_size or colorizer.render_size
        rgb = colorizer(image.pixels, render_size=render_size, strength=settings.strength)
        # The content decides about the format, whatever the suffix of the upload.
        kept = output_suffix(f"a{FORMATS[image.format][0]}")
        path = place / f"{source.stem}-color{kept if settings.keep_format else '.png'}"
        write_image_file(image, rgb, path)
        seconds = time.perf_counter() - start
        gray = colorizer(_shrink(image.pixels), strength=0.0)
        original, gray, colored = (_preview(p, image.alpha) for p in (image.pixels, gray, rgb))
    size = (rgb.shape[1], rgb.shape[0])
    return Photograph(path, original, gray, colored, size, render_size, seconds, notes)


def colorize_batch(
    sources: Sequence[str | Path],
    settings: Settings,
    models: Models,
    limits: Limits,
    folder: Path,
    progress: Callable[[int, int, str], None] = lambda done, count, name: None,
) -> Batch:
    """Colorizes several files into a ZIP and skips those that cannot be colorized.

    Args:
        sources: image files; never changed.
        settings, models, limits: as documented in their classes.
        folder: receives a new folder that contains the ZIP.
        progress: called before each file with the number of finished files, the number of all
            files, and its name.

    Raises:
        PhotographError: there are no files or too many, a setting cannot be used, or no file
            could be colorized (the message then gives every reason).
    """
    if not sources:
        raise PhotographError("Choose some photographs first.")
    if len(sources) > limits.files:
        raise PhotographError(f"{len(sources)} files are too many: the limit is {limits.files}.")
    taken, failures, notes = {_FAILURES}, [], []
    with _new_folder(folder) as place:
        target = place / "colorized.zip"
        # Image files are compressed already.
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            for done, source in enumerate(map(Path, sources)):
                progress(done, len(sources), source.name)
                try:
                    result = colorize_photograph(source, settings, models, limits, place)
                except PhotographError as error:
                    failures.append(str(error))
                    continue
                archive.write(result.path, _distinct(result.path.name, taken))
                shutil.rmtree(result.path.parent)
                notes += result.notes
            names, reasons = archive.namelist(), "\n".join(failures)
            if failures:
                archive.writestr(_FAILURES, f"{reasons}\n")
        if not names:
            raise PhotographError(f"None of the files could be colorized.\n{reasons}")
    return Batch(target, names, failures, notes)


@contextlib.contextmanager
def _new_folder(parent: Path) -> Iterator[Path]:
    """Yields a new folder, which is removed if anything goes wrong."""
    place = Path(tempfile.mkdtemp(dir=parent))
    try:
        yield place
    except BaseException as error:
        shutil.rmtree(place, ignore_errors=True)
        if isinstance(error, Exception) and disk_is_full(error):
            raise PhotographError("The server's disk is full. Try again later.") from error
        raise


@contextlib.contextmanager
def _for_visitors(source: Path, place: Path, notes: list[str]) -> Iterator[None]:
    """Turns errors and warnings about a file into messages that do not say where it is."""

    def without_paths(message: object) -> str:
        text = str(message)
        for folder in (source.parent, place):
            text = text.replace(f"{folder}{os.sep}", "")
        return text if text.startswith(source.name) else f"{source.name}: {text}"

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ImageFileWarning)
            yield
    except FileNotFoundError as error:
        raise PhotographError(f"{source.name} is no longer there. Upload it again.") from error
    except Exception as error:
        if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
            raise PhotographError(f"{source.name} exceeds the server's memory.") from error
        if disk_is_full(error) or not isinstance(error, Pix2PixColorError | OSError):
            raise  # a bug keeps its traceback
        raise PhotographError(without_paths(in_words(error))) from error
    notes += [without_paths(w.message) for w in caught if issubclass(w.category, ImageFileWarning)]


def _distinct(name: str, taken: set[str]) -> str:
    """Returns the name, numbered if it is taken in any mix of upper and lower case."""
    path, number, candidate = Path(name), 1, name
    while candidate.casefold() in taken:
        number += 1
        candidate = f"{path.stem} ({number}){path.suffix}"
    taken.add(candidate.casefold())
    return candidate


def _preview(pixels: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """Returns uint8 (height, width, 3), at most `PREVIEW_SIZE` on a side, on white."""
    rgb = _shrink(pixels)
    rgb = np.broadcast_to(rgb, (*rgb.shape[:2], 3))
    if alpha is None:
        return rgb
    opacity = _shrink(alpha[..., None]).astype(np.float32) / 255
    return (rgb * opacity + 255 * (1 - opacity)).round().astype(np.uint8)


def _shrink(pixels: np.ndarray) -> np.ndarray:
    """Returns uint8 pixels, at most `PREVIEW_SIZE` on a side, with the same channels (1 or 3)."""
    pixels = (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    image.thumbnail((PREVIEW_SIZE, PREVIEW_SIZE), reducing_gap=2.0)
    return np.atleast_3d(np.asarray(image))
