"""Reads an image file of any format: its pixels in sRGB and upright, and its metadata."""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
import re
import stat
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import ImageFileError
from . import exif as _exif
from .image_file import MAX_PIXELS, Decoded, ImageFile, ImageFileWarning, Unreadable, reason_of
from .profiles import to_srgb

__all__ = ["name_of", "read_frames", "read_image_file"]

# Without a handler, Python prints what these log about a damaged file.
for _library in ("tifffile", "imagecodecs"):
    logging.getLogger(_library).addHandler(logging.NullHandler())

_MAX_OVERHEAD = 1 << 26  # bytes besides the pixels

_SIGNATURES = {
    "png": rb"\x89PNG\r\n\x1a\n",
    "jpeg": rb"\xff\xd8\xff",
    "tiff": rb"II[*+]\0|MM\0[*+]",  # `+` is BigTIFF
    "gif": rb"GIF8[79]a",
    "bmp": rb"BM",
    "webp": rb"RIFF....WEBP",
    "pnm": rb"P[1-6]",
    "jpeg2000": rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51",
    # One of the compatible brands; `mif1` may stand before `avif`.
    "avif": rb"....ftyp(....){,60}avi[fs]",
    "heic": rb"....ftyp(....){,60}(mif1|msf1|he(ic|ix|im|is|vc|vx))",
}
"""How the files of each format begin, as regular expressions."""

# As an attribute or as an element.
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)[2-8]")


def read_image_file(
    source: str | Path | BinaryIO, *, max_pixels: int = MAX_PIXELS, strict: bool = False
) -> ImageFile:
    """Reads a file of any of `FORMATS`, identified by its content and not by its name.

    Reads the first page of a TIFF, the first frame of an animation, and the first image of a JPEG
    that contains several. An `ImageFileWarning` names what is unusable (a broken profile or EXIF
    block).

    Args:
        source: the path of a regular file, or an open binary file, which is not closed.
        max_pixels: a larger image is refused before its pixels are decoded. Above the default,
            Pillow's own limit (`PIL.Image.MAX_IMAGE_PIXELS`) still applies to all formats but gray
            and RGB PNG and TIFF.
        strict: refuse a truncated JPEG or PNG; otherwise, what is there is read, with a warning
            that says how many rows are missing (gray in a JPEG, black in a PNG).

    Returns:
        Pixels (uint8 or uint16, gray or RGB in sRGB, upright) and metadata.

    Raises:
        ImageFileError: the file is missing, not a regular file (a folder, a pipe), not permitted,
            empty, of an unknown format, too large, truncated, or damaged.
    """
    name = name_of(source)
    try:
        decode = _decoder(source, max_pixels)
        return _finish(next(decode()), name, strict)
    except Exception as error:  # decoders of damaged data raise whatever they encounter
        raise ImageFileError(f"{name} cannot be read: {_reason(error)}.") from error


def read_frames(
    source: str | Path | BinaryIO, *, max_pixels: int = MAX_PIXELS, strict: bool = False
) -> Iterator[ImageFile]:
    """Yields the frames of an animated GIF, WebP or PNG, or the pages of a TIFF, one at a time.

    The frames are whole images, not differences. Thumbnails in a TIFF are no pages. Other files
    have one frame, that of `read_image_file`, whose arguments these are; but `max_pixels` also
    limits the frames of an animation together. Damage after the first frame is an error only if
    `strict`; otherwise a warning, and the end.

    Raises:
        ImageFileError: as `read_image_file`.
    """
    name, number = name_of(source), 0
    try:
        decode = _decoder(source, max_pixels)
        try:
            for frame in decode(all_frames=True):
                yield _finish(frame, name, strict)
                number += 1
        except Exception as error:
            if strict:
                raise
            if number == 0:
                yield _finish(next(decode()), name, strict)
            text = f"only its first {max(number, 1)} frames or pages are read: {_reason(error)}"
            warnings.warn(f"{name}: {text}.", ImageFileWarning, stacklevel=2)
    except Exception as error:
        raise ImageFileError(f"{name} cannot be read: {_reason(error)}.") from error


def name_of(file: str | Path | BinaryIO) -> str:
    """Returns the name of a file for an error message."""
    name = file if isinstance(file, str | os.PathLike) else getattr(file, "name", None)
    return "The image" if name is None or isinstance(name, int) else os.fspath(name)


