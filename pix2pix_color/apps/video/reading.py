"""Decodes a video's frames to RGB with the color matrix and range of its samples."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition

from ...errors import VideoError, in_words

__all__ = ["CONVERSION", "Frame", "Picture", "VideoSource", "open_container", "video_stream"]

# SWS_BICUBIC, FULL_CHR_H_INT, FULL_CHR_H_INP, ACCURATE_RND, BITEXACT; PyAV does not name the
# last four.
CONVERSION = 1 << 2 | 1 << 13 | 1 << 14 | 1 << 18 | 1 << 19
"""FFmpeg's most accurate RGB and YUV conversion: 8-bit gray survives a round trip unchanged."""

_FULL, _LIMITED = 2, 1  # of AVColorRange
_MATRICES = (1, 4, 5, 6, 7, 9)  # the values of AVColorSpace that FFmpeg converts
_MISSED = Fraction(1, 2)  # seconds without frames that are common at the end of a stream
_HD = 720  # rows from which players assume BT.709 for an untagged video


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
    display_matrix: tuple[int, ...]
    quarter_turns: int
    interlaced: bool
    alpha: bool

    @property
    def swscale_matrix(self) -> int:
        """The matrix for FFmpeg's converter, which has one code for BT.470BG and SMPTE 170M."""
        return 5 if self.matrix == 6 else self.matrix

    @property
    def rgb_format(self) -> str:
        """FFmpeg's name for the RGB format in which frames are colorized."""
        return "rgb48le" if self.deep else "rgb24"


class Frame(NamedTuple):
    """A decoded frame: uint8 or uint16 (height, width, 3).

    Its time, later than that of the previous frame, and its duration, or 0, are in ticks.
    """

    rgb: np.ndarray
    time: int
    duration: int


