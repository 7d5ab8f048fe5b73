"""TIFF through tifffile, since Pillow has no 16-bit RGB."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
import tifffile

from . import exif as _exif
from .image_file import Decoded, ImageFile, Unreadable, bands, check_size, stretch

__all__ = ["read_tiff", "write_tiff"]

_JPEG = 7
# None, fax, LZW, JPEG, deflate, PackBits, LZMA, Zstandard.
_COMPRESSIONS = (1, 2, 3, 4, 5, _JPEG, 8, 32773, 32946, 34925, 50000)
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_CHANNELS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3}
_ASSOCIATED, _UNASSOCIATED = (1,), (2,)  # the first extra channel is alpha
_XMP, _PROFILE, _RAW_VERSION, _SUB_PAGES = 700, 34675, 50706, 330
_NOT_A_PAGE = 1 | 4  # a thumbnail, a mask
_MAX_SAMPLES = 8  # colors, alpha and the masks of an image editor


def read_tiff(content: bytes, max_pixels: int, all_frames: bool = False) -> Iterator[Decoded]:
    """Yields the first page of a TIFF or BigTIFF, or all that are neither thumbnails nor masks.

    Reads bilevel, gray, palette, RGB and CMYK of 1 to 16 bits, in strips, tiles or planes, and
    YCbCr in JPEG.

    Args:
        content: the file.
        max_pixels: a larger page is refused before it is decoded.
        all_frames: all pages; only the first has an EXIF block.
    """
    with tifffile.TiffFile(io.BytesIO(content), name="image") as tiff:
        pages = [tiff.pages.first]
        if all_frames:
            pages += [p for p in tiff.pages if p.index and not p.subfiletype & _NOT_A_PAGE]
        for page in pages:
            _check(page, max_pixels)
            pixels, alpha = _decode(page)
            orientation = page.tags.valueof(_exif.ORIENTATION)
            profile, xmp = page.tags.valueof(_PROFILE), page.tags.valueof(_XMP)
            yield Decoded(
                pixels,
                alpha,
                "tiff",
                exif=None if page.index else _exif.from_tiff(page),
                icc_profile=profile if isinstance(profile, bytes) else None,
                xmp=xmp if isinstance(xmp, bytes) else None,
                dpi=_resolution(page.tags),
                lossless=page.compression != _JPEG,
                frames=len(pages),
                orientation=orientation if orientation in range(1, 9) else 1,
            )


def _check(page: tifffile.TiffPage, max_pixels: int) -> None:
    """Refuses a page before it is decoded."""
    check_size(page.imagewidth, page.imagelength, max_pixels)
    if page.is_tiled:
        check_size(page.tilewidth, page.tilelength, max_pixels)
    if page.imagedepth != 1 or not 1 <= page.samplesperpixel <= _MAX_SAMPLES:
        raise Unreadable(f"it has {page.imagedepth} x {page.samplesperpixel} samples per pixel")
    if _RAW_VERSION in page.tags or (page.subfiletype & 1 and _SUB_PAGES in page.tags):
        raise Unreadable("it is a camera's raw file: develop it into a TIFF or JPEG first")
    if page.sampleformat not in (1, 4) or page.bitspersample > 16:
        raise Unreadable(
            f"it has samples of a type ({page.dtype}) without a defined black and white: convert "
            "it to 8 or 16 bits unsigned"
        )
    is_jpeg = page.compression == _JPEG
    photometrics = (_BLACK_IS_ZERO, _RGB, _YCBCR) if is_jpeg else _CHANNELS.keys() - {_YCBCR}
    if page.compression not in _COMPRESSIONS or page.photometric not in photometrics:
        raise Unreadable(
            "its compression or kind of colors is not supported: save it as a plain TIFF"
        )
    if page.samplesperpixel < _CHANNELS[page.photometric]:
        raise Unreadable("it has fewer samples per pixel than colors")


def _decode(page: tifffile.TiffPage) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the pixels and the alpha; other extra channels, such as masks, are dropped."""
    colors = _CHANNELS[page.photometric]
    _check_segments(page)
    # (planes, depth, height, width, samples); by default, up to 256 MB are read ahead.
    samples = page.asarray(squeeze=False, buffersize=1 << 20)
    if not samples.dtype.isnative:
        samples = samples.byteswap(inplace=True).view(samples.dtype.newbyteorder("="))
    samples = samples[0, 0] if samples.shape[0] == 1 else np.moveaxis(samples[:, 0, ..., 0], 0, -1)
    if page.photometric == _PALETTE:
        # Some programs write 8 bits times 256, some times 257.
        palette = (np.asarray(page.colormap).T >> 8).astype(np.uint8)
        pixels = np.take(palette, samples[..., 0], axis=0, mode="clip")
    else:
        samples = stretch(samples, (1 << page.bitspersample) - 1)
        pixels = np.ascontiguousarray(samples[..., :colors])
    if page.photometric == _WHITE_IS_ZERO:
        np.subtract(np.iinfo(pixels.dtype).max, pixels, out=pixels)
    if samples.shape[-1] == colors or page.extrasamples[:1] not in (_ASSOCIATED, _UNASSOCIATED):
        return pixels, None
    alpha = np.ascontiguousarray(samples[..., colors])
    if page.extrasamples[:1] == _ASSOCIATED:
        _undo_multiplication(pixels, alpha)
    return pixels, alpha


