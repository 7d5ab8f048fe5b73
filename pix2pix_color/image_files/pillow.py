"""The formats that Pillow decodes or encodes: all but PNG and the usual TIFFs."""

from __future__ import annotations

import functools
import io
import math
import re
import struct
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, features

from . import exif as _exif
from .image_file import MAX_PIXELS, Decoded, ImageFile, Unreadable, bands, check_size, stretch

__all__ = ["READERS", "decode_tiff", "read_animation", "write_image"]

_NAMES = {"pnm": "PPM"}  # Pillow's, where they differ
_GRAY = ("1", "L", "LA", "La")
_COLOR = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr")


def _read(format: str, content: bytes, max_pixels: int) -> Decoded:
    """Decodes a file; of an animation the first frame, of several images (MPO) the first."""
    lossless = format not in ("jpeg", "avif", "jpeg2000")
    if format == "webp":
        lossless = _check_webp(content, max_pixels)
    rows = None
    with _open(content, format, max_pixels) as image:
        info = image.info
        try:
            pixels, alpha = _decode(image)
        except OSError as error:
            if format != "jpeg" or "truncated" not in str(error):
                raise
            with _open(content + b"\xff\xd9", format, max_pixels) as ended:
                pixels, alpha = _decode(ended)
            # What is missing has one color, the gray of libjpeg.
            decoded = np.flatnonzero((pixels != pixels[-1, -1]).any(axis=(1, 2)))
            rows = decoded[-1] + 1 if len(decoded) else 0
    exif = info.get("exif") or None
    if exif:
        exif = _exif.PREFIX + exif.removeprefix(_exif.PREFIX)
    return Decoded(
        pixels,
        alpha,
        format,
        exif=exif,
        icc_profile=info.get("icc_profile"),
        xmp=info.get("xmp") or None,
        dpi=info.get("dpi"),
        lossless=lossless,
        orientation=_exif.orientation(exif),
        rows=rows,
    )


def _read_pnm(content: bytes, max_pixels: int) -> Decoded:
    """Decodes a Netpbm file: those of 9 to 16 bits here, since Pillow reduces colors to 8."""
    header = re.match(rb"P([56])" + 3 * rb"(?:\s|#[^\r\n]*)+(\d{1,9})" + rb"\s", content)
    kind, width, height, white = map(int, header.groups()) if header else 4 * (0,)
    if not 255 < white < 65536:
        return _read("pnm", content, max_pixels)
    check_size(width, height, max_pixels)
    shape = height, width, 1 if kind == 5 else 3
    if len(content) < header.end() + 2 * math.prod(shape):
        raise Unreadable("it is truncated")
    values = np.frombuffer(content, ">u2", math.prod(shape), header.end()).astype(np.uint16)
    return Decoded(stretch(values.reshape(shape), white), format="pnm")


def _read_heic(content: bytes, max_pixels: int) -> Decoded:
    try:
        import pillow_heif
    except ImportError as error:
        raise Unreadable("HEIC needs the package pillow-heif: pip install pillow-heif") from error
    file = pillow_heif.open_heif(io.BytesIO(content))
    check_size(*file.size, max_pixels)
    pixels, alpha = _decode(file.to_pillow())
    exif = file.info.get("exif") or None
    # The pixels are upright already: libheif follows HEIF's own rotation instead of EXIF.
    return Decoded(
        pixels,
        alpha,
        "heic",
        exif=exif and _exif.PREFIX + exif.removeprefix(_exif.PREFIX),
        icc_profile=file.info.get("icc_profile") or None,
        xmp=file.info.get("xmp") or None,
        lossless=False,
        transposed=_exif.orientation(exif) >= 5,
    )


_PLAIN = ("jpeg", "webp", "bmp", "gif", "avif", "jpeg2000")
READERS = {name: functools.partial(_read, name) for name in _PLAIN}
READERS |= {"pnm": _read_pnm, "heic": _read_heic}
"""For each format, a function of a file's bytes and the largest number of pixels to decode."""


def read_animation(content: bytes, format: str, max_pixels: int) -> Iterator[Decoded]:
    """Yields the frames of a GIF, WebP or PNG, which together have at most `max_pixels`."""
    with _open(content, format, max_pixels) as image:
        count = getattr(image, "n_frames", 1)
        if count > 1:
            check_size(image.width, image.height * count, max_pixels)
        for index in range(count):
            image.seek(index)
            pixels, alpha = _decode(image)
            timing = {key: image.info.get(key) for key in ("duration", "loop")}
            yield Decoded(pixels, alpha, format, frames=count, **timing)


