"""Reads an image file of any format: its pixels in sRGB and upright, and its metadata."""

from __future__ import annotations

import dataclasses
import math
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

_MAX_OVERHEAD = 1 << 26  # bytes besides the pixels

_ACTL_END = 1 << 16  # an animation says so before its pixels

_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",  # BigTIFF
    b"MM\0+": "tiff",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"BM": "bmp",
    b"\0\0\0\x0cjP  \r\n\x87\n": "jpeg2000",
    b"\xff\x4f\xff\x51": "jpeg2000",
    **{b"P%d" % kind: "pnm" for kind in range(1, 7)},
}
_BRANDS = {b"avif": "avif", b"avis": "avif", b"mif1": "heic", b"msf1": "heic"}
_BRANDS |= {b"he" + rest: "heic" for rest in (b"ic", b"ix", b"im", b"is", b"vc", b"vx")}
_UNSUPPORTED = {
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"8BPS": "Photoshop",
    b"%PDF": "PDF",
    b"P7\n": "PAM",
    b"qoif": "QOI",
    b"v/1\x01": "OpenEXR",
}


def read_image_file(
    source: str | Path | BinaryIO, *, max_pixels: int = MAX_PIXELS, strict: bool = False
) -> ImageFile:
    """Reads a file of any of `FORMATS`, identified by its content and not by its name.

    Reads the first page of a TIFF, the first frame of an animation, and the first image of a JPEG
    that contains several. An `ImageFileWarning` names what is unusable (a broken profile or EXIF
    block) or dropped (masks in a TIFF).

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
        content = _content(source, max_bytes=8 * max_pixels + _MAX_OVERHEAD)
        return _finish(_decoder(content)(content, max_pixels), name, strict)
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
        content = _content(source, max_bytes=8 * max_pixels + _MAX_OVERHEAD)
        first = _decoder(content)(content, max_pixels)
        frames = iter([first])
        try:
            if first.format in ("gif", "png", "webp"):
                from .pillow import read_animation

                if first.format != "png" or b"acTL" in content[:_ACTL_END]:
                    frames = read_animation(content, first.format, max_pixels)
            elif first.format == "tiff":
                from .tiff import read_pages

                frames = read_pages(content, first, max_pixels)
            for number, frame in enumerate(frames):
                same = first if number == 0 else frame
                timing = {k: getattr(frame, k) for k in ("frames", "duration", "loop")}
                if first.format != "tiff":
                    timing |= {"icc_profile": first.icc_profile, "orientation": first.orientation}
                yield _finish(dataclasses.replace(same, **timing), name, strict)
                number += 1
        except Exception as error:
            if strict or isinstance(error, ImageFileError):
                raise
            if number == 0:
                yield _finish(first, name, strict)
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
    too_large = f"it is larger than an image of allowed size can be ({max_bytes:,} bytes)"
    if isinstance(source, str | os.PathLike):
        status = os.stat(source)  # before opening, which would wait for the other end of a pipe
        if stat.S_ISDIR(status.st_mode):
            raise Unreadable("it is a folder")
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("it is a pipe or a device, not a file")
        if status.st_size > max_bytes:
            raise Unreadable(too_large)
        with open(source, "rb") as file:
            content = file.read()
    else:
        try:
            content = source.read(max_bytes + 1)
        except (OSError, AttributeError, TypeError) as error:
            raise Unreadable(f"it is not an open binary file ({error})") from error
        if not isinstance(content, bytes):
            raise Unreadable("it is open as text: open it in binary mode")
    if not content:
        raise Unreadable("it is empty")
    if len(content) > max_bytes:
        raise Unreadable(too_large)
    return content


def _decoder(content: bytes) -> Callable[[bytes, int], Decoded]:
    """Returns the function that decodes the format of the first bytes."""
    for signature, name in _UNSUPPORTED.items():
        if content.startswith(signature):
            raise Unreadable(f"{name} files are not supported: convert it to PNG or JPEG")
    found = [name for signature, name in _SIGNATURES.items() if content.startswith(signature)]
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        found = ["webp"]
    if content[4:8] == b"ftyp":  # `mif1` may stand before `avif`
        end = min(int.from_bytes(content[:4], "big"), 256)
        brands = [content[at : at + 4] for at in (8, *range(16, end, 4))]
        found = sorted({_BRANDS[brand] for brand in brands if brand in _BRANDS})  # AVIF first
    if not found:
        raise Unreadable("it is not an image of a known format")
    # Imported when needed: a JPEG needs neither tifffile nor libpng.
    if found == ["png"]:
        from .png import read_png as read
    elif found == ["tiff"]:
        from .tiff import read_tiff as read
    else:
        from .pillow import READERS

        read = READERS[found[0]]
    return read


def _finish(decoded: Decoded, name: str, strict: bool) -> ImageFile:
    """Converts to sRGB, turns upright, and makes the metadata agree with both."""
    transposed = decoded.transposed or decoded.orientation >= 5
    problems, exif = list(decoded.problems), decoded.exif
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
            exif = _exif.upright(exif, transposed=transposed, converted=profile is not None)
        except ValueError as error:
            problems.append(f"its EXIF is damaged ({error}) and is dropped")
            exif = None
    for text in problems:
        warnings.warn(f"{name}: {text}.", ImageFileWarning, stacklevel=3)
    alpha = decoded.alpha
    return ImageFile(
        pixels=_turn(pixels, decoded.orientation),
        alpha=None if alpha is None else _turn(alpha, decoded.orientation),
        format=decoded.format,
        exif=exif,
        icc_profile=profile,
        xmp=_upright_xmp(decoded.xmp),
        dpi=_usable_dpi(decoded.dpi, transposed),
        lossless=decoded.lossless,
        compression=decoded.compression,
        frames=decoded.frames,
        duration=decoded.duration,
        loop=decoded.loop,
    )


def _turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Returns an array (height, width, ...) the way its EXIF orientation says to show it."""
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
