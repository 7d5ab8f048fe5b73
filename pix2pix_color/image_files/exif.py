"""EXIF: a small TIFF structure inside other formats, and part of a TIFF's own directory.

A block is changed in place, because a camera maker's notes hold offsets into it. It is taken apart
and rebuilt only on the way out of a TIFF or into one.
"""

from __future__ import annotations

import io
import struct
from typing import BinaryIO, NamedTuple

import numpy as np

__all__ = ["ORIENTATION", "PREFIX", "add_to_tiff", "from_tiff", "orientation", "upright"]

PREFIX = b"Exif\0\0"

ORIENTATION = 0x0112
_COLOR_SPACE, _WIDTH, _HEIGHT = 0xA001, 0xA002, 0xA003
_CAMERA, _POSITION, _INTEROPERABILITY = 0x8769, 0x8825, 0xA005
_DIRECTORIES: dict = {_CAMERA: {_INTEROPERABILITY: {}}, _POSITION: {}}

# Those of a TIFF's own tags that describe its storage, not the picture.
_PIXEL_TAGS = frozenset(
    tag
    for first, last in [
        *((254, 269), (273, 273), (277, 284), (288, 301)),  # size, layout, resolution, pages
        *((317, 347), (512, 521), (529, 532), (559, 559)),  # coding, tiles, palette, JPEG, YCbCr
        *((700, 700), (32995, 32998), (34377, 34377)),  # XMP, depth, Photoshop's block
        *((34675, 34677), (37724, 37724), (50706, 50981)),  # ICC profile, layers, raw
    ]
    for tag in range(first, last + 1)
)
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_RATIONALS = (5, 10)  # two numbers of four bytes each
_MAX_BYTES = 1 << 24  # of all values: a directory may point to the same bytes many times


class Value(NamedTuple):
    """A tag's value: TIFF type, bytes in little-endian order, and position in the file."""

    type: int
    data: bytes
    position: int

    @property
    def number(self) -> int | None:
        """The first number of a SHORT or LONG."""
        if self.type not in (3, 4) or not self.data:
            return None
        return int.from_bytes(self.data[: _SIZES[self.type]], "little")


Tree = dict  # of tags to `Value` or `Tree`


class _Reader:
    def __init__(self, file: BinaryIO, skipped: frozenset[int] = frozenset()) -> None:
        self.file, self.skipped, self.budget = file, skipped, _MAX_BYTES
        header = self.read(0, 8)
        self.order = {b"II*\0": "<", b"MM\0*": ">"}.get(header[:4], "")
        if not self.order:
            raise ValueError("no TIFF header")
        (self.start,) = struct.unpack(self.order + "L", header[4:])

    def read(self, position: int, size: int) -> bytes:
        self.budget -= size
        if self.budget < 0:
            raise ValueError("too many or too large values")
        self.file.seek(position)
        data = self.file.read(size)
        if len(data) < size:
            raise ValueError("values outside of it")
        return data

    def directory(self, offset: int, nested: dict = _DIRECTORIES) -> Tree:
        (count,) = struct.unpack(self.order + "H", self.read(offset, 2))
        table = self.read(offset + 2, 12 * count)
        found: Tree = {}
        for start in range(0, 12 * count, 12):
            tag, kind, number = struct.unpack_from(self.order + "HHL", table, start)
            if tag in self.skipped or kind not in _SIZES:
                continue
            size, position = number * _SIZES[kind], offset + 2 + start + 8
            if size > 4:
                (position,) = struct.unpack_from(self.order + "L", table, start + 8)
            data = self.read(position, size)
            if self.order == ">":
                unit = 4 if kind in _RATIONALS else _SIZES[kind]
                data = np.frombuffer(data, f"u{unit}").byteswap().tobytes()
            value = Value(kind, data, position)
            if tag not in nested:
                found[tag] = value
            elif value.number:
                found[tag] = self.directory(value.number, nested[tag])
        return found


def _reader(exif: bytes, skipped: frozenset[int] = frozenset()) -> _Reader:
    return _Reader(io.BytesIO(exif.removeprefix(PREFIX)), skipped)


