"""Encodes segments of a video, and joins them with the audio and subtitles of the source."""

from __future__ import annotations

import contextlib
import heapq
import operator
import warnings
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from ...errors import VideoError
from .formats import H264
from .reading import CONVERSION, Picture, VideoSource, open_container, video_stream

__all__ = ["check_copies", "join", "segment_writer"]

_FRAME_DURATION = 1 << 8  # AV_CODEC_FLAG_FRAME_DURATION: packets keep the frames' durations
# Below this width (eight blocks), x264's macroblock tree is not deterministic, and an interrupted
# video would not resume to the same frames.
_REPEATABLE = 128
_FORMATS = {".mkv": "matroska", ".mov": "mov", ".webm": "webm"}  # others are MP4
_FILE_TAGS = ("compatible_brands", "encoder", "major_brand", "minor_version")
_STREAM_TAGS = ("creation_time", "handler_name", "language", "title")


@contextlib.contextmanager
def segment_writer(
    path: Path, picture: Picture, codec: str, crf: int
) -> Iterator[Callable[[np.ndarray, int, int], None]]:
    """Yields a function that encodes one frame, given its RGB, time and duration in ticks.

    A segment is a NUT file, which keeps every time base and codec exactly. Times must not be
    negative.
    """
    # Without this, all times would be shifted to make decoding times positive.
    options = {"avoid_negative_ts": "disabled"}
    with av.open(str(path), "w", format="nut", container_options=options) as container:
        stream = _add_encoder(container, picture, codec, crf)

        def write(rgb: np.ndarray, time: int, duration: int) -> None:
            frame = _to_frame(rgb, picture, stream.codec_context)
            frame.pts, frame.time_base, frame.duration = time, picture.time_base, duration
            container.mux(stream.encode(frame))

        yield write
        container.mux(stream.encode(None))


def _add_encoder(
    container: av.container.OutputContainer, picture: Picture, codec: str, crf: int
) -> av.VideoStream:
    options, odd = {"row-mt": "1", "cpu-used": "3", "b": "0"}, (0, 0)  # of VP9
    if codec == H264:
        options, odd = {"preset": "medium"}, (picture.width % 2, picture.height % 2)
        if picture.width < _REPEATABLE:
            options["x264-params"] = "mbtree=0"
    options["crf"] = str(crf)
    stream = container.add_stream(codec, rate=picture.rate, options=options)
    context = stream.codec_context
    context.width, context.height = picture.width + odd[0], picture.height + odd[1]
    context.pix_fmt = _pixel_format(picture, codec)
    context.time_base = picture.time_base
    context.flags |= _FRAME_DURATION
    context.thread_type, context.thread_count = "AUTO", 0
    _tag(context, picture)
    return stream


def _pixel_format(picture: Picture, codec: str) -> str:
    return "yuv420p10le" if picture.deep and codec == H264 else "yuv420p"


def _tag(context: av.VideoCodecContext, picture: Picture) -> None:
    context.sample_aspect_ratio = picture.aspect
    context.colorspace, context.color_range = picture.matrix, picture.range
    context.color_primaries, context.color_trc = picture.primaries, picture.transfer


def _to_frame(rgb: np.ndarray, picture: Picture, context: av.VideoCodecContext) -> av.VideoFrame:
    bottom, right = context.height - len(rgb), context.width - rgb.shape[1]
    if bottom or right:  # repeats the last row or column
        rgb = np.pad(rgb, ((0, bottom), (0, right), (0, 0)), "edge")
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), picture.rgb_format).reformat(
        format=context.pix_fmt,
        src_colorspace=picture.swscale_matrix,
        dst_colorspace=picture.swscale_matrix,
        interpolation=CONVERSION,
        src_color_range=2,
        dst_color_range=picture.range,
    )


# Joining --------------------------------------------------------------------------------------


def check_copies(path: Path, video: VideoSource, codec: str, crf: int) -> None:
    """Writes a header with all streams, to find out early if the format of `path` supports them.

    Raises:
        VideoError: the format does not.
    """
    source = video.container
    try:
        with av.open(str(path), "w", format=_format(path)) as container:
            _add_encoder(container, video.picture, codec, crf)
            _add_copies(container, source)
            container.start_encoding()
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, OSError):  # a full disk is not the format's fault
            raise
        raise VideoError(
            f"A {path.suffix} file cannot hold the audio and subtitles of {source.name}. Choose a "
            f".mkv output, which supports nearly everything. [{error}]"
        ) from error


