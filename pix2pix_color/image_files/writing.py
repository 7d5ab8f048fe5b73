"""Writes a colorized image, completely or not at all."""

from __future__ import annotations

import dataclasses
import io
import itertools
import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import ImageFileError, disk_is_full
from ..files import replacing
from .image_file import (
    FORMATS,
    ImageFile,
    ImageFileWarning,
    bands,
    output_format,
    output_suffix,
    reason_of,
)
from .reading import name_of

__all__ = ["write_image_file"]

_ALPHA = _ANIMATED = ("png", "tiff", "webp", "gif")
_16_BITS = ("png", "tiff")
_MAX_JPEG_BLOCK = 65533 - 32  # bytes in one marker, less the name of its content


def write_image_file(
    image: ImageFile,
    rgb: np.ndarray,
    destination: str | Path | BinaryIO,
    *,
    format: str | None = None,
    others: Iterable[tuple[ImageFile, np.ndarray]] = (),
) -> None:
    """Writes colorized pixels with the alpha, EXIF, profile, XMP and dpi of the input.

    PNG and TIFF keep 16 bits, the other formats round to 8. JPEG is written with quality 95 and
    without chroma subsampling (the chroma is what was added), WebP lossless if the input was and
    otherwise with quality 95. JPEG and BMP have no alpha: transparent areas become white. BMP and
    GIF have no EXIF and no profile, TIFF has only the texts of EXIF. A GIF has 256 colors, so its
    luminance only approximates the input's. An `ImageFileWarning` names what the format cannot
    hold.

    Args:
        image: from `read_image_file`.
        rgb: (height, width, 3), of the size and type of `image.pixels`.
        destination: a path, which is replaced only after everything is written; or an open binary
            file.
        format: a format's name or suffix. The default is the suffix of `destination`, and for an
            open file that of `output_suffix` for the input.
        others: the other frames or pages from `read_frames`, and their colors. All frames of an
            animation are written to PNG, WebP, GIF (8 bits) and TIFF, and pages only to TIFF; a
            warning says how many any other format leaves out.

    Raises:
        ImageFileError: `rgb` has another size or type, the format is unknown or does not match the
            suffix, the image is too large for the format, or the destination cannot be written.
        OSError: the disk is full.
    """
    name = name_of(destination)
    is_path = isinstance(destination, str | os.PathLike)
    expected = (*image.pixels.shape[:2], 3)
    if rgb.shape != expected or rgb.dtype != image.pixels.dtype:
        raise ImageFileError(
            f"The colorized pixels must be {image.pixels.dtype} {expected} like the image, not "
            f"{rgb.dtype} {rgb.shape}."
        )
    key = _choose(image, destination if is_path else None, format)
    # A device such as /dev/null would be replaced by a file.
    if is_path and os.path.exists(destination) and not os.path.isfile(destination):
        kind = "folder" if os.path.isdir(destination) else "pipe or a device"
        raise ImageFileError(f"{name} cannot be written: it is a {kind}.")
    if image.frames > 1 and key not in (("tiff",) if image.format == "tiff" else _ANIMATED):
        if others != ():
            text = f"{key} cannot hold its other {image.frames - 1} frames or pages"
            warnings.warn(f"{name}: {text}.", ImageFileWarning, stacklevel=2)
        others = ()
    is_animation = others != () and key != "tiff"
    frames = itertools.chain([(image, rgb)], others)
    frames = (_fit(*frame, key, name, is_animation) for frame in frames)
    try:
        if not is_path:
            buffer = io.BytesIO()
            _encode(frames, key, buffer, is_animation)
            destination.write(buffer.getbuffer())
            return
        with replacing(destination) as temporary, open(temporary, "w+b") as file:
            _encode(frames, key, file, is_animation)
    except ImageFileError:
        raise
    except (OSError, RuntimeError, ValueError) as error:  # encoders raise any of them
        if disk_is_full(error):
            raise  # no later file can be written either
        raise ImageFileError(f"{name} cannot be written: {reason_of(error)}.") from error


def _choose(image: ImageFile, path: str | Path | None, format: str | None) -> str:
    """Returns the key of `OUTPUT_FORMATS` to write."""
    if path is None:
        return output_format(output_suffix(f"a{FORMATS[image.format][0]}", format))
    suffix = Path(path).suffix
    key = output_format(suffix)
    if format is not None and output_format(format) != key:
        raise ImageFileError(f"{path}: the suffix {suffix} does not match the format {format}.")
    return key


def _fit(
    image: ImageFile, rgb: np.ndarray, key: str, name: str, is_animation: bool
) -> tuple[ImageFile, np.ndarray]:
    """Returns the metadata and the pixels, with alpha, as the format can hold them."""
    alpha, lost = image.alpha, []
    if alpha is not None and key not in _ALPHA:
        if alpha.min() < np.iinfo(alpha.dtype).max:
            rgb = _onto_white(rgb, alpha)
            lost.append(f"{key} has no transparency: transparent areas become white")
        alpha = None
    if rgb.dtype == np.uint16 and (is_animation or key not in _16_BITS):
        rgb, alpha = _to_8_bits(rgb), None if alpha is None else _to_8_bits(alpha)
    if alpha is not None:
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
        # At most 65535 squared plus a half, which fits in 32 bits.
        result[rows] = (rgb[rows] * part + white * (white - part) + white // 2) // white
    return result


def _to_8_bits(values: np.ndarray) -> np.ndarray:
    result = np.empty(values.shape, np.uint8)
    for rows in bands(*values.shape[:2]):
        result[rows] = (values[rows].astype(np.uint32) + 128) // 257
    return result


def _encode(
    frames: Iterator[tuple[ImageFile, np.ndarray]], key: str, file: BinaryIO, is_animation: bool
) -> None:
    if key == "png" and not is_animation:
        from .png import write_png

        write_png(*next(frames), file)
    elif key == "tiff":
        from .tiff import write_tiff

        write_tiff(frames, file)
    else:
        from .pillow import write_image

        write_image(list(frames), key, file)