class VideoSource:
    """A video to decode, which must be closed.

    Attributes:
        path: the file.
        container: PyAV's container; decoding consumes its packets.
        picture: what all frames have in common.
        frame_count: approximate number of frames; `None` if the file does not tell.

    Raises:
        VideoError: the file is missing, empty or not a video, or has no video stream or frames.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.container = path, open_container(path)
        self._skipped, self._corrupt = 0, 0
        self.stream = video_stream(path, self.container)
        self.stream.thread_type = "AUTO"
        self._decoded = self._decode()
        first = next(self._decoded, None)
        if first is None:
            raise VideoError(f"{path} has no frames that can be decoded.")
        self.picture = _picture(first, self.stream)
        self._decoded = itertools.chain([first], self._decoded)
        self.frame_count = self.stream.frames or round(self._duration * self.picture.rate) or None

    def close(self) -> None:
        self.container.close()

    def frames(self, skip: int = 0) -> Iterator[Frame]:
        """Yields all frames, once, in the order of their times.

        A frame without a time follows the previous one after one frame period; a time that does
        not increase is moved by a tick. Frames that change size, as in broadcasts, are scaled to
        the size of the first.

        Args:
            skip: number of frames to skip. They are decoded anyway: few formats seek exactly, and
                decoding is fast compared with colorizing.
        """
        step = max(1, round(1 / (self.picture.rate * self.picture.time_base)))
        first = time = None
        for count, frame in enumerate(self._decoded, start=1):
            if time is None:
                first = time = frame.pts or 0
            else:
                time = max(time + 1, time + step if frame.pts is None else frame.pts)
            if count > skip:
                yield Frame(_to_rgb(frame, self.picture), time, int(frame.duration or 0))
        self._warn_of_losses(first, time + step)

    def _decode(self) -> Iterator[av.VideoFrame]:
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.FFmpegError:  # the rest of the file is unreadable
                self._skipped += 1
                with contextlib.suppress(av.FFmpegError):
                    yield from self.stream.decode(None)
                return
            try:
                frames = packet.decode()
            except av.FFmpegError:
                self._skipped += 1
                continue
            self._corrupt += sum(frame.is_corrupt for frame in frames)
            yield from frames

    @property
    def _duration(self) -> Fraction:
        """The seconds that the file says it lasts, or 0."""
        if self.stream.duration and self.stream.time_base:
            return self.stream.duration * self.stream.time_base
        return Fraction(self.container.duration or 0, av.time_base)

    def _warn_of_losses(self, first: int, end: int) -> None:
        """Warns if packets were damaged or the frames end long before the stated duration."""
        # A duration of the whole file counts from its start, also if the film starts later.
        start = first if self.stream.duration else 0
        lasted, duration = (end - start) * self.picture.time_base, self._duration
        if self._skipped or self._corrupt:
            warnings.warn(
                f"{self.path} is damaged: {self._skipped:,} video packets were skipped and "
                f"{self._corrupt:,} frames are damaged.",
                stacklevel=2,
            )
        elif duration - lasted > max(_MISSED, duration / 50):
            warnings.warn(
                f"{self.path} may be truncated: its frames end after {float(lasted):.1f} of "
                f"{float(duration):.1f} seconds.",
                stacklevel=2,
            )


def open_container(path: Path) -> av.container.InputContainer:
    """Opens a video without reading from its streams.

    Raises:
        VideoError: the file is missing, empty or not a video.
    """
    if not path.is_file():
        raise VideoError(f"{path} {'is not a file' if path.exists() else 'does not exist'}.")
    try:
        # A title in an unknown encoding is no reason to refuse a video.
        return av.open(str(path), metadata_errors="replace")
    except PermissionError as error:
        raise VideoError(f"{path} cannot be read: {in_words(error)}") from error
    except (av.FFmpegError, ValueError) as error:
        raise VideoError(f"{path} is not a readable video, or is truncated.") from error


def video_stream(path: Path, container: av.container.InputContainer) -> av.VideoStream:
    """Returns the main video stream, not the cover picture of a music file."""
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    best = container.streams.best("video")
    stream = best if best in streams else next(iter(streams), None)
    if stream is None:
        raise VideoError(f"{path} has no video stream.")
    if stream.codec_context is None:
        raise VideoError(f"{path} uses a video codec that cannot be decoded.")
    return stream


def _picture(frame: av.VideoFrame, stream: av.VideoStream) -> Picture:
    matrix = frame.colorspace
    if matrix not in _MATRICES:
        matrix = 1 if min(frame.width, frame.height) >= _HD else 6
    # The average rate of a raw DV stream is wrong.
    rate = stream.guessed_rate or stream.average_rate or stream.base_rate or Fraction(25)
    matrices = [bytes(d) for d in frame.side_data if d.type == SideDataType.DISPLAYMATRIX]
    return Picture(
        width=frame.width,
        height=frame.height,
        deep=max(component.bits for component in frame.format.components) > 8,
        time_base=stream.time_base,
        rate=Fraction(rate).limit_denominator(1001) or Fraction(25),
        aspect=stream.sample_aspect_ratio or Fraction(1),
        matrix=matrix,
        range=_LIMITED if _is_rgb(frame) else _range(frame),
        primaries=frame.color_primaries,
        transfer=frame.color_trc,
        display_matrix=tuple(np.frombuffer(b"".join(matrices[:1]), np.int32).tolist()),
        quarter_turns=round(frame.rotation / 90) % 4,
        interlaced=frame.interlaced_frame,
        alpha=any(component.is_alpha for component in frame.format.components),
    )


def _is_rgb(frame: av.VideoFrame) -> bool:
    return frame.format.is_rgb or frame.format.has_palette


def _range(frame: av.VideoFrame) -> int:
    if _is_rgb(frame):
        return _FULL
    if frame.color_range in (_LIMITED, _FULL):
        return frame.color_range
    return _FULL if frame.format.name.startswith(("yuvj", "gray", "ya")) else _LIMITED


def _to_rgb(frame: av.VideoFrame, picture: Picture) -> np.ndarray:
    rgb = frame.reformat(
        picture.width,
        picture.height,
        picture.rgb_format,
        src_colorspace=picture.swscale_matrix,
        dst_colorspace=picture.swscale_matrix,
        interpolation=CONVERSION,
        src_color_range=_range(frame),
        dst_color_range=_FULL,
    )
    return rgb.to_ndarray()
