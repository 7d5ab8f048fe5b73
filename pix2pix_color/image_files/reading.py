"""Reads an image file: what it is by its content, its pixels in sRGB, upright."""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import ImageFileError
from . import exif as _exif
from .image_file import MAX_PIXELS, Decoded, ImageFile, ImageFileWarning, Unreadable
from .profiles import to_srgb

__all__ = ["name_of", "read_image_file"]

_MAX_OVERHEAD = 1 << 26  # bytes besides the pixels


def read_image_file(source: str | Path | BinaryIO, *, max_pixels: int = MAX_PIXELS) -> ImageFile:
    """Reads an image: PNG, JPEG, TIFF, WebP, BMP or GIF, by its content and not by its name.

    Of a TIFF with several pages the first is read, of an animation the first frame, of a phone's
    several pictures in one JPEG the first. An `ImageFileWarning` says what was not usable (a
    broken profile or EXIF) or is left out (masks in a TIFF).

    Args:
        source: a path of a regular file, or a file object, binary; not closed.
        max_pixels: refuse a larger image before its pixels are decoded. Above the default
            Pillow's own limit (`PIL.Image.MAX_IMAGE_PIXELS`) stays for all but gray and RGB
            PNG and TIFF.

    Returns:
        Its pixels, uint8 or uint16, gray or RGB in sRGB, upright, and all else worth keeping.

    Raises:
        ImageFileError: missing, no file (a folder, a pipe), not allowed, empty, of no known
            format, too large, truncated or damaged.
    """
    name = name_of(source)
    try:
        with _opened(source, max_pixels) as file:
            format = _format(file)
            decoded = _reader(format)(file, max_pixels)
            return _finish(decoded, format, name)
    except Unreadable as error:
        raise ImageFileError(f"{name} cannot be read: {error}.") from error
    except MemoryError as error:
        raise ImageFileError(f"{name} cannot be read: it needs more memory.") from error
    except Exception as error:
        # Decoders of damaged data raise whatever they stumble over.
        reason = " ".join(str(error).split()).rstrip(".")
        if isinstance(error, LookupError) or not reason:
            reason = f"{type(error).__name__} {reason}".rstrip()
        raise ImageFileError(f"{name} cannot be read: it is damaged ({reason}).") from error


def name_of(file: str | Path | BinaryIO) -> str:
    """Returns what to call a file in an error."""
    name = file if isinstance(file, str | os.PathLike) else getattr(file, "name", None)
    return "The image" if name is None or isinstance(name, int) else os.fspath(name)


@contextlib.contextmanager
def _opened(source: str | Path | BinaryIO, max_pixels: int) -> Iterator[BinaryIO]:
    """Yields a file at its beginning that can seek."""
    if not isinstance(source, str | os.PathLike):
        yield _seekable(source, _max_bytes(max_pixels))
        return
    try:
        status = os.stat(source)  # before opening: to open a pipe would wait
        if stat.S_ISDIR(status.st_mode):
            raise Unreadable("it is a folder")
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("it is a pipe or a device, not a file")
        file = open(source, "rb")  # noqa: SIM115  closed below
    except FileNotFoundError as error:
        raise Unreadable("it does not exist") from error
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error
    with file:
        _check_bytes(status.st_size, _max_bytes(max_pixels))
        yield file


def _max_bytes(max_pixels: int) -> int:
    return 8 * max_pixels + _MAX_OVERHEAD  # no pixel takes more than four samples of two bytes


def _check_bytes(size: int, limit: int) -> None:
    if not size:
        raise Unreadable("it is empty")
    if size > limit:
        raise Unreadable(f"it is larger ({size:,} bytes) than an image of allowed size can be")


def _seekable(source: BinaryIO, limit: int) -> BinaryIO:
    try:
        if source.seekable() and source.tell() == 0 and source.read(0) == b"":
            _check_bytes(source.seek(0, io.SEEK_END), limit)
            return source
        data = source.read(limit + 1)
    except (OSError, AttributeError, TypeError) as error:
        raise Unreadable(f"it is no open binary file ({error})") from error
    if not isinstance(data, bytes | bytearray | memoryview):
        raise Unreadable("it is open as text: open it in binary mode")
    _check_bytes(len(data), limit)
    return io.BytesIO(data)


def _format(file: BinaryIO) -> str:
    """Returns the key of `FORMATS` that the first bytes say."""
    file.seek(0)
    head = file.read(16)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tiff"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head.startswith(b"BM"):
        return "bmp"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    raise Unreadable("it is no PNG, JPEG, TIFF, WebP, BMP or GIF")


def _reader(format: str):
    # Imported when needed: a JPEG needs neither tifffile nor libpng.
    if format == "png":
        from .png import read_png as read
    elif format == "tiff":
        from .tiff import read_tiff as read
    else:
        from . import pillow

        read = getattr(pillow, f"read_{format}")
    return read


def _finish(decoded: Decoded, format: str, name: str) -> ImageFile:
    """Converts to sRGB, turns upright, and makes what is written say so."""
    transposed = decoded.transposed or decoded.orientation >= 5
    pixels, profile, problem = to_srgb(decoded.pixels, decoded.icc_profile)
    if problem:
        decoded.problems.append(problem)
    exif = decoded.exif
    if exif:
        try:
            exif = _exif.upright(exif, transposed=transposed, converted=profile is not None)
        except ValueError as error:
            decoded.problems.append(f"its EXIF is damaged ({error}) and is left out")
            exif = None
    for text in decoded.problems:
        warnings.warn(f"{name}: {text}.", ImageFileWarning, stacklevel=3)
    alpha = decoded.alpha
    return ImageFile(
        pixels=_turn(pixels, decoded.orientation),
        alpha=None if alpha is None else _turn(alpha, decoded.orientation),
        format=format,
        exif=exif,
        icc_profile=profile,
        xmp=_upright_xmp(decoded.xmp),
        dpi=_usable_dpi(decoded.dpi, transposed),
        lossless=decoded.lossless,
        compression=decoded.compression,
    )


def _turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Returns an array (height, width, ...) as EXIF's orientation says it is to be seen."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _upright_xmp(xmp: bytes | None) -> bytes | None:
    # As an attribute or as an element.
    return xmp and re.sub(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)[2-8]", rb"\g<1>1", xmp)


def _usable_dpi(dpi: object, transposed: bool) -> tuple[float, float] | None:
    try:
        x, y = (float(side) for side in dpi)
    except (TypeError, ValueError):
        return None
    if not all(math.isfinite(side) and 1 <= side <= 100_000 for side in (x, y)):
        return None
    return (y, x) if transposed else (x, y)
