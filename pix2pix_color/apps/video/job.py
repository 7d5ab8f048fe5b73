"""Colorizes a video segment by segment, and resumes where an earlier run was interrupted."""

from __future__ import annotations

import contextlib
import io
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
from .formats import Codec, codec_for
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
    Transparency, cover pictures and data streams are dropped, and interlaced fields stay
    interleaved. H.264 needs an even width and height: an odd one gets its last column or row
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
            destination exists, the disk is full, a setting is out of range, or PyAV is missing.
    """
    source, destination = Path(source), Path(destination)
    codec = codec_for(destination)
    _check_range("smoothing", smoothing, 0, 1)
    _check_range("segment_seconds", segment_seconds, 0.01, 3600)
    _check_range("crf", 0 if crf is None else crf, 0, 51)
    _refuse(source, destination, overwrite)
    try:
        from .reading import open_source
    except ImportError as error:
        raise VideoError(
            f"Colorizing videos needs PyAV ({error}): pip install 'pix2pix_color[video]'."
        ) from error
    settings = {
        "render_size": render_size,
        "strength": strength,
        "smoothing": smoothing,
        "segment_seconds": segment_seconds,
        "crf": codec.crf if crf is None else crf,
        "codec": codec.name,
    }
    with _explained(source, destination), open_source(source) as video:
        _warn_of_losses(video, destination, codec)
        with _Job(colorizer, video, destination, codec, settings, progress) as job:
            job.run()
    return destination


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise VideoError(f"{name} must be between {low:g} and {high:g}, not {value}.")


def _refuse(source: Path, destination: Path, overwrite: bool) -> None:
    if not destination.exists():
        return
    if source.exists() and destination.samefile(source):
        raise VideoError(f"{destination} is the input itself. Choose another output.")
    if not destination.is_file():
        raise VideoError(f"{destination} is not a file. Choose another output.")
    if not overwrite:
        raise VideoError(f"{destination} already exists. Use --overwrite to replace it.")


def _work_folder(destination: Path) -> Path:
    return destination.parent / f".{destination.name}.segments"


@contextlib.contextmanager
def _explained(source: Path, destination: Path) -> Iterator[None]:
    """Turns errors of FFmpeg and of the operating system into one line for the user."""
    import av

    try:
        yield
    except (av.FFmpegError, OSError) as error:
        text = f"{source} cannot be colorized to {destination}: {in_words(error).rstrip('.')}."
        if _work_folder(destination).exists():
            text += " Run the same command again to resume after the last finished segment."
        raise VideoError(text) from error


def _warn_of_losses(video: VideoSource, destination: Path, codec: Codec) -> None:
    picture, path = video.picture, video.path
    losses = {
        f"{path} is interlaced. {destination} keeps both fields in each frame, and players will "
        "not deinterlace them.": picture.interlaced,
        f"{path} has transparency, which {destination} does not keep.": picture.alpha,
        f"{path} has more than 8 bits per sample, but {destination.suffix} keeps 8. Choose .mp4, "
        ".mov or .mkv to keep 10.": picture.deep and not codec.deep,
        f"{path} is {picture.width}x{picture.height}, but H.264 needs even sides: the last column "
        "or row is repeated.": codec.even and bool(picture.width % 2 or picture.height % 2),
    }
    for text, applies in losses.items():
        if applies:
            warnings.warn(text, stacklevel=3)


class _Job:
    """The hidden folder of a video's segments, and the work on it.

    It contains `settings.json`, `probe.npy` (the model's output for a test pattern), one folder
    per finished segment (`00000`, `00001`, ...) with `video.nut` and `state.npz` (the state from
    which the next one starts), and `complete` once all segments are finished.
    """

    def __init__(
        self,
        colorizer: Colorizer,
        video: VideoSource,
        destination: Path,
        codec: Codec,
        settings: dict[str, Any],
        progress: Progress | None,
    ) -> None:
        self.colorizer, self.video, self.destination = colorizer, video, destination
        self.codec, self.settings = codec, settings
        self.smoother = ChromaSmoother(settings["smoothing"])
        self.progress = progress or (lambda done, total: None)
        self.folder = _work_folder(destination)
        self.done = 0  # frames
        self.origin = self.last_duration = 0  # the first frame's time, in ticks

    def __enter__(self) -> _Job:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = contextlib.ExitStack()
        if not self._lock.enter_context(locked(self.folder / "lock")):
            raise VideoError(
                f"Another process is colorizing {self.destination}. Wait until it has finished."
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()
        if not self._segment(0).exists():  # nothing to resume
            shutil.rmtree(self.folder, ignore_errors=True)

    def run(self) -> None:
        """Does the remaining work and renames the result to the destination."""
        from .writing import check_copies, join

        self._begin()
        joined = self.folder / f"joined{self.destination.suffix}"
        crf = self.settings["crf"]
        check_copies(joined, self.video, self.codec, crf, self.destination)
        number = self._resume()
        if not (self.folder / "complete").exists():
            frames = self.video.frames(skip=self.done)
            ticks = Fraction(self.settings["segment_seconds"]) / self.video.picture.time_base
            for segment in _segments(frames, ticks):
                self._write_segment(number, segment)
                number += 1
            write_atomically(self.folder / "complete", "")
        self.progress(self.done, self.done)
        segments = [self._segment(n) / "video.nut" for n in range(number)]
        join(joined, segments, self.video, self.origin, self.last_duration, self.destination)
        os.replace(joined, self.destination)
        self._lock.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _begin(self) -> None:
        """Keeps what an earlier run left if its source, model and settings are the same."""
        for half_written in self.folder.glob(".*"):
            shutil.rmtree(half_written)
        settings, probe = self._described(), self._probe()
        path, probe_path = self.folder / "settings.json", self.folder / "probe.npy"
        try:
            same = json.loads(path.read_text(encoding="utf-8")) == settings and np.allclose(
                np.load(probe_path), probe, atol=1e-3
            )
        except (OSError, ValueError):
            same = False
        if same:
            return
        if path.exists():
            warnings.warn(
                f"{self.destination} was started with another source, model or setting: starting "
                "over.",
                stacklevel=3,
            )
        for old in self.folder.iterdir():
            if old.is_dir():
                shutil.rmtree(old)
            elif not old.name.startswith("lock"):
                old.unlink()
        buffer = io.BytesIO()
        np.save(buffer, probe)
        write_atomically(probe_path, buffer.getvalue())
        write_atomically(path, json.dumps(settings, indent=2) + "\n")

    def _described(self) -> dict[str, Any]:
        import av

        status = self.video.path.stat()
        return {
            "source": [str(self.video.path.resolve()), status.st_size, status.st_mtime_ns],
            "pyav": av.__version__,
            **self.settings,
        }

    def _probe(self) -> np.ndarray:
        """Returns the model's output for a test pattern, which identifies the model."""
        pattern = 50 + 40 * np.sin(np.arange(64 * 64, dtype=np.float32) / 7).reshape(1, 64, 64, 1)
        return self.colorizer.predict_chroma(pattern, render_size=self.settings["render_size"])

    def _segment(self, number: int) -> Path:
        return self.folder / f"{number:05d}"

    def _resume(self) -> int:
        """Restores the state after the last finished segment; returns the number of segments."""
        number, state = 0, None
        while (following := self._state(number)) is not None:
            number, state = number + 1, following
        if self._segment(number).exists():  # damaged, for example by a power failure
            for later in self.folder.glob("[0-9]*"):
                if int(later.name) >= number:
                    shutil.rmtree(later)
            (self.folder / "complete").unlink(missing_ok=True)
        if state is not None:
            for name in _COUNTS:
                setattr(self, name, int(state.pop(name)))
            self.smoother.state = state
            self.progress(self.done, self._total())
        return number

    def _state(self, number: int) -> dict[str, np.ndarray] | None:
        """Returns the state saved with a segment, or `None` if it is missing or damaged."""
        try:
            with np.load(self._segment(number) / "state.npz") as saved:
                state = dict(saved)
            size = (self._segment(number) / "video.nut").stat().st_size
        except (OSError, EOFError, ValueError, zipfile.BadZipFile):
            return None
        return state if int(state.pop("bytes")) == size else None

    def _total(self) -> int | None:
        expected = self.video.frame_count
        return None if expected is None else max(expected, self.done)

    def _write_segment(self, number: int, frames: Iterable[Frame]) -> None:
        from .writing import segment_writer

        picture = self.video.picture
        size = max(1, min(_BATCH, _BATCH_PIXELS // (picture.width * picture.height)))
        with replacing(self._segment(number)) as temporary:
            temporary.mkdir()
            path = temporary / "video.nut"
            with segment_writer(path, picture, self.codec, self.settings["crf"]) as write:
                for batch in _batches(frames, size):
                    if not self.done:
                        self.origin = batch[0].time
                    for frame, rgb in zip(batch, self._colorize(batch), strict=True):
                        write(rgb, frame.time - self.origin, frame.duration)
                    self.done, self.last_duration = self.done + len(batch), batch[-1].duration
                    self.progress(self.done, self._total())
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
        return self.colorizer.apply_chroma(images, np.stack(smoothed), self.settings["strength"])


def _segments(frames: Iterable[Frame], ticks: Fraction) -> Iterator[Iterator[Frame]]:
    """Yields the frames of each segment, which lasts at least `ticks`."""
    number, start = -1, None

    def segment(frame: Frame) -> int:
        nonlocal number, start
        if start is None or frame.time - start >= ticks:
            number, start = number + 1, frame.time
        return number

    for _, frames_of_segment in itertools.groupby(frames, key=segment):
        yield frames_of_segment


def _batches(frames: Iterable[Frame], size: int) -> Iterator[list[Frame]]:
    frames = iter(frames)
    while batch := list(itertools.islice(frames, size)):
        yield batch
