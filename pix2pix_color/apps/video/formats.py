"""What counts as a video, which videos can be written, and with which codec."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ...errors import VideoError

__all__ = [
    "OUTPUT_EXTENSIONS",
    "VIDEO_EXTENSIONS",
    "Codec",
    "Picture",
    "codec_for",
]


VIDEO_EXTENSIONS = (
    *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"),
    *(".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
)
"""Suffixes, in lower case, of files that are taken for videos."""


@dataclass(frozen=True)
class Codec:
    """How frames are encoded.

    Attributes:
        name: of FFmpeg's encoder.
        crf: the default quality: lower is better and larger.
        options: of the encoder.
        deep: whether it takes 10 bits a sample.
        even: whether width and height must be even.
    """

    name: str
    crf: int
    options: tuple[tuple[str, str], ...]
    deep: bool
    even: bool


# At these qualities both look like their input on a screen.
_H264 = Codec("libx264", 16, (("preset", "medium"),), deep=True, even=True)
_VP9 = Codec(
    "libvpx-vp9", 24, (("row-mt", "1"), ("cpu-used", "3"), ("b", "0")), deep=False, even=False
)
_CODECS = {".m4v": _H264, ".mkv": _H264, ".mov": _H264, ".mp4": _H264, ".webm": _VP9}

OUTPUT_EXTENSIONS = tuple(_CODECS)
"""Suffixes of the videos that can be written."""


def codec_for(destination: Path) -> Codec:
    """Returns the codec for a file's suffix.

    Raises:
        VideoError: not a video that can be written.
    """
    suffix = destination.suffix.lower()
    if suffix not in _CODECS:
        raise VideoError(
            f"{destination}: videos are not written as {suffix!r}. Use one of "
            f"{', '.join(OUTPUT_EXTENSIONS)}."
        )
    return _CODECS[suffix]


@dataclass(frozen=True)
class Picture:
    """What all frames of a video have in common; integers are FFmpeg's own codes.

    Attributes:
        width, height: in pixels, as stored (before rotation).
        deep: more than 8 bits a sample.
        time_base: seconds a tick of the frames' times.
        rate: frames a second, on average.
        aspect: width of a pixel by its height.
        matrix: AVColorSpace of the YUV samples; guessed from the size where untagged.
        range: AVColorRange: 1 limited (16-235), 2 full (0-255).
        primaries, transfer: AVColorPrimaries and AVColorTransferCharacteristic; 2 is unknown.
        display_matrix: nine numbers that rotate or flip the picture for display, or none.
        quarter_turns: how often the picture is turned by 90 degrees, counterclockwise.
        interlaced: two fields in a frame.
        alpha: has transparency, which no output keeps.
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
        """The matrix in the code of FFmpeg's converter, where BT.470BG and SMPTE 170M are one."""
        return 5 if self.matrix == 6 else self.matrix

    @property
    def rgb_format(self) -> str:
        """FFmpeg's name of the RGB frames that are colorized."""
        return "rgb48le" if self.deep else "rgb24"