def _check_segments(page: tifffile.TiffPage) -> None:
    """Refuses a truncated file, whose missing part tifffile returns as black."""
    size = page.parent.filehandle.size
    offsets, counts = page.dataoffsets, page.databytecounts
    needed = 1 if page.is_contiguous else math.prod(page.chunked)
    ends = [offset + count for offset, count in zip(offsets, counts, strict=True)]
    if len(ends) < needed or max(ends) > size:
        raise Unreadable("it is truncated or damaged: parts of its pixels are missing")


def _undo_multiplication(pixels: np.ndarray, alpha: np.ndarray) -> None:
    """Divides premultiplied pixels by their alpha, in place."""
    white = int(np.iinfo(pixels.dtype).max)
    for rows in bands(*alpha.shape):
        by = np.maximum(alpha[rows], 1)[..., None].astype(np.uint32)
        wide = (pixels[rows].astype(np.uint32) * white + by // 2) // by
        pixels[rows] = np.minimum(wide, white)


def _resolution(tags: tifffile.TiffTags) -> tuple[float, float] | None:
    """Returns pixels per inch."""
    try:
        scale = {2: 1.0, 3: 2.54}[int(tags.valueof(296, 2))]
        (x, per_x), (y, per_y) = tags.valueof(282), tags.valueof(283)
        return scale * x / per_x, scale * y / per_y
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


def write_tiff(frames: Iterable[tuple[ImageFile, np.ndarray]], file: BinaryIO) -> None:
    """Encodes pages one by one, each with its metadata; of EXIF, the texts.

    Args:
        frames: metadata, and pixels: uint8 or uint16 (height, width, 3 or 4).
        file: to write to and read, empty.
    """
    frames = iter(frames)
    first = next(frames)
    is_big = first[1].nbytes * first[0].frames >= 1 << 32
    with tifffile.TiffWriter(file, byteorder="<", bigtiff=is_big) as writer:
        for image, pixels in itertools.chain([first], frames):
            tags = _exif.texts(image.exif) if image.exif else []
            if image.xmp:
                tags.append((_XMP, 1, len(image.xmp), image.xmp, True))
            writer.write(
                pixels,
                photometric="rgb",
                planarconfig="contig",
                extrasamples=["unassalpha"] * (pixels.shape[-1] - 3),
                compression="deflate",
                predictor=True,
                resolution=image.dpi,
                resolutionunit="inch" if image.dpi else None,
                iccprofile=image.icc_profile,
                software=False,
                metadata=None,
                extratags=tags,
            )
