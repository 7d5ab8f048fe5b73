"""The formats, and what is known about an image file besides its pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import ImageFileError, in_words

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "OUTPUT_FORMATS",
    "SUFFIXES",
    "Decoded",
    "ImageFile",
    "ImageFileWarning",
    "Unreadable",
    "bands",
    "check_size",
    "format_name",
    "is_output_name",
    "output_format",
    "output_suffix",
    "reason_of",
    "stretch",
]

OUTPUT_FORMATS: dict[str, tuple[str, ...]] = {
    "png": (".png",),
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "tiff": (".tif", ".tiff"),
    "webp": (".webp",),
    "bmp": (".bmp",),
    "gif": (".gif",),
}
"""The formats that are written, and their suffixes."""

FORMATS: dict[str, tuple[str, ...]] = OUTPUT_FORMATS | {
    "heic": (".heic", ".heif", ".hif"),
    "avif": (".avif",),
    "pnm": (".pgm", ".ppm", ".pbm", ".pnm"),
    "jpeg2000": (".jp2", ".j2k", ".jpx", ".jpf"),
}
"""The formats that are read, and their suffixes."""

SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)
"""The suffixes of all formats that are read, in lower case."""

MAX_PIXELS = 2 * (1024**3 // 12)
"""The default limit, 179 megapixels, above which Pillow also suspects a decompression bomb."""

_BAND = 1 << 20  # pixels


class ImageFileWarning(UserWarning):
    """Something in the input that is unusable, or that the output format cannot hold."""


class Unreadable(ValueError):
    """The reason why a file cannot be read; the reader adds the file's name."""


@dataclasses.dataclass(frozen=True, eq=False)
class ImageFile:
    r"""An image and its metadata.

    Attributes:
        pixels: uint8 or uint16 (height, width, 1 or 3), gray or RGB in sRGB, upright.
        alpha: (height, width) of the same type, 0 is transparent; `None` if there is none.
        format: the file's format, a key of `FORMATS`.
        exif: the EXIF block (`Exif\0\0`, then a TIFF header) with orientation 1, or `None`.
        icc_profile: the sRGB profile to write with the pixels; `None` if the file had none.
        xmp: the XMP packet with orientation 1, or `None`.
        dpi: (horizontal, vertical) pixels per inch, or `None`.
        lossless: whether the file kept every pixel (all but JPEG, HEIC, AVIF and lossy WebP).
        frames: how many frames or pages the file has, if `read_frames` read it.
        duration: of a frame, in milliseconds, or `None`.
        loop: how often an animation is played, 0 is forever; `None` is once.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    format: str = "png"
    exif: bytes | None = None
    icc_profile: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    lossless: bool = True
    frames: int = 1
    duration: float | None = None
    loop: int | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Decoded(ImageFile):
    """What a decoder returns: not yet in sRGB and not yet upright.

    Attributes:
        pixels: uint8 or uint16 (height, width, 1, 3 or 4); four channels are CMYK, 0 is no ink.
        orientation: EXIF orientation of the pixels, 1 to 8.
        rows: how many rows of a truncated file were decoded; `None` if it is whole.
    """

    orientation: int = 1
    rows: int | None = None


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Checks an image's size before it is decoded.

    Raises:
        Unreadable: the image has no pixels, or more than `max_pixels`.
    """
    if width < 1 or height < 1:
        raise Unreadable(f"its header says {width} x {height} pixels")
    if width * height > max_pixels:
        raise Unreadable(
            f"its header says {width} x {height} pixels, more than the limit of {max_pixels:,}: "
            "scale it down, or raise the limit (max_pixels)"
        )


def bands(height: int, width: int) -> Iterator[slice]:
    """Yields slices of rows of about a megapixel, for work that needs copies."""
    rows = max(1, _BAND // width)
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))


def stretch(samples: np.ndarray, white: int) -> np.ndarray:
    """Returns samples from 0 to `white`, of which there are 1 to 16 bits, in 8 or 16 bits."""
    if white in (255, 65535):
        return samples
    largest = 255 if white < 255 else 65535
    result = np.empty(samples.shape, np.uint8 if white < 255 else np.uint16)
    for rows in bands(*samples.shape[:2]):
        wide = np.minimum(samples[rows], white).astype(np.uint32)
        result[rows] = (wide * largest + white // 2) // white
    return result


def reason_of(error: Exception) -> str:
    """Returns an error in words, for a message that already names the file."""
    if isinstance(error, OSError) and error.strerror:
        error = OSError(error.errno, error.strerror)  # without the name
    return in_words(error).rstrip(".")


def format_name(name: str) -> str | None:
    """Returns the key of `FORMATS` for a format's name or suffix (`JPG`, `.tif`), or `None`."""
    name = name.lower().lstrip(".")
    for key, suffixes in FORMATS.items():
        if name == key or f".{name}" in suffixes:
            return key
    return None


def is_output_name(path: str | Path) -> bool:
    """Returns whether a name has the suffix of a format that is written."""
    return format_name(Path(path).suffix) in OUTPUT_FORMATS


def output_format(name: str) -> str:
    """Returns the key of `OUTPUT_FORMATS` for a format's name or suffix.

    Raises:
        ImageFileError: the format is unknown or only read.
    """
    key = format_name(name)
    if key not in OUTPUT_FORMATS:
        known = ", ".join(OUTPUT_FORMATS)
        raise ImageFileError(f"No image can be written as {name!r}. Use one of {known}.")
    return key


def output_suffix(source: str | Path, format: str | None = None) -> str:
    """Returns the suffix for the colorized version of a file.

    Args:
        source: the input's name; the file is not read.
        format: as in `output_format`. `None` is the input's own format if it is written, JPEG for
            phone photographs (HEIC, AVIF), and PNG for a GIF and all others.
    """
    if format is not None:
        return OUTPUT_FORMATS[output_format(format)][0]
    suffix = Path(source).suffix
    if is_output_name(source) and format_name(suffix) != "gif":
        return suffix
    return ".jpg" if format_name(suffix) in ("heic", "avif") else ".png"
