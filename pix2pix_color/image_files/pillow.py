"""The formats that Pillow decodes or encodes: all but PNG and TIFF."""

from __future__ import annotations

import io
import re
import struct
import warnings
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np
from PIL import Image, PngImagePlugin, features

from . import exif as _exif
from .image_file import MAX_PIXELS, Decoded, ImageFile, Unreadable, bands, check_size

__all__ = ["read_image", "write_image"]

_LOSSY = ("jpeg", "heic", "avif", "jpeg2000")
_ANIMATED = ("gif", "png", "webp")
_GRAY = ("1", "L", "LA", "La")
_COLOR = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr")


def read_image(
    format: str, content: bytes, max_pixels: int, all_frames: bool = False
) -> Iterator[Decoded]:
    """Yields the first image of a file, or all frames of an animation.

    Args:
        format: a key of `FORMATS`.
        content: the file.
        max_pixels: larger images, or frames that are larger together, are refused before they
            are decoded.
        all_frames: of a GIF, PNG or WebP.
    """
    is_lossless = _check_webp(content, max_pixels) if format == "webp" else format not in _LOSSY
    with _open(content, format, max_pixels) as image:
        info = dict(image.info)
        exif = info.get("exif") or None
        if exif:
            exif = _exif.PREFIX + exif.removeprefix(_exif.PREFIX)
        count = getattr(image, "n_frames", 1) if all_frames and format in _ANIMATED else 1
        if count > 1:
            check_size(image.width, image.height * count, max_pixels)
        for index in range(count):
            if index:
                image.seek(index)
            try:
                pixels, alpha, rows = *_decode(image), None
            except OSError as error:
                if format != "jpeg" or "truncated" not in str(error):
                    raise
                pixels, alpha, rows = _truncated_jpeg(content, max_pixels)
            yield Decoded(
                pixels,
                alpha,
                format,
                exif=None if index else exif,
                icc_profile=info.get("icc_profile") or None,
                xmp=info.get("xmp") or None,
                dpi=info.get("dpi"),
                lossless=is_lossless,
                frames=count,
                duration=image.info.get("duration"),
                loop=image.info.get("loop"),
                # libheif follows HEIF's own rotation instead of EXIF.
                orientation=1 if format == "heic" else _exif.orientation(exif),
                rows=rows,
            )


def _truncated_jpeg(content: bytes, max_pixels: int) -> tuple[np.ndarray, np.ndarray | None, int]:
    """Returns the pixels, the alpha, and how many rows were decoded."""
    with _open(content + b"\xff\xd9", "jpeg", max_pixels) as image:
        pixels, alpha = _decode(image)
    # What is missing has one color, the gray of libjpeg.
    decoded = np.flatnonzero((pixels != pixels[-1, -1]).any(axis=(1, 2)))
    return pixels, alpha, decoded[-1] + 1 if len(decoded) else 0


def _open(content: bytes, format: str, max_pixels: int) -> Image.Image:
    _silence()
    if format == "avif" and not features.check("avif"):
        raise Unreadable("AVIF needs Pillow 11.3 or later: pip install -U pillow")
    try:
        if format == "heic":
            from pillow_heif import HeifImageFile

            image = HeifImageFile(io.BytesIO(content))
        else:
            name = "PPM" if format == "pnm" else format.upper()
            image = Image.open(io.BytesIO(content), formats=[name])
    except ImportError as error:
        raise Unreadable("HEIC needs the package pillow-heif: pip install pillow-heif") from error
    except Image.DecompressionBombError as error:
        limit = min(max_pixels, MAX_PIXELS)
        raise Unreadable(f"its header says more pixels than the limit of {limit:,}") from error
    except Image.UnidentifiedImageError as error:
        if format == "jpeg" and re.search(rb"\xff[\xc0-\xc3]\0.\x0c", content, re.DOTALL):
            raise Unreadable("JPEGs of 12 bits are not supported: convert it to PNG") from error
        raise Unreadable(f"its {format} header is damaged") from error
    check_size(*image.size, max_pixels)
    return image


