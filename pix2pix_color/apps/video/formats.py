"""Which files are videos, which videos can be written, and how frames are described."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ...errors import VideoError

__all__ = ["OUTPUT_EXTENSIONS", "VIDEO_EXTENSIONS", "Codec", "Picture", "codec_for"]

VIDEO_EXTENSIONS = (
    *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"),
    *(".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
)
"""Lowercase suffixes of the files that are treated as videos."""


@dataclass(frozen=True)
class Codec:
    """How frames are encoded.

    Attributes:
        name: name of FFmpeg's encoder.
        crf: default quality; lower is better and larger.
        options: options of the encoder.
        deep: whether it supports 10 bits per sample.
        even: whether it requires an even width and height.
    """

    name: str
    crf: int
    options: tuple[tuple[str, str], ...]
    deep: bool
    even: bool


# At these qualities the loss is not visible.
_H264 = Codec("libx264", 16, (("preset", "medium"),), deep=True, even=True)
_VP9 = Codec(
    "libvpx-vp9", 24, (("row-mt", "1"), ("cpu-used", "3"), ("b", "0")), deep=False, even=False
)
_CODECS = {".m4v": _H264, ".mkv": _H264, ".mov": _H264, ".mp4": _H264, ".webm": _VP9}

OUTPUT_EXTENSIONS = tuple(_CODECS)
"""Suffixes of the formats that can be written."""


def codec_for(destination: Path) -> Codec:
    """Returns the codec for a file's suffix.

    Raises:
        VideoError: this format cannot be written.
    """
    suffix = destination.suffix.lower()
    if suffix not in _CODECS:
        raise VideoError(
            f"{destination}: cannot write {suffix!r} videos. Choose one of "
            f"{', '.join(OUTPUT_EXTENSIONS)}."
        )
    return _CODECS[suffix]


@dataclass(frozen=True)
class Picture:
    """What all frames of a video have in common; the integer tags are FFmpeg's codes.

    Attributes:
        width, height: in pixels, as stored (before rotation).
        deep: whether samples have more than 8 bits.
        time_base: seconds per tick of the frames' times.
        rate: average frames per second.
        aspect: width of a pixel divided by its height.
        matrix: AVColorSpace of the YUV samples; inferred from the size if untagged.
        range: AVColorRange: 1 limited (16-235), 2 full (0-255).
        primaries, transfer: AVColorPrimaries and AVColorTransferCharacteristic; 2 is unknown.
        display_matrix: nine numbers that rotate or flip the picture for display, or empty.
        quarter_turns: counterclockwise rotation for display, in units of 90 degrees.
        interlaced: whether each frame contains two fields.
        alpha: whether there is transparency, which no output keeps.
    """

    width: int
    height: int
    deep: bool
    time_base: Fraction
    rate: Fraction
    aspect: Fraction
    matrix: int
    range: int
    primaries: int
    transfer: int
    display_matrix: tuple[int, ...] = ()
    quarter_turns: int = 0
    interlaced: bool = False
    alpha: bool = False

    @property
    def swscale_matrix(self) -> int:
        """The matrix for FFmpeg's converter, which has one code for BT.470BG and SMPTE 170M."""
        return 5 if self.matrix == 6 else self.matrix

    @property
    def rgb_format(self) -> str:
        """FFmpeg's name for the RGB format in which frames are colorized."""
        return "rgb48le" if self.deep else "rgb24"
