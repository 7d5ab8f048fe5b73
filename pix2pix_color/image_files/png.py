"""PNG through libpng, since Pillow has no 16-bit RGB, and the chunks with its metadata."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import imagecodecs
import numpy as np

from . import exif as _exif
from .image_file import Decoded, ImageFile, Unreadable, check_size
from .pillow import read_image, write_image

__all__ = ["read_png", "write_png"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_END = len(_SIGNATURE) + 25
_ACTL_END = 1 << 16  # an animation says so before its pixels
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_MAX_BLOCK = 1 << 24  # bytes of a profile, an EXIF block or an XMP packet, uncompressed
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_XMP = b"XML:com.adobe.xmp\0"


def read_png(content: bytes, max_pixels: int, all_frames: bool = False) -> Iterator[Decoded]:
    """Yields the image of a PNG of any color type, or all frames of an animation.

    Args:
        content: the file.
        max_pixels: a larger image is refused before it is decoded.
        all_frames: of an animation; otherwise its default image.
    """
    if len(content) < _HEADER_END or content[12:16] != b"IHDR":
        raise Unreadable("it ends in its header")
    check_size(*struct.unpack(">2L", content[16:24]), max_pixels)
    if all_frames and b"acTL" in content[:_ACTL_END]:
        yield from read_image("png", content, max_pixels, all_frames)
        return
    needed, metadata, rows, ends = [memoryview(_SIGNATURE)], {}, None, False
    for kind, chunk in _chunks(memoryview(content)):
        ends = ends or kind == b"IEND"
        if kind in _PIXEL_CHUNKS:
            needed.append(chunk)
        elif len(chunk) <= _MAX_BLOCK and zlib.crc32(chunk[4:-4]) == _number(chunk[-4:]):
            metadata |= _metadata(kind, bytes(chunk[8:-4]))
    if not ends:
        needed, rows = _completed(needed)
    pixels, alpha = np.atleast_3d(imagecodecs.png_decode(b"".join(needed))), None
    if pixels.shape[-1] in (2, 4):
        alpha = np.ascontiguousarray(pixels[..., -1])
        pixels = np.ascontiguousarray(pixels[..., :-1])
    orientation = _exif.orientation(metadata.get("exif"))
    yield Decoded(pixels, alpha, "png", orientation=orientation, rows=rows, **metadata)


def _completed(chunks: list[memoryview]) -> tuple[list[bytes], int]:
    """Returns the chunks of a truncated PNG, black where it ends, and its number of rows."""
    width, height, bits, color, _, _, interlaced = struct.unpack(">2L5B", chunks[1][8:21])
    row = 1 + (width * bits * _SAMPLES.get(color, 4) + 7) // 8
    data = b"".join(
        bytes(chunk[8 : 8 + _number(chunk[:4])]) for chunk in chunks if chunk[4:8] == b"IDAT"
    )
    found = zlib.decompressobj().decompress(data, row * height)
    rows = len(found) // row
    if interlaced and rows < height:
        raise Unreadable("it is truncated, and interlaced")
    pixels = zlib.compress(found[: rows * row].ljust(row * height, b"\0"), 1)
    others = [chunk for chunk in chunks if chunk[4:8] != b"IDAT"]
    return [*others, _chunk(b"IDAT", pixels), _chunk(b"IEND", b"")], rows


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">L", zlib.crc32(kind + data))
    return struct.pack(">L", len(data)) + kind + data + checksum


def _chunks(content: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yields the kind of each chunk and the whole chunk: length, kind, data, checksum."""
    start = len(_SIGNATURE)
    while start + 8 <= len(content):
        end = start + 12 + _number(content[start : start + 4])
        yield bytes(content[start + 4 : start + 8]), content[start:end]
        start = end


def _number(data: memoryview) -> int:
    return int.from_bytes(data, "big")


def _metadata(kind: bytes, data: bytes) -> dict[str, Any]:
    """Returns the fields of `Decoded` that a chunk contains."""
    if kind == b"iCCP":
        name, _, profile = data.partition(b"\0")
        return {"icc_profile": _inflate(profile[1:]) if name else b""}
    if kind == b"eXIf":
        return {"exif": _exif.PREFIX + data.removeprefix(_exif.PREFIX)}
    if kind == b"pHYs" and len(data) == 9 and data[8] == 1:
        return {"dpi": tuple(round(side * 0.0254, 2) for side in struct.unpack(">2L", data[:8]))}
    if kind == b"iTXt" and data.startswith(_XMP):
        # Keyword, compression flag and method, language, translated keyword, text.
        rest = data.removeprefix(_XMP)
        text = rest[2:].split(b"\0", 2)[-1]
        return {"xmp": (_inflate(text) if rest[:1] == b"\1" else text) or None}
    return {}


def _inflate(data: bytes) -> bytes:
    """Returns uncompressed data; of damaged or huge data a part, which is refused later."""
    try:
        return zlib.decompressobj().decompress(data, _MAX_BLOCK)
    except zlib.error:
        return b""


def write_png(image: ImageFile, pixels: np.ndarray, file: BinaryIO) -> None:
    """Encodes pixels, and the EXIF block, profile, XMP packet and resolution of `image`.

    Args:
        image: the metadata.
        pixels: uint8 or uint16 (height, width, 3 or 4).
        file: to write to.
    """
    dot = io.BytesIO()  # one pixel with all the metadata, whose chunks are taken
    write_image([(image, pixels[:1, :1].astype(np.uint8))], "png", dot)
    chunks = dot.getvalue()[_HEADER_END:]
    encoded = imagecodecs.png_encode(np.ascontiguousarray(pixels))
    file.write(encoded[:_HEADER_END] + chunks[: chunks.rindex(b"IDAT") - 4])
    file.write(memoryview(encoded)[_HEADER_END:])
