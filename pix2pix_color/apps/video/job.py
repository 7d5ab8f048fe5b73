"""Colorizes a video segment by segment, and resumes where an earlier run was interrupted."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import VideoError, in_words
from ...files import locked, replacing, write_atomically
from .formats import CODECS, H264
from .smoothing import ChromaSmoother

if TYPE_CHECKING:
    from ...colorizer import Colorizer
    from .reading import Frame, VideoSource

__all__ = ["colorize_video"]

_BATCH = 16  # maximum number of frames in one call of the network
_BATCH_PIXELS = 1 << 23  # maximum number of pixels: four frames of 1080 rows
_COUNTS = ("done", "origin", "last_duration")  # attributes of a job, saved with each segment

Progress = Callable[[int, "int | None"], None]


def colorize_video(
    colorizer: Colorizer,
    source: str | Path,
    destination: str | Path,
    *,
    render_size: int | None = None,
    strength: float = 1.0,
    smoothing: float = 0.8,
    segment_seconds: float = 10.0,
    crf: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Colorizes a video file into another.

    Luminance, frame times (including a variable frame rate), rotation, pixel aspect, color tags
    and 10-bit samples are kept; audio, subtitles, chapters and titles are copied unchanged.
    Transparency, cover pictures, attachments and data streams are dropped, and interlaced fields
    stay interleaved. H.264 needs an even width and height: an odd one gets its last column or row
    repeated.

    The work is in a hidden folder beside the destination until all is done. Calling this again
    after an interruption resumes at the first missing segment and gives identical frames. If the
    source, the model or a setting has changed, it starts over.

    Args:
        colorizer: a `Colorizer`, or anything with its `predict_chroma`, `apply_chroma`, `name`.
        source: any video that FFmpeg decodes; never changed.
        destination: its suffix, one of `OUTPUT_EXTENSIONS`, is the format: VP9 in .webm, H.264
            in all others.
        render_size: shorter side, in pixels, of what the network sees.
        strength: color strength: 0 keeps the video gray, 1 is what the model predicts.
        smoothing: weight of the previous colors where nothing moves, from 0 (no smoothing) to 1;
            see `smoothing.ChromaSmoother`.
        segment_seconds: the most that an interruption can lose.
        crf: quality of the codec, 0 to 51, lower is better; by default 16, or 24 for VP9.
        overwrite: replace an existing destination (but never the source).
        progress: called after each batch with the number of finished frames and the approximate
            number of all frames, or `None` if the file does not tell.

    Returns:
        `destination`.

    Raises:
        VideoError: the source cannot be read, the format does not support one of its streams, the
            destination exists, the disk is full, or PyAV is missing.
    """
    source, destination = Path(source), Path(destination)
    _check_destination(source, destination, overwrite)
    try:
        import av

        from .reading import VideoSource
    except ImportError as error:
        raise VideoError(
            f"Colorizing videos needs PyAV ({error}): pip install 'pix2pix_color[video]'."
        ) from error
    codec = CODECS[destination.suffix.lower()]
    settings = {
        "render_size": render_size,
        "strength": strength,
        "smoothing": smoothing,
        "segment_seconds": segment_seconds,
        # At these qualities the loss is not visible.
        "crf": crf if crf is not None else 16 if codec == H264 else 24,
        "codec": codec,
        "pyav": av.__version__,
    }
    folder = destination.parent / f".{destination.name}.segments"
    try:
        with contextlib.closing(VideoSource(source)) as video:
            _warn_of_losses(video, destination, codec)
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder / "lock") as mine:
                if not mine:
                    raise VideoError(
                        f"Another process is colorizing {destination}. Wait until it has finished."
                    )
                job = _Job(colorizer, video, destination, folder, settings, progress)
                try:
                    job.run()
                finally:
                    if not job.segment(0).exists():  # finished, or nothing to resume
                        shutil.rmtree(folder, ignore_errors=True)
    except (av.FFmpegError, OSError) as error:
        text = f"{source} cannot be colorized to {destination}: {in_words(error).rstrip('.')}."
        if folder.exists():
            text += " Run the same command again to resume after the last finished segment."
        raise VideoError(text) from error
    return destination


