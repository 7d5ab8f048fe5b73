"""Writes a colored image in a format that its user expects, whole or not at all."""

from __future__ import annotations

import dataclasses
import errno
import io
import os
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import ImageFileError
from ..files import replacing
from .image_file import FORMATS, ImageFile, ImageFileWarning, bands, format_name
from .reading import name_of

__all__ = ["write_image_file"]

_ALPHA = ("png", "tiff", "webp", "gif")
_16_BITS = ("png", "tiff")
_MAX_SIDE = {"png": 1_000_000, "jpeg": 65500, "webp": 16383, "gif": 65535}
_MAX_JPEG_BLOCK = 65533 - 32  # bytes in one marker, less the name of what is in it


def write_image_file(
    image: ImageFile,
    rgb: np.ndarray,
    destination: str | Path | BinaryIO,
    *,
    format: str | None = None,
) -> None:
    """Writes colored pixels with the alpha, EXIF, profile, XMP and dpi of the image read.

    PNG and TIFF hold 16 bits, the others the nearest 8. JPEG is of quality 95 without chroma
    subsampling (the chroma is what was added), WebP lossless if the input was and else of
    quality 95, TIFF compressed as the input was and else with deflate. JPEG and BMP have no
    alpha: what is transparent becomes white. BMP and GIF hold neither EXIF nor a profile. A GIF
    is dithered to 256 colors: its luminance is then only about the input's. An
    `ImageFileWarning` says what was lost that the format could not hold.

    Args:
        image: from `read_image_file`.
        rgb: (height, width, 3) of the size and type of `image.pixels`.
        destination: a path, replaced at the end and not before; or a file object, binary.
        format: a format's name or suffix. By default what the suffix of `destination` says;
            for a file object the input's, PNG instead of GIF.

    Raises:
        ImageFileError: `rgb` does not fit, an unknown format, a suffix of another one, too
            large for the format, or the destination cannot be written.
        OSError: the disk is full.
    """
    name = name_of(destination)
    is_path = isinstance(destination, str | os.PathLike)
    _check_pixels(image, rgb)
    key = _choose(image, destination if is_path else None, format)
    _check_sides(rgb, key, name)
    if is_path:
        _check_replaceable(destination, name)
    image, pixels = _fit(image, rgb, key, name)
    try:
        if not is_path:
            buffer = io.BytesIO()
            _encode(image, pixels, key, buffer)
            destination.write(buffer.getbuffer())
            return
        with replacing(destination) as temporary, open(temporary, "w+b") as file:
            _encode(image, pixels, key, file)
    except (OSError, RuntimeError, ValueError) as error:  # encoders raise any of them
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise  # not this file's fault: the caller of many stops
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise ImageFileError(f"{name} cannot be written: {reason}.") from error


def _check_replaceable(path: str | Path, name: str) -> None:
    """Refuses a folder, and a device (`/dev/null`) that a renamed file would take the place of."""
    if os.path.exists(path) and not os.path.isfile(path):
        kind = "folder" if os.path.isdir(path) else "pipe or a device"
        raise ImageFileError(f"{name} cannot be written: it is a {kind}.")


def _check_pixels(image: ImageFile, rgb: np.ndarray) -> None:
    rgb = np.asarray(rgb)
    expected = (*image.pixels.shape[:2], 3)
    if rgb.shape != expected or rgb.dtype != image.pixels.dtype:
        raise ImageFileError(
            f"The colored pixels must be {image.pixels.dtype} {expected} as the image is, not "
            f"{rgb.dtype} {rgb.shape}."
        )


def _choose(image: ImageFile, path: str | Path | None, format: str | None) -> str:
    """Returns the key of `FORMATS` to write."""
    suffix = "" if path is None else Path(path).suffix
    by_suffix = format_name(suffix) if suffix else None
    if format is not None:
        key = format_name(format)
        if key is None:
            raise ImageFileError(f"Unknown image format {format!r}. Use {', '.join(FORMATS)}.")
        if by_suffix not in (None, key):
            raise ImageFileError(
                f"{path}: the suffix {suffix} is not one of the format {key}. Use "
                f"{' or '.join(FORMATS[key])}."
            )
        return key
    if path is None:
        return "png" if image.format == "gif" else image.format
    if by_suffix is None:
        known = ", ".join(suffix for suffixes in FORMATS.values() for suffix in suffixes)
        raise ImageFileError(f"{path}: unknown image format {suffix!r}. Use one of {known}.")
    return by_suffix


def _check_sides(rgb: np.ndarray, key: str, name: str) -> None:
    limit = _MAX_SIDE.get(key)
    if limit and max(rgb.shape[:2]) > limit:
        raise ImageFileError(
            f"{name} cannot be written: {key} holds at most {limit} pixels a side, not "
            f"{rgb.shape[1]} x {rgb.shape[0]}. Use tiff."
        )


def _fit(image: ImageFile, rgb: np.ndarray, key: str, name: str) -> tuple[ImageFile, np.ndarray]:
    """Returns the description and the pixels, with alpha, that the format can hold."""
    alpha, lost = image.alpha, []
    if alpha is not None and key not in _ALPHA:
        if alpha.min() < np.iinfo(alpha.dtype).max:
            rgb = _onto_white(rgb, alpha)
            lost.append(f"{key} has no transparency, which becomes white")
        alpha = None
    if rgb.dtype == np.uint16 and key not in _16_BITS:
        rgb, alpha = _to_8_bits(rgb), None if alpha is None else _to_8_bits(alpha)
    if alpha is not None:
        if key == "gif" and np.any((alpha > 0) & (alpha < 255)):
            lost.append("gif has no partial transparency")
        rgb = np.concatenate([rgb, alpha[..., None]], axis=-1)
    if key == "jpeg":
        for field in ("exif", "xmp"):
            if len(getattr(image, field) or b"") > _MAX_JPEG_BLOCK:
                lost.append(f"jpeg cannot hold its {field.upper()} of more than 64 kB")
                image = dataclasses.replace(image, **{field: None})
    for text in lost:
        warnings.warn(f"{name}: {text}.", ImageFileWarning, stacklevel=3)
    return image, rgb


def _onto_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    white = int(np.iinfo(rgb.dtype).max)
    result = np.empty_like(rgb)
    for rows in bands(*alpha.shape):
        part = alpha[rows][..., None].astype(np.uint32)
        # At most 65535 squared and a half: fits.
        result[rows] = (rgb[rows] * part + white * (white - part) + white // 2) // white
    return result


def _to_8_bits(values: np.ndarray) -> np.ndarray:
    result = np.empty(values.shape, np.uint8)
    for rows in bands(*values.shape[:2]):
        result[rows] = (values[rows].astype(np.uint32) + 128) // 257
    return result


def _encode(image: ImageFile, pixels: np.ndarray, key: str, file: BinaryIO) -> None:
    if key == "png":
        from .png import write_png

        write_png(image, pixels, file)
    elif key == "tiff":
        from .tiff import write_tiff

        write_tiff(image, pixels, file)
    else:
        from .pillow import write_image

        write_image(image, pixels, key, file)