def _reason(error: Exception) -> str:
    if isinstance(error, Unreadable):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return "it does not exist"
    if isinstance(error, MemoryError):
        return "it needs more memory"
    if isinstance(error, OSError) and error.strerror:
        return reason_of(error)
    kind = f"{type(error).__name__} " if isinstance(error, LookupError) else ""
    return f"it is damaged ({kind}{reason_of(error)})"


def _content(source: str | Path | BinaryIO, max_bytes: int) -> bytes:
    """Returns all bytes of a file; `max_bytes` is more than any image of allowed size has."""
    if isinstance(source, str | os.PathLike):
        # Before opening, which would wait for the other end of a pipe.
        if not stat.S_ISREG(os.stat(source).st_mode):
            raise Unreadable("it is a folder, a pipe or a device, not a file")
        with open(source, "rb") as file:
            return _content(file, max_bytes)
    content = source.read(max_bytes + 1)
    if not isinstance(content, bytes):
        raise Unreadable("it is open as text: open it in binary mode")
    if not content:
        raise Unreadable("it is empty")
    if len(content) > max_bytes:
        raise Unreadable(f"it is larger than an image of allowed size can be ({max_bytes:,} bytes)")
    return content


def _decoder(source: str | Path | BinaryIO, max_pixels: int) -> Callable[..., Iterator[Decoded]]:
    """Reads a file and returns a function that decodes its first frame, or `all_frames`."""
    content = _content(source, 8 * max_pixels + _MAX_OVERHEAD)
    format = _format(content)
    # Imported when needed: a JPEG needs neither tifffile nor libpng.
    if format == "png":
        from .png import read_png as read
    elif format == "tiff":
        from .tiff import read_tiff as read
    else:
        from .pillow import read_image

        read = functools.partial(read_image, format)
    return functools.partial(read, content, max_pixels)


def _format(content: bytes) -> str:
    """Returns the key of `FORMATS` for a file's first bytes."""
    for name, signature in _SIGNATURES.items():
        if re.match(signature, content[:256], re.DOTALL):
            return name
    raise Unreadable("its format is unknown or not supported: convert it to PNG or JPEG")


def _finish(decoded: Decoded, name: str, strict: bool) -> ImageFile:
    """Converts to sRGB, turns upright, and makes the metadata agree with both."""
    problems, exif = [], decoded.exif
    if decoded.rows is not None:
        missing = 1 - decoded.rows / len(decoded.pixels)
        lost = f"{missing:.1%} of its rows are" if missing else "its end, and perhaps detail, is"
        problems.append(f"it is truncated: {lost} missing")
        if strict or decoded.rows == 0:
            raise Unreadable(problems[-1])
    pixels, profile, problem = to_srgb(decoded.pixels, decoded.icc_profile)
    if problem:
        problems.append(problem)
    if exif:
        try:
            exif = _exif.upright(exif)
        except ValueError as error:
            problems.append(f"its EXIF is damaged ({error}) and is dropped")
            exif = None
    for text in problems:
        warnings.warn(f"{name}: {text}.", ImageFileWarning, stacklevel=3)
    kept = {field.name: getattr(decoded, field.name) for field in dataclasses.fields(ImageFile)}
    kept |= {
        "pixels": _turn(pixels, decoded.orientation),
        "alpha": None if decoded.alpha is None else _turn(decoded.alpha, decoded.orientation),
        "exif": exif,
        "icc_profile": profile,
        "xmp": _XMP_ORIENTATION.sub(rb"\g<1>1", decoded.xmp or b"") or None,
        "dpi": _usable_dpi(decoded.dpi, decoded.orientation),
    }
    return ImageFile(**kept)


def _turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Returns an array (height, width, ...) the way its EXIF orientation says to show it."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _usable_dpi(dpi: object, orientation: int) -> tuple[float, float] | None:
    try:
        x, y = (float(side) for side in dpi)
    except (TypeError, ValueError):
        return None
    if not (1 <= x <= 100_000 and 1 <= y <= 100_000):  # NaN is in no range
        return None
    return (y, x) if orientation >= 5 else (x, y)
