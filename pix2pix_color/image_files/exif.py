"""EXIF: a small TIFF structure inside other formats, and texts among the tags of a TIFF."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import tifffile

__all__ = ["ORIENTATION", "PREFIX", "from_tiff", "orientation", "texts", "upright"]

PREFIX = b"Exif\0\0"

ORIENTATION = 0x0112
_TEXTS = (270, 271, 272, 305, 306, 315, 33432)  # caption, camera, software, date, artist, rights


def orientation(exif: bytes | None) -> int:
    """Returns 1 to 8; 1 if the block is missing, damaged, or without a valid orientation."""
    try:
        data = bytearray((exif or b"").removeprefix(PREFIX))
        code, position, _ = _layout(data)
        (value,) = struct.unpack_from(code, data, position)
    except ValueError:
        return 1
    return value if value in range(1, 9) else 1


def upright(exif: bytes) -> bytes:
    """Returns an EXIF block with orientation 1 and without its thumbnail.

    The block is changed in place, because a camera maker's notes hold offsets into it.

    Args:
        exif: with or without its prefix.

    Raises:
        ValueError: the block is damaged.
    """
    data = bytearray(exif.removeprefix(PREFIX))
    code, position, end = _layout(data)
    if position:
        struct.pack_into(code, data, position, 1)
    data[end : end + 4] = bytes(4)  # the offset of the thumbnail's directory
    return PREFIX + bytes(data)


def _layout(data: bytearray) -> tuple[str, int, int]:
    """Returns the `struct` code and the position of the orientation, and the directory's end.

    Without an orientation, its position is 0, where no valid one is.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(data[:4]))
    if order is None:
        raise ValueError("no TIFF header")
    try:
        (start,) = struct.unpack_from(order + "L", data, 4)
        (count,) = struct.unpack_from(order + "H", data, start)
        found, end = (order + "H", 0), start + 2 + 12 * count
        for position in range(start + 2, end, 12):
            tag, kind = struct.unpack_from(order + "HH8x", data, position)
            if tag == ORIENTATION and kind in (3, 4):
                found = order + ("H" if kind == 3 else "L"), position + 8
    except struct.error:
        raise ValueError("a directory outside of it") from None
    return *found, end


def from_tiff(page: tifffile.TiffPage) -> bytes | None:
    """Returns the texts among the tags of a TIFF's page as an EXIF block; `None` without any."""
    exif = Image.Exif()
    for tag in _TEXTS:
        text = page.tags.valueof(tag)
        if isinstance(text, str) and text:
            exif[tag] = text.encode()
    return exif.tobytes() if exif else None


def texts(exif: bytes) -> list[tuple[int, str, int, bytes, bool]]:
    """Returns the texts of an EXIF block as tags for `tifffile`."""
    block = Image.Exif()
    block.load(exif)
    found = {tag: block.get(tag) for tag in _TEXTS}
    return [
        (tag, "s", 0, text.encode("latin-1"), True)  # as Pillow decoded it
        for tag, text in found.items()
        if isinstance(text, str) and text
    ]