def _silence() -> None:
    """Hides Pillow's warnings about damaged files; this package warns with the file's name.

    The filter is permanent: `warnings.catch_warnings` swaps the filters of all threads, and
    several threads read files.
    """
    for category in (UserWarning, Image.DecompressionBombWarning):
        if ("ignore", None, category, re.compile(r"PIL\."), 0) not in warnings.filters:
            warnings.filterwarnings("ignore", category=category, module=r"PIL\.")


def _decode(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns pixels and alpha, converted in bands: Pillow's conversion triples the memory."""
    image.load()
    if image.mode.startswith("I;16") or (image.mode, image.format) == ("I", "PPM"):
        return np.asarray(image).astype(np.uint16)[..., None], None
    if image.mode not in (*_GRAY, *_COLOR, "CMYK"):
        raise Unreadable(f"its pixels are of a kind ({image.mode}) that has no defined colors")
    mode = "L" if image.mode in _GRAY else "RGB" if image.mode in _COLOR else "CMYK"
    channels, alpha = Image.getmodebands(mode), None
    width, height = image.size
    if mode != "CMYK" and image.has_transparency_data:
        mode += "A"
        alpha = np.empty((height, width), np.uint8)
    pixels = np.empty((height, width, channels), np.uint8)
    for rows in bands(height, width):
        band = image.crop((0, rows.start, width, rows.stop))
        if band.mode != mode:
            band = band.convert(mode)
        values = np.asarray(band).reshape(rows.stop - rows.start, width, -1)
        pixels[rows] = values[..., :channels]
        if alpha is not None:
            alpha[rows] = values[..., -1]
    return pixels, alpha


def _check_webp(content: bytes, max_pixels: int) -> bool:
    """Checks the size, for Pillow allocates the pixels when it opens a WebP.

    Returns:
        Whether the (first) image is lossless.
    """
    kind = content[12:16]
    if kind not in (b"VP8L", b"VP8 ", b"VP8X") or len(content) < 30:
        raise Unreadable("its WebP header is damaged")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<L", content, 21)
        size = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        size = tuple(side & 0x3FFF for side in struct.unpack_from("<2H", content, 26))
    else:
        size = tuple(int.from_bytes(content[at : at + 3], "little") + 1 for at in (24, 27))
    check_size(*size, max_pixels)
    first = re.search(rb"VP8[ L]", content)
    return first is not None and first.group() == b"VP8L"


def write_image(
    frames: Sequence[tuple[ImageFile, np.ndarray]], format: str, file: BinaryIO
) -> None:
    """Encodes one or more frames, and the metadata of the first that the format can hold.

    Args:
        frames: metadata, and pixels: uint8 (height, width, 3), for PNG, WebP and GIF also 4.
        format: `jpeg`, `webp`, `bmp` or `gif`; `png` for an animation.
        file: to write to.
    """
    pictures = [Image.fromarray(pixels) for _, pixels in frames]
    image = frames[0][0]
    options = {name: getattr(image, name) for name in ("exif", "icc_profile", "xmp", "dpi")}
    if len(frames) > 1:
        durations = [frame.duration or 0 for frame, _ in frames]
        once = None if format == "gif" else 1
        loop = once if image.loop is None else image.loop
        options |= {"save_all": True, "append_images": pictures[1:]}
        options |= {"duration": durations, "loop": loop}
    if format == "jpeg":
        options |= {"quality": 95, "subsampling": "4:4:4"}
    elif format == "webp" and image.lossless:
        options |= {"lossless": True, "exact": True}
    elif format == "webp":
        options |= {"quality": 95, "use_sharp_yuv": True}
    elif format == "gif":
        options["disposal"] = 2
    elif format == "png" and image.xmp:
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + image.xmp)
    pictures[0].save(file, format.upper(), **{k: v for k, v in options.items() if v is not None})
