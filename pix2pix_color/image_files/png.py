"""PNG through libpng (Pillow has no 16-bit RGB), and the chunks around its pixels."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from . import exif as _exif
from .image_file import Decoded, ImageFile, Unreadable, check_size

__all__ = ["SIGNATURE", "read_png", "write_png"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_END = len(SIGNATURE) + 25
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_KEPT_CHUNKS = (b"iCCP", b"eXIf", b"pHYs", b"iTXt")
_MAX_CHUNK = 1 << 24  # bytes of a profile, an EXIF block or an XMP packet, unpacked
_XMP = b"XML:com.adobe.xmp"
_INCH = 0.0254  # m


def read_png(file: BinaryIO, max_pixels: int) -> Decoded:
    """Decodes a PNG of any color type; of an animation the default image.

    Args:
        file: at any position.
        max_pixels: refuse larger images before decoding them.
    """
    import imagecodecs

    file.seek(0)
    header = file.read(_HEADER_END)
    if len(header) < _HEADER_END or header[12:16] != b"IHDR":
        raise Unreadable("it ends in its header")
    check_size(*struct.unpack(">2L", header[16:24]), max_pixels)
    decoded, needed = Decoded(np.empty(0)), [SIGNATURE]
    for kind, chunk in _chunks(file):
        if kind in _PIXEL_CHUNKS:
            needed.append(chunk)
        elif zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big"):
            _note(decoded, kind, chunk[8:-4])
    # Of all other chunks libpng would complain on the standard error.
    pixels = imagecodecs.png_decode(b"".join(needed))
    del needed
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[-1] in (2, 4):
        decoded.alpha = np.ascontiguousarray(pixels[..., -1])
        pixels = np.ascontiguousarray(pixels[..., :-1])
    decoded.pixels = pixels
    decoded.orientation = _exif.orientation(decoded.exif)
    return decoded


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yields the kind and all bytes of the chunks with pixels or with what is kept."""
    file.seek(len(SIGNATURE))
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">L4s", head)
        if kind in _PIXEL_CHUNKS or (kind in _KEPT_CHUNKS and size <= _MAX_CHUNK):
            yield kind, head + file.read(size + 4)
        else:
            file.seek(size + 4, 1)


def _note(decoded: Decoded, kind: bytes, data: bytes) -> None:
    if kind == b"iCCP":
        name, _, profile = data.partition(b"\0")
        decoded.icc_profile = _inflate(profile[1:]) if name else b""
    elif kind == b"eXIf":
        decoded.exif = _exif.PREFIX + data.removeprefix(_exif.PREFIX)
    elif kind == b"pHYs" and len(data) == 9 and data[8] == 1:
        x, y = struct.unpack(">2L", data[:8])
        decoded.dpi = (round(x * _INCH, 2), round(y * _INCH, 2))
    elif kind == b"iTXt" and data.startswith(_XMP + b"\0"):
        # Keyword, compression flag and method, language, translated keyword, text.
        compressed, rest = data[len(_XMP) + 1 : len(_XMP) + 2], data[len(_XMP) + 3 :]
        text = rest.split(b"\0", 2)[-1]
        decoded.xmp = (_inflate(text) if compressed == b"\1" else text) or None


def _inflate(data: bytes) -> bytes:
    """Returns unpacked data; of damaged or huge data what there is, to be refused later."""
    try:
        return zlib.decompressobj().decompress(data, _MAX_CHUNK)
    except zlib.error:
        return b""


def write_png(image: ImageFile, pixels: np.ndarray, file: BinaryIO) -> None:
    """Encodes pixels and what `image` says about them.

    Args:
        image: its EXIF, profile, XMP and resolution are written.
        pixels: uint8 or uint16 (height, width, 3 or 4).
        file: to write to.
    """
    import imagecodecs

    encoded = imagecodecs.png_encode(np.ascontiguousarray(pixels))
    file.write(encoded[:_HEADER_END])
    if image.icc_profile:
        _write_chunk(file, b"iCCP", b"ICC profile\0\0" + zlib.compress(image.icc_profile))
    if image.dpi:
        density = [round(side / _INCH) for side in image.dpi]
        _write_chunk(file, b"pHYs", struct.pack(">2LB", *density, 1))
    if image.exif:
        _write_chunk(file, b"eXIf", image.exif.removeprefix(_exif.PREFIX))
    if image.xmp:
        _write_chunk(file, b"iTXt", _XMP + bytes(5) + image.xmp)
    file.write(memoryview(encoded)[_HEADER_END:])


def _write_chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    checksum = zlib.crc32(kind + data)
    file.write(struct.pack(">L4s", len(data), kind) + data + struct.pack(">L", checksum))
