"""Colorizes an uploaded photograph for the page. Nothing here knows Gradio."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

from ...errors import PhotographError, Pix2PixColorError, disk_is_full, in_words
from ...image_files import (
    FORMATS,
    ImageFileWarning,
    output_suffix,
    read_image_file,
    write_image_file,
)

if TYPE_CHECKING:
    from ...colorizer import Colorizer
    from ...hints import Hints, PreparedImage

__all__ = ["colorize_photograph", "marked", "open_photograph"]

PREVIEW_SIZE = 1280
"""Longest side, in pixels, of what the page shows. Downloads always have their full size."""


def colorize_photograph(
    source: str | Path, colorizer: Colorizer, folder: Path, max_pixels: int, **settings: Any
) -> tuple[Path, tuple[np.ndarray, np.ndarray], str]:
    """Colorizes one file and makes previews of it.

    Args:
        source: an image file; never changed.
        colorizer: the model.
        folder: receives a new folder that contains the result.
        max_pixels: a larger photograph is refused.
        **settings: of `Colorizer.__call__`.

    Returns:
        The result's path, in the photograph's own format (PNG for a GIF); previews of what the
        model saw and of the result, uint8 (height, width, 3); and a text for the visitor: the
        result's name and size, and what could not be kept.

    Raises:
        PhotographError: the file or a setting cannot be used. The message is for visitors: it
            names the file but does not say where it is on the server.
    """
    source, place = Path(source), Path(tempfile.mkdtemp(dir=folder))
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ImageFileWarning)
            image = read_image_file(source, max_pixels=max_pixels)
            rgb = colorizer(image.pixels, **settings)
            # The content decides about the format, whatever the suffix of the upload.
            suffix = output_suffix(f"a{FORMATS[image.format][0]}")
            path = place / f"{source.stem}-color{suffix}"
            write_image_file(image, rgb, path)
        colored = _preview(rgb, image.alpha)
        gray = colorizer(colored, strength=0.0)
    except BaseException as error:
        shutil.rmtree(place, ignore_errors=True)
        if type(error).__name__ == "ResourceExhaustedError" or isinstance(error, MemoryError):
            raise PhotographError(f"{source.name} exceeds the server's memory.") from error
        if isinstance(error, OSError) and disk_is_full(error):
            raise PhotographError("The server's disk is full. Try again later.") from error
        if isinstance(error, Pix2PixColorError | OSError):
            raise PhotographError(_without_paths(in_words(error), source, place)) from error
        raise
    lines = [f"{path.name}, {rgb.shape[1]:,} x {rgb.shape[0]:,} pixels."]
    for warning in caught:
        if issubclass(warning.category, ImageFileWarning):
            lines.append(_without_paths(str(warning.message), source, place))
    return path, (gray, colored), "\n".join(lines)


def open_photograph(
    source: str | Path, colorizer: Colorizer, max_pixels: int, render_size: int | None
) -> tuple[PreparedImage, np.ndarray]:
    """Returns a photograph, ready for hints, and a preview, uint8 (height, width, 3).

    Args:
        source, colorizer, max_pixels: as in `colorize_photograph`.
        render_size: as in `Colorizer.__call__`.

    Raises:
        ImageFileError, ColorizerError: the file or the render size cannot be used.
    """
    with warnings.catch_warnings(action="ignore", category=ImageFileWarning):
        image = read_image_file(source, max_pixels=max_pixels)
    prepared = colorizer.prepare(image.pixels, render_size=render_size)
    preview = _preview(image.pixels, image.alpha)
    # Runs the encoder, and the decoder once: the first click will be as fast as the others.
    prepared.color(preview[:1, :1], [(0, 0, "#808080")])
    return prepared, preview


def marked(preview: np.ndarray, hints: Hints, size: tuple[int, int]) -> Image.Image:
    """Returns a preview with a dot at each hint; `size` is the photograph's (height, width)."""
    image = Image.fromarray(preview)
    draw, radius = ImageDraw.Draw(image), max(4, max(image.size) // 160)
    for x, y, color in hints.points:
        place = (x + 0.5) * image.width / size[1], (y + 0.5) * image.height / size[0]
        draw.circle(place, radius, color, "white", max(1, radius // 3))
    return image


def _without_paths(message: str, source: Path, place: Path) -> str:
    """Returns a message that begins with the file's name and does not say where it is."""
    for folder in (source.parent, place):
        message = message.replace(f"{folder}{os.sep}", "")
    return message if message.startswith(source.name) else f"{source.name}: {message}"


def _preview(rgb: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """Returns uint8 (height, width, 3), at most `PREVIEW_SIZE` on a side, on white."""
    pixels = rgb if alpha is None else np.dstack([rgb, alpha])
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.shape[-1] < 3:  # gray, perhaps with alpha
        pixels = np.concatenate([pixels[..., :1]] * 2 + [pixels], axis=-1)
    image = Image.fromarray(pixels)
    image.thumbnail((PREVIEW_SIZE, PREVIEW_SIZE), reducing_gap=2.0)
    if alpha is not None:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    return np.asarray(image)
