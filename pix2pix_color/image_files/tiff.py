"""TIFF through tifffile: Pillow has no 16-bit RGB, and its libtiff prints to standard error."""

from __future__ import annotations

import dataclasses
import functools
import io
import itertools
import logging
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from . import exif as _exif
from .image_file import Decoded, ImageFile, Unreadable, bands, check_size, stretch
from .pillow import decode_tiff

if TYPE_CHECKING:
    import tifffile

__all__ = ["read_pages", "read_tiff", "write_tiff"]

# Compressions that are read; those with a name are also written.
_COMPRESSIONS = {
    1: "none",
    2: None,  # fax
    3: None,
    4: None,
    5: "lzw",
    7: None,  # JPEG
    8: "deflate",
    32773: "packbits",
    32946: "deflate",
    34925: "lzma",
    50000: "zstd",
}
_OLD_JPEG, _JPEG = 6, 7
_WHITE_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 2, 3, 5, 6
_CHANNELS = {_WHITE_IS_ZERO: 1, 1: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3}
_LAB = (8, 9)  # device-independent: a profile is meaningless
_ALPHA = _ASSOCIATED, _UNASSOCIATED = 1, 2
_XMP, _PROFILE, _RAW_VERSION, _SUB_PAGES = 700, 34675, 50706, 330
_MAX_SAMPLES = 8  # colors, alpha and the masks of an image editor


def read_pages(content: bytes, first: Decoded, max_pixels: int) -> Iterator[Decoded]:
    """Yields `first` and the other pages of a TIFF that are neither thumbnails nor masks."""
    with _tifffile().TiffFile(io.BytesIO(content), name="image") as tiff:
        pages = enumerate(tiff.pages)
        numbers = [index for index, page in pages if index and not page.subfiletype & 5]
    yield dataclasses.replace(first, frames=1 + len(numbers))
    for index in numbers:
        yield read_tiff(content, max_pixels, index)


def read_tiff(content: bytes, max_pixels: int, index: int = 0) -> Decoded:
    """Decodes a page, by default the first, of a TIFF or BigTIFF.

    Bilevel, gray, palette, RGB and CMYK of 1 to 16 bits, in strips, tiles or planes; and whatever
    else Pillow reads (Lab, subsampled YCbCr), in 8 bits.

    Args:
        content: the file.
        max_pixels: a larger image is refused before it is decoded.
        index: the number of the page; only the first has an EXIF block.
    """
    with _tifffile().TiffFile(io.BytesIO(content), name="image") as tiff:
        page = tiff.pages[index] if index else _first_page(tiff)
        _check(page, max_pixels)
        is_plain = _is_plain(page)
        decoded = _decode(page) if is_plain else decode_tiff(content, max_pixels, index)
        orientation = page.tags.valueof(_exif.ORIENTATION)
        if orientation not in range(1, 9):
            orientation = 1
        # Pillow has already turned the pixels.
        turn = {"orientation": orientation} if is_plain else {"transposed": orientation >= 5}
        return dataclasses.replace(decoded, **turn, **_metadata(page, content, decoded.problems))


@functools.cache
def _tifffile():
    import tifffile

    # Without a handler, Python prints what tifffile logs about a damaged file.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    return tifffile


def _first_page(tiff: tifffile.TiffFile) -> tifffile.TiffPage:
    try:
        return tiff.pages.first
    except IndexError:
        raise Unreadable("it ends before its first page") from None


def _check(page: tifffile.TiffPage, max_pixels: int) -> None:
    sizes = (page.imagewidth, page.imagelength, page.imagedepth, page.samplesperpixel)
    if not all(isinstance(size, int) for size in sizes):
        raise Unreadable("its header is damaged: a size is not an integer")
    check_size(page.imagewidth, page.imagelength, max_pixels)
    if page.imagedepth != 1:
        raise Unreadable("it is a volume, not an image")
    if page.is_tiled:
        check_size(page.tilewidth, page.tilelength, max_pixels)
    if _RAW_VERSION in page.tags or (page.subfiletype & 1 and _SUB_PAGES in page.tags):
        raise Unreadable("it is a camera's raw file: develop it into a TIFF or JPEG first")
    if not 1 <= page.samplesperpixel <= _MAX_SAMPLES:
        raise Unreadable(f"it has {page.samplesperpixel} samples per pixel")
    if page.sampleformat not in (1, 4) or page.bitspersample > 16:
        kind = {2: "signed", 3: "floating point"}.get(page.sampleformat, "unsigned")
        raise Unreadable(
            f"it has {kind} samples of {page.bitspersample} bits, without a defined black and "
            "white: convert it to 8 or 16 bits unsigned"
        )


def _is_plain(page: tifffile.TiffPage) -> bool:
    """Returns whether tifffile decodes the page to gray, RGB, CMYK or palette indices."""
    if page.compression == _JPEG:
        return page.photometric in (1, _RGB, _YCBCR) and page.bitspersample == 8
    return (
        page.compression in _COMPRESSIONS
        # Old versions of imagecodecs have no fax codec.
        and (page.compression == 1 or page.compression in _tifffile().TIFF.DECOMPRESSORS)
        and page.photometric in _CHANNELS
        and page.photometric != _YCBCR
        and page.dtype is not None
    )


