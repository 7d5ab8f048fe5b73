"""Decodes a video's frames to RGB with the color matrix and range of its samples."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition

from ...errors import VideoError, in_words
from .formats import Picture

__all__ = ["CONVERSION", "Frame", "VideoSource", "open_container", "open_source", "video_stream"]

# SWS_BICUBIC, FULL_CHR_H_INT, FULL_CHR_H_INP, ACCURATE_RND, BITEXACT; PyAV does not name the
# last four.
CONVERSION = 1 << 2 | 1 << 13 | 1 << 14 | 1 << 18 | 1 << 19
"""FFmpeg's most accurate RGB and YUV conversion: 8-bit gray survives a round trip unchanged."""

_FULL, _LIMITED = 2, 1  # of AVColorRange
_MATRICES = (1, 4, 5, 6, 7, 9)  # the values of AVColorSpace that FFmpeg converts
_MISSED = Fraction(1, 2)  # seconds without frames that are common at the end of a stream
_HD = 720  # rows from which players assume BT.709 for an untagged video


@dataclass(frozen=True)
class Frame:
    """A decoded frame.

    Attributes:
        rgb: uint8 or uint16 (height, width, 3).
        time: in ticks of the picture's time base; greater than that of the previous frame.
        duration: in ticks; 0 if unknown.
    """

    rgb: np.ndarray
    time: int
    duration: int


class VideoSource:
    """An open video. Create one with `open_source`.

    Attributes:
        path: the file.
        container: PyAV's container; decoding consumes its packets.
        picture: what all frames have in common.
        frame_count: approximate number of frames; `None` if the file does not tell.
        damaged: number of packets so far that could not be decoded.
    """

    def __init__(self, path: Path, container: av.container.InputContainer) -> None:
        self.path, self.container = path, container
        self._skipped, self._corrupt = 0, 0
        self._damaged_from: Fraction | None = None  # in seconds
        self.stream = video_stream(path, container)
        self.stream.thread_type = "AUTO"
        self._decoded = self._decode()
        try:
            first = next(self._decoded)
        except StopIteration:
            raise VideoError(f"{path} has no frames that can be decoded.") from None
        self.picture = _picture(first, self.stream)
        self._decoded = itertools.chain([first], self._decoded)
        self.frame_count = _frame_count(container, self.stream)

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
                self._note_damage(packet.pts)
                continue
            for frame in frames:
                if frame.is_corrupt:
                    self._corrupt += 1
                    self._note_damage(frame.pts)
                yield frame

    def _note_damage(self, ticks: int | None) -> None:
        if self._damaged_from is None and ticks is not None:
            start = self.stream.start_time or 0
            self._damaged_from = (ticks - start) * self.stream.time_base

    def _warn_of_losses(self, first: int, end: int) -> None:
        """Warns if packets were damaged or the frames end long before the stated duration.

        Args:
            first, end: times of the first frame and of the end of the last, in ticks.
        """
        duration = _duration(self.container, self.stream)
        # A duration of the whole file counts from its start, also if the film starts later.
        start = first if self.stream.duration else 0
        lasted = (end - start) * self.picture.time_base
        if self._skipped or self._corrupt:
            since = self._damaged_from
            place = "" if since is None else f", from {float(since):.1f} s on"
            warnings.warn(
                f"{self.path} is damaged{place}: {self._skipped:,} video packets were skipped and "
                f"{self._corrupt:,} frames are damaged.",
                stacklevel=2,
            )
        elif duration and duration - lasted > max(_MISSED, duration / 50):
            warnings.warn(
                f"{self.path} may be truncated: its frames end after {float(lasted):.1f} of "
                f"{float(duration):.1f} seconds.",
                stacklevel=2,
            )


@contextlib.contextmanager
def open_source(path: Path) -> Iterator[VideoSource]:
    """Opens a video for decoding and closes it at the end.

    Raises:
        VideoError: the file is missing, empty or not a video, or has no video stream or frames.
    """
    with open_container(path) as container:
        yield VideoSource(path, container)


def open_container(path: Path) -> av.container.InputContainer:
    """Opens a video without reading from its streams.

    Raises:
        VideoError: the file is missing, empty or not a video.
    """
    if not path.exists():
        raise VideoError(f"{path} does not exist.")
    if not path.is_file():
        raise VideoError(f"{path} is not a file.")
    if path.stat().st_size == 0:
        raise VideoError(f"{path} is empty.")
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


def _frame_count(container: av.container.InputContainer, stream: av.VideoStream) -> int | None:
    duration = _duration(container, stream)
    if stream.frames or not (duration and stream.average_rate):
        return stream.frames or None
    return round(duration * stream.average_rate)


def _duration(container: av.container.InputContainer, stream: av.VideoStream) -> Fraction | None:
    """Returns the duration in seconds that the file states."""
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base
    return Fraction(container.duration, av.time_base) if container.duration else None


def _picture(frame: av.VideoFrame, stream: av.VideoStream) -> Picture:
    matrix = frame.colorspace
    if matrix not in _MATRICES:
        matrix = 1 if min(frame.width, frame.height) >= _HD else 6
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate or Fraction(25)
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
        display_matrix=_display_matrix(frame),
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


def _display_matrix(frame: av.VideoFrame) -> tuple[int, ...]:
    for side_data in frame.side_data:
        if side_data.type == SideDataType.DISPLAYMATRIX:
            return tuple(np.frombuffer(bytes(side_data), np.int32).tolist())
    return ()


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