def orientation(exif: bytes | None) -> int:
    """Returns 1 to 8; 1 if the block is missing, damaged, or without a valid orientation."""
    try:
        reader = _reader(exif or b"")
        value = reader.directory(reader.start)[ORIENTATION].number
    except (ValueError, KeyError, AttributeError):
        return 1
    return value if value in range(1, 9) else 1


def upright(exif: bytes, *, transposed: bool, converted: bool) -> bytes:
    """Returns an EXIF block for the upright image: orientation 1, no thumbnail.

    Args:
        exif: with or without its prefix.
        transposed: whether the image's sides were swapped; then so are those in the block.
        converted: whether the colors were converted to sRGB.

    Raises:
        ValueError: the block is damaged.
    """
    reader, data = _reader(exif), bytearray(exif.removeprefix(PREFIX))
    tags = reader.directory(reader.start)

    def put(value: Value | None, number: int | None) -> None:
        if isinstance(value, Value) and value.number is not None and number is not None:
            code = {3: "H", 4: "L"}[value.type]
            struct.pack_into(reader.order + code, data, value.position, number)

    put(tags.get(ORIENTATION), 1)
    camera = tags.get(_CAMERA, {})
    if converted:
        put(camera.get(_COLOR_SPACE), 1)
    width, height = camera.get(_WIDTH), camera.get(_HEIGHT)
    if transposed and width and height and width.type == height.type:
        put(width, height.number)
        put(height, width.number)
    (count,) = struct.unpack_from(reader.order + "H", data, reader.start)
    end = reader.start + 2 + 12 * count
    data[end : end + 4] = bytes(4)  # the offset of the thumbnail's directory
    return PREFIX + bytes(data)


def from_tiff(file: BinaryIO) -> bytes | None:
    """Returns the tags of a TIFF's first page that describe the picture, as an EXIF block.

    Args:
        file: a classic TIFF; for a BigTIFF the result is `None`.

    Raises:
        ValueError: the directory is damaged.
    """
    file.seek(0)
    if file.read(4)[2:] not in (b"*\0", b"\0*"):
        return None
    reader = _Reader(file, _PIXEL_TAGS)
    tags = reader.directory(reader.start)
    if not set(tags) - {ORIENTATION}:
        return None
    return PREFIX + b"II*\0" + struct.pack("<L", 8) + _pack(tags, 8)


def add_to_tiff(exif: bytes, file: BinaryIO) -> None:
    """Adds the tags of an EXIF block that describe the picture to a TIFF's first page.

    The extended directory is appended and replaces the first one.

    Args:
        exif: an undamaged block.
        file: a classic, little-endian TIFF, open for reading and writing.
    """
    block = _reader(exif, _PIXEL_TAGS | {ORIENTATION})
    page = _Reader(file)
    tags = page.directory(page.start, {}) | block.directory(block.start)
    offset = file.seek(0, io.SEEK_END)
    offset += file.write(bytes(offset % 2))
    (count,) = struct.unpack("<H", page.read(page.start, 2))
    following = page.read(page.start + 2 + 12 * count, 4)  # the offset of the next page
    file.seek(offset)
    file.write(_pack(tags, offset, following))
    file.seek(4)
    file.write(struct.pack("<L", offset))


def _pack(tags: Tree, offset: int, following: bytes = bytes(4)) -> bytes:
    """Returns a little-endian directory for the position `offset`, followed by its values."""
    table = struct.pack("<H", len(tags))
    end, values = offset + 2 + 12 * len(tags) + 4, b""
    for tag, value in sorted(tags.items()):
        position = end + len(values)
        if isinstance(value, dict):
            table += struct.pack("<HHLL", tag, 4, 1, position)
            values += _pack(value, position)
        else:
            kind, data = value.type, value.data
            is_long = len(data) > 4
            table += struct.pack("<HHL", tag, kind, len(data) // _SIZES[kind])
            table += struct.pack("<L", position) if is_long else data.ljust(4, b"\0")
            values += data if is_long else b""
        values += bytes(len(values) % 2)
    return table + following + values