def _decode(page: tifffile.TiffPage) -> Decoded:
    colors = _CHANNELS[page.photometric]
    if page.samplesperpixel < colors:
        raise Unreadable(f"it has {page.samplesperpixel} samples per pixel for {colors} colors")
    _check_segments(page)
    # (planes, depth, height, width, samples); by default, up to 256 MB are read ahead.
    samples = page.asarray(squeeze=False, buffersize=1 << 20)
    if not samples.dtype.isnative:
        samples = samples.byteswap(inplace=True).view(samples.dtype.newbyteorder("="))
    samples = samples[0, 0] if samples.shape[0] == 1 else np.moveaxis(samples[:, 0, ..., 0], 0, -1)
    if page.photometric == _PALETTE:
        pixels = _look_up(page, samples[..., 0])
    else:
        samples = stretch(samples, (1 << page.bitspersample) - 1)
        pixels = np.ascontiguousarray(samples[..., :colors])
    if page.photometric == _WHITE_IS_ZERO:
        np.subtract(np.iinfo(pixels.dtype).max, pixels, out=pixels)
    alpha, problems, extra = None, (), samples[..., colors:]
    if extra.shape[-1] and page.extrasamples and page.extrasamples[0] in _ALPHA:
        alpha, extra = np.ascontiguousarray(extra[..., 0]), extra[..., 1:]
        if page.extrasamples[0] == _ASSOCIATED:
            _undo_multiplication(pixels, alpha)
    if extra.shape[-1]:
        problems = ("its extra channels, which are not transparency, are dropped",)
    return Decoded(pixels, alpha, "tiff", problems=problems)


def _look_up(page: tifffile.TiffPage, indices: np.ndarray) -> np.ndarray:
    """Returns uint8 RGB for palette indices."""
    # Some programs write 8 bits times 256, some times 257.
    palette = (np.asarray(page.colormap).T >> 8).astype(np.uint8)
    return np.take(palette, indices, axis=0, mode="clip")


def _check_segments(page: tifffile.TiffPage) -> None:
    """Refuses a truncated file, whose missing part tifffile returns as black."""
    size = page.parent.filehandle.size
    offsets, counts = page.dataoffsets, page.databytecounts
    needed = 1 if page.is_contiguous else math.prod(page.chunked)
    if len(offsets) != len(counts) or len(offsets) < needed:
        raise Unreadable("it is damaged: parts of its pixels are missing")
    if any(offset + count > size for offset, count in zip(offsets, counts, strict=True)):
        raise Unreadable("it is truncated")


def _undo_multiplication(pixels: np.ndarray, alpha: np.ndarray) -> None:
    """Divides premultiplied pixels by their alpha, in place."""
    white = int(np.iinfo(pixels.dtype).max)
    for rows in bands(*alpha.shape):
        by = np.maximum(alpha[rows], 1)[..., None].astype(np.uint32)
        wide = (pixels[rows].astype(np.uint32) * white + by // 2) // by
        pixels[rows] = np.minimum(wide, white)


def _metadata(page: tifffile.TiffPage, content: bytes, problems: tuple[str, ...]) -> dict[str, Any]:
    """Returns the fields of `Decoded` that the tags contain."""
    profile, xmp = page.tags.valueof(_PROFILE), page.tags.valueof(_XMP)
    has_profile = isinstance(profile, bytes) and page.photometric not in _LAB
    try:
        exif = None if page.index else _exif.from_tiff(io.BytesIO(content))
    except ValueError as error:
        exif, problems = None, (*problems, f"its EXIF is damaged ({error}) and is dropped")
    return {
        "exif": exif,
        "icc_profile": profile if has_profile else None,
        "xmp": xmp if isinstance(xmp, bytes) else None,
        "dpi": _resolution(page.tags),
        "lossless": page.compression not in (_OLD_JPEG, _JPEG),
        "compression": _COMPRESSIONS.get(page.compression),
        "problems": problems,
    }


def _resolution(tags: tifffile.TiffTags) -> tuple[float, float] | None:
    """Returns pixels per inch."""
    try:
        scale = {2: 1.0, 3: 2.54}[int(tags.valueof(296, 2))]
        (x, per_x), (y, per_y) = tags.valueof(282), tags.valueof(283)
        return scale * x / per_x, scale * y / per_y
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


def write_tiff(frames: Iterable[tuple[ImageFile, np.ndarray]], file: BinaryIO) -> None:
    """Encodes pages one by one, each with its metadata and compression.

    Args:
        frames: metadata, and pixels: uint8 or uint16 (height, width, 3 or 4).
        file: to write to and read, empty.
    """
    frames = iter(frames)
    first = next(frames)
    is_big = first[1].nbytes * first[0].frames >= 1 << 32
    with _tifffile().TiffWriter(file, byteorder="<", bigtiff=is_big) as writer:
        for image, pixels in itertools.chain([first], frames):
            compression = image.compression or "deflate"
            writer.write(
                pixels,
                photometric="rgb",
                planarconfig="contig",
                extrasamples=["unassalpha"] * (pixels.shape[-1] - 3),
                compression=None if compression == "none" else compression,
                predictor=compression in ("lzw", "deflate", "zstd", "lzma"),
                resolution=image.dpi,
                resolutionunit="inch" if image.dpi else None,
                iccprofile=image.icc_profile,
                software=False,
                metadata=None,
                extratags=[(_XMP, 1, len(image.xmp), image.xmp, True)] if image.xmp else [],
            )
    if first[0].exif and not is_big:
        _exif.add_to_tiff(first[0].exif, file)
