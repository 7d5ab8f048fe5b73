"""Which files are videos, and which videos can be written."""

from __future__ import annotations

__all__ = ["CODECS", "H264", "OUTPUT_EXTENSIONS", "VIDEO_EXTENSIONS"]

VIDEO_EXTENSIONS = (
    *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"),
    *(".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
)
"""Lowercase suffixes of the files that are treated as videos."""

H264, _VP9 = "libx264", "libvpx-vp9"

CODECS = {".m4v": H264, ".mkv": H264, ".mov": H264, ".mp4": H264, ".webm": _VP9}
"""The encoder for each format that can be written.

H.264 keeps 10 bits per sample and needs an even width and height; VP9 keeps 8 and any size.
"""

OUTPUT_EXTENSIONS = tuple(CODECS)
"""Suffixes of the formats that can be written."""