def _check_destination(source: Path, destination: Path, overwrite: bool) -> None:
    if destination.suffix.lower() not in CODECS:
        raise VideoError(
            f"{destination}: cannot write {destination.suffix!r} videos. Choose one of "
            f"{', '.join(CODECS)}."
        )
    if not destination.exists():
        return
    if source.exists() and destination.samefile(source):
        raise VideoError(f"{destination} is the input itself. Choose another output.")
    if not destination.is_file():
        raise VideoError(f"{destination} is not a file. Choose another output.")
    if not overwrite:
        raise VideoError(f"{destination} already exists. Use --overwrite to replace it.")


def _warn_of_losses(video: VideoSource, destination: Path, codec: str) -> None:
    losses = {
        f"is interlaced: {destination} keeps both fields in each frame, and players will not "
        "deinterlace them": video.picture.interlaced,
        f"has transparency, which {destination} does not keep": video.picture.alpha,
        f"has more than 8 bits per sample, but {destination.suffix} keeps 8: choose .mp4, .mov or "
        ".mkv to keep 10": video.picture.deep and codec != H264,
    }
    for text in (text for text, applies in losses.items() if applies):
        warnings.warn(f"{video.path} {text}.", stacklevel=3)


class _Job:
    """The hidden folder of a video's segments, and the work on it.

    It contains `settings.json` and one folder per finished segment (`00000`, `00001`, ...) with
    `video.nut` and `state.npz` (the state from which the next one starts).
    """

    def __init__(
        self,
        colorizer: Colorizer,
        video: VideoSource,
        destination: Path,
        folder: Path,
        settings: dict[str, Any],
        progress: Progress | None,
    ) -> None:
        self.colorizer, self.video, self.destination = colorizer, video, destination
        self.folder, self.settings = folder, settings
        self.smoother = ChromaSmoother(settings["smoothing"])
        self.progress = progress or (lambda done, total: None)
        self.done = 0  # frames
        self.origin = self.last_duration = 0  # the first frame's time, in ticks

    def segment(self, number: int) -> Path:
        return self.folder / f"{number:05d}"

    def run(self) -> None:
        """Does the remaining work and renames the result to the destination."""
        from .writing import check_copies, join

        self._begin()
        joined = self.folder / f"joined{self.destination.suffix}"
        codec, crf = self.settings["codec"], self.settings["crf"]
        check_copies(joined, self.video, codec, crf)
        number, picture = self._resume(), self.video.picture
        size = max(1, min(_BATCH, _BATCH_PIXELS // (picture.width * picture.height)))
        batches = _batches(self.video.frames(skip=self.done), size)
        for batch in batches:
            self._write_segment(number, itertools.chain([batch], batches))
            number += 1
        self.progress(self.done, self.done)
        segments = [self.segment(n) / "video.nut" for n in range(number)]
        join(joined, segments, self.video, self.origin, self.last_duration)
        os.replace(joined, self.destination)
        shutil.rmtree(self.segment(0))

    def _begin(self) -> None:
        """Keeps what an earlier run left if its source, model and settings are the same."""
        for half_written in self.folder.glob(".*"):
            shutil.rmtree(half_written)
        path, status = self.folder / "settings.json", self.video.path.stat()
        settings = self.settings | {
            "source": [str(self.video.path.resolve()), status.st_size, status.st_mtime_ns],
            "model": self._model(),
        }
        try:
            if json.loads(path.read_text(encoding="utf-8")) == settings:
                return
            warnings.warn(
                f"{self.destination} was started with another source, model or setting: starting "
                "over.",
                stacklevel=3,
            )
        except (OSError, ValueError):  # nothing, or nothing usable
            pass
        for old in self.folder.glob("[0-9]*"):
            shutil.rmtree(old)
        write_atomically(path, json.dumps(settings, indent=2) + "\n")

    def _model(self) -> list[float]:
        """Returns what identifies the model: statistics of its output for a test pattern."""
        pattern = 50 + 40 * np.sin(np.arange(64 * 64, dtype=np.float32) / 7).reshape(1, 64, 64, 1)
        chroma = self.colorizer.predict_chroma(pattern, render_size=self.settings["render_size"])
        return [round(float(x), 3) for x in (*chroma.mean((0, 1, 2)), *chroma.std((0, 1, 2)))]

    def _resume(self) -> int:
        """Restores the state after the last finished segment; returns the number of segments."""
        number, state = 0, None
        while (following := self._state(number)) is not None:
            number, state = number + 1, following
        for later in self.folder.glob("[0-9]*"):  # from a segment damaged by a power failure on
            if int(later.name) >= number:
                shutil.rmtree(later)
        if state is not None:
            for name in _COUNTS:
                setattr(self, name, int(state.pop(name)))
            self.smoother.state = state
            self._show_progress()
        return number

    def _state(self, number: int) -> dict[str, np.ndarray] | None:
        """Returns the state saved with a segment, or `None` if it is missing or damaged."""
        try:
            with np.load(self.segment(number) / "state.npz") as saved:
                state = dict(saved)
            size = (self.segment(number) / "video.nut").stat().st_size
        except (OSError, EOFError, ValueError, zipfile.BadZipFile):
            return None
        return state if int(state.pop("bytes")) == size else None

    def _show_progress(self) -> None:
        count = self.video.frame_count
        self.progress(self.done, None if count is None else max(count, self.done))

    def _write_segment(self, number: int, batches: Iterable[list[Frame]]) -> None:
        """Writes batches of frames until the segment is long enough."""
        from .writing import segment_writer

        picture, codec, crf = self.video.picture, self.settings["codec"], self.settings["crf"]
        ticks, start = Fraction(self.settings["segment_seconds"]) / picture.time_base, None
        with replacing(self.segment(number)) as temporary:
            temporary.mkdir()
            path = temporary / "video.nut"
            with segment_writer(path, picture, codec, crf) as write:
                for batch in batches:
                    if start is None:
                        start = batch[0].time
                    if not self.done:
                        self.origin = start
                    for frame, rgb in zip(batch, self._colorize(batch), strict=True):
                        write(rgb, frame.time - self.origin, frame.duration)
                    self.done, self.last_duration = self.done + len(batch), batch[-1].duration
                    self._show_progress()
                    if batch[-1].time - start >= ticks:
                        break
            counts = {name: getattr(self, name) for name in _COUNTS}
            counts["bytes"] = path.stat().st_size
            np.savez(temporary / "state.npz", **self.smoother.state, **counts)

    def _colorize(self, batch: list[Frame]) -> np.ndarray:
        """Returns RGB frames in smoothed colors."""
        import tensorflow as tf

        from ...color import pixel_lightness

        images, turns = np.stack([frame.rgb for frame in batch]), self.video.picture.quarter_turns
        lightness = np.stack([pixel_lightness(image.reshape(-1, 3)) for image in images])
        lightness = lightness.reshape(*images.shape[:3], 1)
        # The network was trained on upright images, but many phones store rotated frames.
        upright = np.ascontiguousarray(np.rot90(lightness, turns, axes=(1, 2)))
        chroma = self.colorizer.predict_chroma(upright, render_size=self.settings["render_size"])
        chroma = np.rot90(chroma, -turns, axes=(1, 2))
        small = tf.image.resize(lightness, chroma.shape[1:3], antialias=True).numpy()
        time_base = self.video.picture.time_base
        smoothed = [
            self.smoother(planes, light, float(frame.time * time_base))
            for frame, planes, light in zip(batch, chroma, small, strict=True)
        ]
        return self.colorizer.apply_chroma(
            images, np.stack(smoothed), self.settings["strength"], lightness=small
        )


def _batches(frames: Iterator[Frame], size: int) -> Iterator[list[Frame]]:
    while batch := list(itertools.islice(frames, size)):
        yield batch
