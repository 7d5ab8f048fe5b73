"""Makes image files of every kind, whole and damaged, from a seed.

Encoded by Pillow, tifffile and imagecodecs, never by the package under test.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

Random = np.random.Generator


def mutated_files(folder: Path, count: int, seed: int) -> dict[Path, bool | None]:
    """Writes `count` small image files (24 to 64 pixels a side), whole and damaged.

    Args:
        folder: an existing folder.
        count: of files; half of them are whole.
        seed: the same seed gives the same files.

    Returns:
        For each path, `True` if it can be read because its pixels are whole (its EXIF or profile
        may be broken, its suffix wrong), `False` if it cannot, `None` if that depends on where
        the damage fell.
    """
    random = np.random.default_rng(seed)
    whole = {name: make(random) for name, make in WHOLE.items()}
    names = sorted(whole)
    written: dict[Path, bool | None] = {}
    for index in range(count):
        name = names[random.integers(len(names))]
        content, suffix, state, kind = whole[name], "." + name.split("-")[0], True, "whole"
        if index % 2:
            kind = list(_MUTATIONS)[random.integers(len(_MUTATIONS))]
            content, suffix, state = _MUTATIONS[kind](random, content, suffix)
        path = folder / f"{index:04d}-{name}-{kind}{suffix}"
        path.write_bytes(content)
        written[path] = state
    return written


# Whole files ----------------------------------------------------------------------------------


def smooth(random: Random, channels: int, dtype: type = np.uint8) -> np.ndarray:
    """Returns (height, width, channels) with all levels and some texture."""
    height, width = random.integers(24, 65, 2)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    waves = [np.sin(6 * (x * a + y * b) + c) for a, b, c in random.uniform(-1, 1, (channels, 3))]
    values = 0.5 + 0.45 * np.stack(waves, axis=-1) + random.normal(0, 0.02, (height, width, 1))
    return (values.clip(0, 1) * np.iinfo(dtype).max).astype(dtype)


def _pillow(format: str, mode: str, **options: object) -> Callable[[Random], bytes]:
    def make(random: Random) -> bytes:
        source = {"L": 1, "1": 1, "LA": 2, "RGB": 3, "P": 3, "RGBA": 4, "CMYK": 4}[mode]
        pixels = smooth(random, source)
        image = Image.fromarray(pixels[..., 0] if source == 1 else pixels[..., : min(source, 3)])
        if mode == "CMYK":
            image = image.convert("CMYK")
        elif mode in ("LA", "RGBA"):
            image = image.convert(mode[:-1]) if mode == "RGBA" else Image.fromarray(pixels[..., 0])
            image.putalpha(Image.fromarray(np.ascontiguousarray(pixels[..., -1])))
        elif mode in ("1", "P"):
            image = image.convert(mode)
        others = {k: v(image) if callable(v) else v for k, v in options.items()}
        file = io.BytesIO()
        image.save(file, format, **others)
        return file.getvalue()

    return make


def _tiff(channels: int, dtype: type, **options: object) -> Callable[[Random], bytes]:
    def make(random: Random) -> bytes:
        pixels = smooth(random, channels, dtype)
        if options.get("planarconfig") == "separate":
            pixels = np.moveaxis(pixels, -1, 0)
        if channels == 1:
            pixels = pixels[..., 0]
        photometric = "rgb" if channels >= 3 else "minisblack"
        file = io.BytesIO()
        tifffile.imwrite(file, pixels, photometric=photometric, **options)
        return file.getvalue()

    return make


def _png16(channels: int) -> Callable[[Random], bytes]:
    return lambda random: imagecodecs.png_encode(smooth(random, channels, np.uint16).squeeze())


def _transparent_gif(random: Random) -> bytes:
    pixels = smooth(random, 4)
    pixels[..., 3] = np.where(pixels[..., 3] < 128, 0, 255)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "GIF")
    return file.getvalue()


def exif_block(orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "ACME"
    exif.get_ifd(0x8769)[0x9003] = "2001:02:03 04:05:06"
    return exif.tobytes()


def _animation(image: Image.Image) -> list[Image.Image]:
    return [image.rotate(90 * turns) for turns in (1, 2)]


_ADOBE_RGB = imagecodecs.cms_profile("adobergb")

WHOLE: dict[str, Callable[[Random], bytes]] = {
    "png-gray": _pillow("PNG", "L"),
    "png-bilevel": _pillow("PNG", "1"),
    "png-palette": _pillow("PNG", "P"),
    "png-palette-transparent": _pillow("PNG", "P", transparency=3),
    "png-gray-alpha": _pillow("PNG", "LA"),
    "png-rgb": _pillow("PNG", "RGB", icc_profile=_ADOBE_RGB, exif=exif_block(6), dpi=(300, 300)),
    "png-rgb-alpha": _pillow("PNG", "RGBA"),
    "png-animated": _pillow("PNG", "RGB", save_all=True, append_images=_animation),
    "png-gray16": _png16(1),
    "png-gray16-alpha": _png16(2),
    "png-rgb16": _png16(3),
    "png-rgb16-alpha": _png16(4),
    "jpg-gray": _pillow("JPEG", "L", exif=exif_block(8)),
    "jpg-rgb": _pillow("JPEG", "RGB", exif=exif_block(3), icc_profile=_ADOBE_RGB),
    "jpg-progressive": _pillow("JPEG", "RGB", progressive=True),
    "jpg-cmyk": _pillow("JPEG", "CMYK"),
    "tif-bilevel": _pillow("TIFF", "1", compression="group4"),
    "tif-palette": _pillow("TIFF", "P"),
    "tif-cmyk": _pillow("TIFF", "CMYK", compression="tiff_lzw"),
    "tif-jpeg": _pillow("TIFF", "RGB", compression="jpeg"),
    "tif-exif": _pillow("TIFF", "RGB", exif=exif_block(5)),
    "tif-pages": _pillow("TIFF", "L", save_all=True, append_images=_animation),
    "tif-gray": _tiff(1, np.uint8, compression="lzw", predictor=True, rowsperstrip=7),
    "tif-rgb": _tiff(3, np.uint8, iccprofile=_ADOBE_RGB, resolution=(300, 300)),
    "tif-rgb-alpha": _tiff(4, np.uint8, compression="deflate", extrasamples=["unassalpha"]),
    "tif-gray16": _tiff(1, np.uint16, byteorder=">"),
    "tif-rgb16": _tiff(3, np.uint16, compression="lzw", predictor=True),
    "tif-rgb16-tiled": _tiff(3, np.uint16, compression="deflate", tile=(32, 32), byteorder=">"),
    "tif-rgb16-planes": _tiff(3, np.uint16, planarconfig="separate", compression="packbits"),
    "tif-rgb16-big": _tiff(3, np.uint16, bigtiff=True),
    "webp-lossy": _pillow("WEBP", "RGB", exif=exif_block(7)),
    "webp-lossless": _pillow("WEBP", "RGB", lossless=True, icc_profile=_ADOBE_RGB),
    "webp-alpha": _pillow("WEBP", "RGBA"),
    "webp-animated": _pillow("WEBP", "RGB", save_all=True, append_images=_animation),
    "bmp-gray": _pillow("BMP", "L"),
    "bmp-bilevel": _pillow("BMP", "1"),
    "bmp-palette": _pillow("BMP", "P"),
    "bmp-rgb": _pillow("BMP", "RGB"),
    "gif-gray": _pillow("GIF", "L"),
    "gif-palette": _pillow("GIF", "P"),
    "gif-transparent": _transparent_gif,
    "gif-animated": _pillow("GIF", "P", save_all=True, append_images=_animation),
}
"""For each kind (`suffix-content`), a function that makes a whole file."""


# Damage ---------------------------------------------------------------------------------------

Mutation = tuple[bytes, str, bool | None]


def _flip_bits(random: Random, content: bytes, suffix: str) -> Mutation:
    data = np.frombuffer(content, np.uint8).copy()
    for position in random.integers(0, len(data), random.integers(1, 20)):
        data[position] ^= 1 << random.integers(8)
    return data.tobytes(), suffix, None


def _flip_bits_of_the_header(random: Random, content: bytes, suffix: str) -> Mutation:
    head, suffix, state = _flip_bits(random, content[:200], suffix)
    return head + content[200:], suffix, state


def _overwrite(random: Random, content: bytes, suffix: str) -> Mutation:
    start, length = random.integers(len(content)), random.integers(1, 100)
    return content[:start] + random.bytes(length) + content[start + length :], suffix, None


def _broken_exif(random: Random, content: bytes, suffix: str) -> Mutation:
    return _with_blocks(random, exif=b"Exif\0\0" + _damaged(random, exif_block(6)[6:]))


def _broken_profile(random: Random, content: bytes, suffix: str) -> Mutation:
    return _with_blocks(random, icc_profile=_damaged(random, _ADOBE_RGB))


def _damaged(random: Random, block: bytes) -> bytes:
    if random.integers(3) == 0:
        return random.bytes(len(block))
    return _flip_bits(random, block[: random.integers(10, len(block))], "")[0]


def _with_blocks(random: Random, **blocks: bytes) -> Mutation:
    format, suffix = [("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp")][random.integers(3)]
    return _pillow(format, "RGB", **blocks)(random), suffix, True


def _bomb(random: Random, content: bytes, suffix: str) -> Mutation:
    suffix, make = list(BOMBS.items())[random.integers(len(BOMBS))]
    return make(60000), suffix, False


def _wrong_suffix(random: Random, content: bytes, suffix: str) -> Mutation:
    others = [other for other in (".jpg", ".png", ".tif", ".webp", ".bmp") if other != suffix]
    return content, others[random.integers(len(others))], True


_MUTATIONS: dict[str, Callable[[Random, bytes, str], Mutation]] = {
    "flipped": _flip_bits,
    "flipped-header": _flip_bits_of_the_header,
    "overwritten": _overwrite,
    "cut": lambda random, content, suffix: (
        content[: random.integers(len(content) // 4, len(content))],
        suffix,
        None,
    ),
    "cut-header": lambda random, content, suffix: (
        content[: random.integers(1, 14)],
        suffix,
        False,
    ),
    "empty": lambda random, content, suffix: (b"", suffix, False),
    "zeros": lambda random, content, suffix: (bytes(len(content)), suffix, False),
    "text": lambda *_: (b"<html><body>404 Not Found</body></html>\n", ".jpg", False),
    "wrong-suffix": _wrong_suffix,
    "broken-exif": _broken_exif,
    "broken-profile": _broken_profile,
    "bomb": _bomb,
}


# Bombs: a few bytes that claim to be a square image of `side` pixels a side.


def png_chunk(kind: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">L", zlib.crc32(kind + data))
    return struct.pack(">L", len(data)) + kind + data + checksum


def _png_bomb(side: int) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">2L5B", side, side, 8, 2, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(bytes(100_000)))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + png_chunk(b"IEND", b"")


def _jpeg_bomb(side: int) -> bytes:
    data = bytearray(_pillow("JPEG", "RGB")(np.random.default_rng(0)))
    struct.pack_into(">2H", data, data.index(b"\xff\xc0") + 5, side, side)
    return bytes(data)


def gray_tiff(side: int, bits: int, compression: int, pixels: bytes) -> bytes:
    """Returns a square TIFF of one strip, by hand."""
    tags = {256: side, 257: side, 258: bits, 259: compression, 262: 1, 273: 200, 277: 1, 278: side}
    tags[279] = len(pixels)
    table = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags.items())
    return (b"II*\0" + struct.pack("<LH", 8, len(tags)) + table).ljust(200, b"\0") + pixels


def _tiff_bomb(side: int) -> bytes:
    return gray_tiff(side, 8, 8, bytes(100))


def _webp_bomb(side: int) -> bytes:
    size = (side - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<L", 10) + bytes(4) + size + size + b"VP8L" + bytes(50)
    return b"RIFF" + struct.pack("<L", len(body)) + body


def _bmp_bomb(side: int) -> bytes:
    header = struct.pack("<L2l2H6L", 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<3L", 154, 0, 54) + header + bytes(100)


def _gif_bomb(side: int) -> bytes:
    screen = struct.pack("<2H3B", side, side, 0x80, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<4HB", 0, 0, side, side, 0) + b"\x02\x02\x4c\x01\0;"
    return b"GIF89a" + screen + frame


BOMBS: dict[str, Callable[[int], bytes]] = {
    ".png": _png_bomb,
    ".jpg": _jpeg_bomb,
    ".tif": _tiff_bomb,
    ".webp": _webp_bomb,
    ".bmp": _bmp_bomb,
    ".gif": _gif_bomb,
}
"""For each suffix, a function that makes a file that claims to be huge."""