def decode_tiff(content: bytes, max_pixels: int, page: int = 0) -> Decoded:
    """Decodes the pixels of a page of a TIFF, turned upright, without its metadata."""
    _silence_libtiff()
    with _open(content, "tiff", max_pixels) as image:
        image.seek(page)
        if image.mode == "LAB":
            image = _from_lab(image)
        pixels, alpha = _decode(image)
        left = getattr(image, "tag_v2", {}).get(_exif.ORIENTATION, 1)
    # Pillow has turned the pixels and removed the tag; old versions did neither.
    orientation = left if left in range(1, 9) else 1
    return Decoded(pixels, alpha, "tiff", orientation=orientation)


def _open(content: bytes, format: str, max_pixels: int) -> Image.Image:
    _silence()
    format = _NAMES.get(format, format.upper())
    if format == "AVIF" and not features.check("avif"):
        raise Unreadable("AVIF needs Pillow 11.3 or later: pip install -U pillow")
    try:
        image = Image.open(io.BytesIO(content), formats=[format])
    except Image.DecompressionBombError as error:
        limit = f"the limit of {max_pixels:,}"
        if max_pixels > MAX_PIXELS:
            limit = "PIL.Image.MAX_IMAGE_PIXELS lets Pillow read"
        raise Unreadable(f"its header says more pixels than {limit}") from error
    except Image.UnidentifiedImageError as error:
        if format == "TIFF":  # tifffile has read the header
            raise Unreadable(
                "its compression or kind of colors is not supported: save it as a plain TIFF"
            ) from error
        if format == "JPEG" and re.search(rb"\xff[\xc0-\xc3]\0.\x0c", content, re.DOTALL):
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


@functools.cache
def _silence_libtiff() -> None:
    """Stops the libtiff in Pillow's wheels from printing to the standard error."""
    import ctypes

    for path in Path(Image.__file__).parent.parent.glob("pillow.libs/libtiff*"):
        library = ctypes.CDLL(str(path))
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            getattr(library, name)(None)


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


def _from_lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    image.load()
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")


def _check_webp(content: bytes, max_pixels: int) -> bool:
    """Checks the size, for Pillow allocates the pixels when it opens a WebP.

    Returns:
        Whether the (first) image is lossless.
    """
    if len(content) < 30:
        raise Unreadable("it ends in its header")
    kind, start = content[12:16], 12
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<L", content, 21)
        size = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        size = tuple(side & 0x3FFF for side in struct.unpack_from("<2H", content, 26))
    elif kind == b"VP8X":
        size = tuple(int.from_bytes(content[at : at + 3], "little") + 1 for at in (24, 27))
        start = 30
    else:
        raise Unreadable("its WebP header is damaged")
    check_size(*size, max_pixels)
    while start + 8 <= len(content):
        kind, length = struct.unpack_from("<4sL", content, start)
        if kind in (b"VP8 ", b"VP8L"):
            return kind == b"VP8L"
        # The frame of an animation contains chunks after 16 bytes; others are skipped.
        start += 8 + (16 if kind == b"ANMF" else length + length % 2)
    return False


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
    image, options = frames[0][0], {}
    if len(frames) > 1:
        durations = [frame.duration or 0 for frame, _ in frames]
        once = None if format == "gif" else 1
        loop = once if image.loop is None else image.loop
        options = {"save_all": True, "duration": durations, "loop": loop}
    if format in ("jpeg", "webp", "png"):
        options |= {"exif": image.exif, "icc_profile": image.icc_profile, "xmp": image.xmp}
    if format in ("jpeg", "bmp", "png"):
        options["dpi"] = image.dpi
    if format == "jpeg":
        options |= {"quality": 95, "subsampling": "4:4:4"}
    elif format == "webp" and image.lossless:
        options |= {"lossless": True, "exact": True}
    elif format == "webp":
        options |= {"quality": 95, "use_sharp_yuv": True}
    elif format == "gif":
        pictures = [_with_palette(picture) for picture in pictures]
        options["disposal"] = 2
    if len(pictures) > 1:
        options["append_images"] = pictures[1:]
    pictures[0].save(file, format.upper(), **{k: v for k, v in options.items() if v is not None})


def _with_palette(picture: Image.Image) -> Image.Image:
    """Returns the image in the best 256 colors (255 and transparent), dithered."""
    opaque = picture.mode == "RGB"
    quantized = picture.convert("RGB").quantize(256 if opaque else 255)
    if opaque:
        return quantized
    indices = np.array(quantized)
    indices[np.asarray(picture)[..., 3] < 128] = 255
    result = Image.fromarray(indices).convert("L")
    result.putpalette(quantized.getpalette())
    result.info["transparency"] = 255
    return result