def join(
    path: Path,
    segments: Sequence[Path],
    video: VideoSource,
    origin: int,
    last_duration: int,
) -> None:
    """Joins the segments and the source's other streams without encoding anything again.

    Args:
        path: the file to write.
        segments: files written by `segment_writer`, in order.
        video: the source, whose audio, subtitles, chapters and titles are copied.
        origin: time of the first frame in the source, in ticks; the segments count from it.
        last_duration: duration of the last frame, in ticks; 0 if unknown.
    """
    picture, format = video.picture, _format(path)
    options = {"movflags": "+faststart"} if format in ("mp4", "mov") else {}
    with (
        open_container(video.path) as source,  # again: decoding consumed the packets
        av.open(str(segments[0])) as first,
        av.open(str(path), "w", format=format, container_options=options) as container,
    ):
        stream = container.add_stream_from_template(first.streams.video[0], opaque=True)
        _tag(stream.codec_context, picture)
        stream.codec_context.framerate, stream.time_base = picture.rate, picture.time_base
        if picture.display_matrix:
            stream.set_display_matrix(picture.display_matrix)
        _copy_stream_tags(stream, video_stream(video.path, source))
        copies = _add_copies(container, source)
        tags = source.metadata.items()
        container.metadata.update({k: v for k, v in tags if k.lower() not in _FILE_TAGS})
        if chapters := source.chapters():
            container.set_chapters(chapters)
        container.start_encoding()
        start = Fraction(max(source.start_time or 0, 0), av.time_base)
        shift = origin - round(start / picture.time_base)
        packets = heapq.merge(
            _video_packets(segments, stream, picture.time_base, shift, last_duration),
            _copied_packets(source, copies, start),
            key=operator.itemgetter(0),
        )
        refused = 0
        for _, packet in packets:
            try:
                container.mux(packet)
            except av.FFmpegError as error:
                if packet.stream is stream or isinstance(error, OSError):
                    raise
                refused += 1
    if refused:
        warnings.warn(
            f"{video.path} is damaged: {refused:,} audio or subtitle packets were skipped.",
            stacklevel=2,
        )


def _format(path: Path) -> str:
    return _FORMATS.get(path.suffix.lower(), "mp4")


def _add_copies(
    container: av.container.OutputContainer, source: av.container.InputContainer
) -> dict[int, av.stream.Stream]:
    """Adds the streams to copy and returns them by their index in the source."""
    copies = {}
    for stream in source.streams:
        if stream.type in ("audio", "subtitle"):
            copies[stream.index] = container.add_stream_from_template(stream)
            _copy_stream_tags(copies[stream.index], stream)
    return copies


def _copy_stream_tags(copy: av.stream.Stream, stream: av.stream.Stream) -> None:
    copy.metadata.update({k: v for k, v in stream.metadata.items() if k in _STREAM_TAGS})
    copy.disposition = stream.disposition


def _video_packets(
    segments: Sequence[Path],
    stream: av.VideoStream,
    time_base: Fraction,
    shift: int,
    last_duration: int,
) -> Iterator[tuple[Fraction, av.Packet]]:
    """Yields the decoding time in seconds and the packet of all segments, with continuous times.

    Each segment starts decoding a few frames before its first frame is shown. With a variable
    frame rate, decoding times would run backwards between segments. Each is therefore replaced by
    the time of the frame that is shown a fixed number of frames earlier.
    """
    times = [time for _, time in _packets(segments, time_base)]
    shown = sorted(times)
    rank = {time: place for place, time in enumerate(shown)}
    delay = max(place - rank[time] for place, time in enumerate(times))
    step = shown[1] - shown[0] if len(shown) > 1 else 1
    decoded = [shown[0] - step * n for n in range(delay, 0, -1)] + shown
    ends = [*shown[1:], shown[-1] + (last_duration or step)]
    for (packet, pts), dts in zip(_packets(segments, time_base), decoded, strict=False):
        packet.pts, packet.dts = pts + shift, dts + shift
        packet.duration = ends[rank[pts]] - pts
        packet.time_base, packet.stream = time_base, stream
        yield packet.dts * time_base, packet


def _packets(segments: Sequence[Path], time_base: Fraction) -> Iterator[tuple[av.Packet, int]]:
    for path in segments:
        with av.open(str(path)) as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.size:
                    yield packet, round(packet.pts * packet.time_base / time_base)


def _copied_packets(
    source: av.container.InputContainer, copies: dict[int, av.stream.Stream], start: Fraction
) -> Iterator[tuple[Fraction, av.Packet]]:
    """Yields the decoding time in seconds and the packet of the copied streams."""
    latest = dict.fromkeys(copies, Fraction(0))
    packets = source.demux([source.streams[index] for index in copies]) if copies else ()
    # A truncated file ends here, as the frames do.
    with contextlib.suppress(av.FFmpegError):
        for packet in packets:
            if not packet.size:
                continue
            index, shift = packet.stream.index, round(start / packet.time_base)
            if packet.pts is not None:
                packet.pts -= shift
            if packet.dts is not None:
                packet.dts -= shift
            time = packet.dts if packet.dts is not None else packet.pts
            if time is not None:
                latest[index] = time * packet.time_base
            packet.stream = copies[index]
            yield latest[index], packet
