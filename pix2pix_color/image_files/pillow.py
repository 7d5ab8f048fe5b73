"""The formats that Pillow decodes and encodes: JPEG, WebP, BMP, GIF, and the rarest TIFFs."""

from __future__ import annotations

import re
import struct
import warnings
from typing import BinaryIO

import numpy as np
from PIL import Image

from . import exif as _exif
from .image_file import MAX_PIXELS, Decoded, ImageFile, Unreadable, bands, check_size

__all__ = ["decode_tiff", "read_bmp", "read_gif", "read_jpeg", "read_webp", "write_image"]

# Modes that `numpy` sees, for each of Pillow's; then those with a transparent color.
_MODES = {
    "1": "L",
    "L": "L",
    "P": "RGB",
    "RGB": "RGB",
    "RGBX": "RGB",
    "YCbCr": "RGB",
    "LA": "LA",
    "La": "LA",
    "PA": "RGBA",
    "RGBA": "RGBA",
    "RGBa": "RGBA",
    "CMYK": "CMYK",
}
_WITH_ALPHA = {"L": "LA", "RGB": "RGBA"}
_CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}


def read_jpeg(file: BinaryIO, max_pixels: int) -> Decoded:
    """Decodes a JPEG; of several images in one file (MPO) the first."""
    with _open(file, "JPEG", max_pixels) as image:
        return _decode(image)


def read_bmp(file: BinaryIO, max_pixels: int) -> Decoded:
    """Decodes a BMP."""
    with _open(file, "BMP", max_pixels) as image:
        return _decode(image)


def read_gif(file: BinaryIO, max_pixels: int) -> Decoded:
    """Decodes the first frame of a GIF."""
    with _open(file, "GIF", max_pixels) as image:
        return _decode(image)


def read_webp(file: BinaryIO, max_pixels: int) -> Decoded:
    """Decodes a WebP; of an animation the first frame."""
    file.seek(0)
    size, lossless = _webp_header(file)
    check_size(*size, max_pixels)  # Pillow's decoder takes memory as it opens
    with _open(file, "WEBP", max_pixels) as image:
        decoded = _decode(image)
    decoded.lossless = lossless
    return decoded


def decode_tiff(file: BinaryIO, max_pixels: int) -> Decoded:
    """Decodes the pixels of a TIFF, turned upright, without what its tags say."""
    with _open(file, "TIFF", max_pixels) as image:
        if image.mode == "LAB":
            image = _from_lab(image)
        decoded = _decode(image)
        left = getattr(image, "tag_v2", {}).get(_exif.ORIENTATION, 1)
    # Pillow turned it and forgot the tag; older ones did neither.
    decoded.orientation = left if left in range(1, 9) else 1
    return decoded


def _open(file: BinaryIO, format: str, max_pixels: int) -> Image.Image:
    _silence()
    file.seek(0)
    try:
        image = Image.open(file, formats=[format])
    except Image.DecompressionBombError as error:
        limit = f"than the {max_pixels:,} that are allowed"
        if max_pixels > MAX_PIXELS:
            limit = "than PIL.Image.MAX_IMAGE_PIXELS lets Pillow read"
        raise Unreadable(f"its header says more pixels {limit}") from error
    except Image.UnidentifiedImageError as error:
        raise Unreadable(f"its {format} header is damaged") from error
    check_size(*image.size, max_pixels)
    return image


def _silence() -> None:
    """Hides what Pillow warns of in damaged files; this package says it with the file's name.

    A filter that stays: `warnings.catch_warnings` swaps the filters of all threads, and files
    are read in several.
    """
    for category in (UserWarning, Image.DecompressionBombWarning):
        if ("ignore", None, category, re.compile(r"PIL\."), 0) not in warnings.filters:
            warnings.filterwarnings("ignore", category=category, module=r"PIL\.")


def _decode(image: Image.Image) -> Decoded:
    image.load()
    mode = _MODES.get(image.mode)
    if mode is None:
        raise Unreadable(f"its pixels are of a kind ({image.mode}) that has no defined colors")
    if "transparency" in image.info:
        mode = _WITH_ALPHA.get(mode, mode)
    pixels, alpha = _to_arrays(image, mode)
    exif = image.info.get("exif") or None
    if exif:
        exif = _exif.PREFIX + exif.removeprefix(_exif.PREFIX)
    return Decoded(
        pixels,
        alpha,
        exif=exif,
        icc_profile=image.info.get("icc_profile"),
        xmp=image.info.get("xmp") or None,
        dpi=image.info.get("dpi"),
        lossless=image.format not in ("JPEG", "MPO"),
        orientation=_exif.orientation(exif),
    )


def _to_arrays(image: Image.Image, mode: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns pixels and alpha band by band: Pillow's own conversion takes thrice the memory."""
    width, height = image.size
    has_alpha = mode in _WITH_ALPHA.values()
    pixels = np.empty((height, width, _CHANNELS[mode] - has_alpha), np.uint8)
    alpha = np.empty((height, width), np.uint8) if has_alpha else None
    for rows in bands(height, width):
        band = image.crop((0, rows.start, width, rows.stop))
        if band.mode != mode:
            band = band.convert(mode)
        values = np.asarray(band).reshape(rows.stop - rows.start, width, -1)
        pixels[rows] = values[..., : pixels.shape[-1]]
        if alpha is not None:
            alpha[rows] = values[..., -1]
    return pixels, alpha


def _from_lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    image.load()
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")


def _webp_header(file: BinaryIO) -> tuple[tuple[int, int], bool]:
    """Returns (width, height) and whether the (first) image is lossless."""
    head = file.read(30)
    if len(head) < 30:
        raise Unreadable("it ends in its header")
    kind = head[12:16]
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<L", head, 21)
        return ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1), True
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<2H", head, 26)
        return (width & 0x3FFF, height & 0x3FFF), False
    if kind != b"VP8X":
        raise Unreadable("its WebP header is damaged")
    size = tuple(int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
    return size, _holds_lossless(file)


def _holds_lossless(file: BinaryIO) -> bool:
    """Returns whether the first image chunk of an extended WebP is a lossless one."""
    file.seek(30)
    while len(head := file.read(8)) == 8:
        kind, length = struct.unpack("<4sL", head)
        if kind in (b"VP8 ", b"VP8L"):
            return kind == b"VP8L"
        # An animation's frame holds chunks after 16 bytes; others are passed over.
        file.seek(16 if kind == b"ANMF" else length + length % 2, 1)
    return False


def write_image(image: ImageFile, pixels: np.ndarray, format: str, file: BinaryIO) -> None:
    """Encodes pixels and what `image` says about them.

    Args:
        image: its EXIF, profile, XMP and resolution are written as far as the format has them.
        pixels: uint8 (height, width, 3), for WebP and GIF also 4.
        format: `jpeg`, `webp`, `bmp` or `gif`.
        file: to write to.
    """
    picture = Image.fromarray(pixels)
    options: dict = {}
    if format in ("jpeg", "webp"):
        options = {"exif": image.exif, "icc_profile": image.icc_profile, "xmp": image.xmp}
    if format in ("jpeg", "bmp"):
        options["dpi"] = image.dpi
    if format == "jpeg":
        options |= {"quality": 95, "subsampling": "4:4:4"}
    elif format == "webp" and image.lossless:
        options |= {"lossless": True, "exact": True}
    elif format == "webp":
        options |= {"quality": 95, "use_sharp_yuv": True}
    elif format == "gif":
        picture = _with_palette(picture)
    picture.save(file, format.upper(), **{k: v for k, v in options.items() if v is not None})


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
