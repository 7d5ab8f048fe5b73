"""What is known about an image file besides its pixels, and which formats there are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import ImageFileError

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "SUFFIXES",
    "Decoded",
    "ImageFile",
    "ImageFileWarning",
    "Unreadable",
    "bands",
    "check_size",
    "format_name",
    "output_suffix",
]

FORMATS: dict[str, tuple[str, ...]] = {
    "png": (".png",),
    "jpeg": (".jpg", ".jpeg"),
    "tiff": (".tif", ".tiff"),
    "webp": (".webp",),
    "bmp": (".bmp",),
    "gif": (".gif",),
}
"""The formats that are read and written, and their suffixes."""

SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)
"""The suffixes of all formats, in lower case."""

MAX_PIXELS = 2 * (1024**3 // 12)
"""Largest image that is read by default: 179 megapixels, where Pillow too suspects a bomb."""

_BAND = 1 << 20  # pixels


class ImageFileWarning(UserWarning):
    """Something that a file could not keep, or held and was not usable."""


class Unreadable(ValueError):
    """Why a file cannot be read; the reader adds its name."""


@dataclasses.dataclass(frozen=True, eq=False)
class ImageFile:
    r"""An image and what its file said about it.

    Attributes:
        pixels: uint8 or uint16 (height, width, 1 or 3), gray or RGB in sRGB, upright.
        alpha: (height, width) of the same type, 0 transparent; `None` without.
        format: what the file was, a key of `FORMATS`.
        exif: the EXIF block (`Exif\0\0`, then a TIFF header), orientation 1; `None` without.
        icc_profile: the sRGB profile to write beside the pixels; `None` if the file had none.
        xmp: the XMP packet, orientation 1; `None` without.
        dpi: (horizontal, vertical) pixels an inch; `None` where not said.
        lossless: whether the file kept every pixel (all formats but JPEG and lossy WebP).
        compression: of a TIFF: `none`, `lzw`, `deflate`, `packbits`, `zstd` or `lzma`.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    format: str = "png"
    exif: bytes | None = None
    icc_profile: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    lossless: bool = True
    compression: str | None = None


@dataclasses.dataclass
class Decoded:
    """What a decoder returns: `ImageFile` before conversion to sRGB and turning upright.

    Attributes:
        pixels: uint8 or uint16 (height, width, 1, 3 or 4); four are CMYK, 0 no ink.
        orientation: 1 to 8, of the pixels.
        transposed: the decoder has turned the pixels and thereby swapped their sides.
        problems: what to warn of.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    exif: bytes | None = None
    icc_profile: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    lossless: bool = True
    compression: str | None = None
    orientation: int = 1
    transposed: bool = False
    problems: list[str] = dataclasses.field(default_factory=list)


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuses an image before it is decoded.

    Raises:
        Unreadable: no pixels, or more than `max_pixels`.
    """
    if width < 1 or height < 1:
        raise Unreadable(f"its header says {width} x {height} pixels")
    if width * height > max_pixels:
        raise Unreadable(
            f"its header says {width} x {height} pixels, more than the {max_pixels:,} that are "
            "allowed: scale it down, or raise the limit (max_pixels)"
        )


def bands(height: int, width: int) -> Iterator[slice]:
    """Yields slices of rows of about a megapixel, for work that needs copies."""
    rows = max(1, _BAND // width)
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))


def format_name(name: str) -> str | None:
    """Returns the key of `FORMATS` for a format's name or suffix (`JPG`, `.tif`), or `None`."""
    name = name.lower().lstrip(".")
    for key, suffixes in FORMATS.items():
        if name == key or f".{name}" in suffixes:
            return key
    return None


def output_suffix(source: str | Path, format: str | None = None) -> str:
    """Returns the suffix for the colorized version of a file.

    Args:
        source: the input's name; not read.
        format: a format's name or suffix; `None` is the input's own, PNG for a GIF and for an
            unknown one.

    Raises:
        ImageFileError: an unknown `format`.
    """
    if format is None:
        suffix = Path(source).suffix
        kept = format_name(suffix) if suffix else None
        return ".png" if kept in (None, "gif") else suffix
    key = format_name(format)
    if key is None:
        raise ImageFileError(f"Unknown image format {format!r}. Use one of {', '.join(FORMATS)}.")
    return FORMATS[key][0]
