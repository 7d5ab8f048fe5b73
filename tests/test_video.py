"""Videos: what is kept (times, audio, tags), what is smoothed, and how work is resumed."""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import signal
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from conftest import python_process, run_python
from skimage.color import rgb2gray, rgb2lab

from pix2pix_color import inference
from pix2pix_color.apps.video import OUTPUT_EXTENSIONS, colorize_video
from pix2pix_color.apps.video.smoothing import ChromaSmoother, is_cut
from pix2pix_color.errors import VideoError

av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'pix2pix_color[video]'")

from pix2pix_color.apps.video import reading, writing  # noqa: E402  they import PyAV

TICKS = Fraction(1, 12800)
LIMITED, FULL = 1, 2
BT709, SMPTE170M = 1, 6
EVEN = {"times": None, "ticks": Fraction(1, 25)}
WEIGHTS = {BT709: (0.2126, 0.7152, 0.0722), SMPTE170M: (0.299, 0.587, 0.114)}


class Stub:
    """A colorizer without a network: chroma follows the small lightness, steeply."""

    name, multiple, render_size = "stub", 8, 16

    def __init__(self, sign: float = 1.0) -> None:
        self.sign, self.seen = sign, []

    def predict_chroma(self, lightness: np.ndarray, *, render_size: int | None = None):
        rows, columns = inference.working_shape(
            *lightness.shape[1:3], render_size or self.render_size, self.multiple
        )
        self.seen.append(lightness.shape)
        y = np.linspace(0, lightness.shape[1] - 1, rows).round().astype(int)
        x = np.linspace(0, lightness.shape[2] - 1, columns).round().astype(int)
        small = lightness[:, y][:, :, x]
        return self.sign * np.concatenate([np.sin(small / 5), np.cos(small / 5)], -1) / 4

    def apply_chroma(self, images, chroma, strength: float = 1.0, *, lightness):
        planes = zip(images, lightness, chroma, strict=True)
        return np.stack([inference.apply_chroma(*three, strength) for three in planes])


# Films to work on -----------------------------------------------------------------------------


@functools.cache
def gray_photograph(name: str, height: int, width: int) -> np.ndarray:
    """uint8 (height, 2 * width), to pan over."""
    photograph = rgb2gray(getattr(skimage.data, name)())[: 4 * height : 4, : 8 * width : 4]
    return np.rint(photograph * 255).astype(np.uint8)


def gray_frames(count: int, height: int = 64, width: int = 96, noise: float = 4.0) -> np.ndarray:
    """uint8 (count, height, width): a noisy pan over a photograph, and a cut in the middle."""
    random = np.random.default_rng(0)
    frames = []
    for i in range(count):
        name = "coffee" if i < count // 2 else "astronaut"
        frame = gray_photograph(name, height, width)[:, i % 32 : i % 32 + width]
        frames.append(np.clip(frame + random.normal(0, noise, frame.shape), 0, 255))
    return np.rint(frames).astype(np.uint8)


def write_film(
    path: Path,
    frames: np.ndarray,
    times: list[int] | None = None,
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    matrix: int = SMPTE170M,
    color_range: int = LIMITED,
    audio: str | None = "aac",
    turned: tuple[float, bool] | None = None,
    aspect: Fraction = Fraction(1),
    options: dict[str, str] | None = None,
    ticks: Fraction = TICKS,
) -> Path:
    """Writes a film of gray frames, losslessly where the codec can, with a sine for its sound."""
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "A test"
        stream = container.add_stream(codec, rate=25, options={"crf": "0", **(options or {})})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.time_base = pixels, ticks
        context = stream.codec_context
        context.time_base, context.sample_aspect_ratio = ticks, aspect
        context.colorspace, context.color_range = matrix, color_range
        context.flags |= 1 << 8  # AV_CODEC_FLAG_FRAME_DURATION
        if turned is not None:
            stream.set_display_rotation(turned[0], hflip=turned[1])
        sound = container.add_stream(audio, rate=48000) if audio else None
        if sound is not None:
            sound.metadata["language"] = "fra"
        for i, gray in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.repeat(gray[..., None], 3, -1), "rgb24")
            frame = frame.reformat(
                format=pixels, dst_colorspace=5 if matrix == 6 else 1, dst_color_range=color_range
            )
            frame.pts, frame.time_base = times[i] if times else round(i / (25 * ticks)), ticks
            steps = np.diff(times) if times else [round(1 / (25 * ticks))]
            frame.duration = int(steps[min(i, len(steps) - 1)])
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for i in range(30 if sound is not None else 0):
            wave = np.sin(np.arange(1920 * i, 1920 * (i + 1)) / 20) * 8000
            block = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], "s16", "mono")
            block.sample_rate, block.pts, block.time_base = 48000, 1920 * i, Fraction(1, 48000)
            container.mux(sound.encode(block))
        if sound is not None:
            container.mux(sound.encode(None))
    return path


def uneven_times(count: int) -> list[int]:
    """Ticks of a variable frame rate: ten frames of 40 ms, ten of 160 ms, and so on."""
    steps = [512 if i // 10 % 2 == 0 else 2048 for i in range(count)]
    return [0, *np.cumsum(steps)[:-1].tolist()]


def decode(path: Path) -> list:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def seconds(frames: list) -> list[Fraction]:
    return [frame.pts * frame.time_base for frame in frames]


def planes(frame) -> np.ndarray:
    """float64 (3, height, width): Y, U and V as stored, chroma repeated to full size."""
    dtype = np.uint16 if "10" in frame.format.name else np.uint8
    result = []
    for plane in frame.planes:
        rows = np.frombuffer(plane, dtype).reshape(plane.height, -1)[:, : plane.width]
        scale = 2 if plane.height < frame.height else 1
        full = rows.repeat(scale, 0).repeat(scale, 1)[: frame.height, : frame.width]
        result.append(full.astype(float))
    return np.stack(result)


def textbook_rgb(frame, matrix: int, color_range: int) -> np.ndarray:
    """RGB in [0, 1] by the definition of BT.601 and BT.709, without FFmpeg."""
    y, u, v = planes(frame) / (4 if "10" in frame.format.name else 1)
    if color_range == LIMITED:
        y, u, v = (y - 16) / 219, (u - 128) / 224, (v - 128) / 224
    else:
        y, u, v = y / 255, (u - 128) / 255, (v - 128) / 255
    red_share, green_share, blue_share = WEIGHTS[matrix]
    red, blue = y + 2 * (1 - red_share) * v, y + 2 * (1 - blue_share) * u
    green = (y - red_share * red - blue_share * blue) / green_share
    return np.clip(np.stack([red, green, blue], -1), 0, 1)


def sound_packets(path: Path) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        packets = [
            p
            for p in container.demux(*container.streams.audio)
            if p.size and p.stream.type == "audio"
        ]
        return [(p.pts * p.time_base, bytes(p)) for p in packets]


def colorized(folder: Path, source: Path, name: str = "out.mp4", **options) -> Path:
    options = {"segment_seconds": 0.5, **options}
    return colorize_video(options.pop("colorizer", Stub()), source, folder / name, **options)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_film(tmp_path / "film.mp4", gray_frames(40))


@pytest.fixture(autouse=True)
def no_unexpected_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


# What is kept ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "output", "options"),
    [
        ("film.mp4", "out.mp4", {}),
        ("film.mp4", "out.mov", {}),
        ("film.mov", "out.mov", {"audio": "pcm_s16le"}),
        ("film.mkv", "out.mkv", {"audio": "libmp3lame"}),
        ("film.mkv", "out.mp4", {"audio": "ac3"}),
        ("film.webm", "out.webm", {"codec": "libvpx-vp9", "audio": "libopus"}),
        ("film.avi", "out.mkv", {"codec": "mpeg4", "audio": "libmp3lame", **EVEN}),
        ("film.mp4", "out.mp4", {"audio": None}),
    ],
)
def test_times_and_sound_are_kept(tmp_path: Path, source: str, output: str, options: dict):
    options = {"times": uneven_times(36), **options}
    path = write_film(tmp_path / source, gray_frames(36), **options)
    result = colorized(tmp_path, path, output)
    before, after = decode(path), decode(result)
    assert len(after) == len(before)
    # Matroska stores milliseconds.
    tolerance = Fraction(1, 1000) if output.endswith(("mkv", "webm")) else 0
    pairs = list(zip(seconds(before), seconds(after), strict=True))
    assert all(abs(b - a) <= tolerance for b, a in pairs), pairs
    assert after[-1].duration * after[-1].time_base > 0
    if options.get("audio", "aac"):
        heard, kept = sound_packets(path), sound_packets(result)
        assert [data for _, data in kept] == [data for _, data in heard]  # not encoded again
        assert all(abs(k - h) <= tolerance for (h, _), (k, _) in zip(heard, kept, strict=True))


def test_a_raw_dv_film_keeps_its_rate(tmp_path: Path):
    """FFmpeg says that such a film has 60,000 frames per second."""
    options = {"codec": "dvvideo", "audio": "pcm_s16le", "ticks": Fraction(1, 25)}
    source = write_film(tmp_path / "film.dv", np.full((5, 576, 720), 90, np.uint8), **options)
    with pytest.warns(UserWarning, match="interlaced"):
        result = colorized(tmp_path, source)
    with av.open(str(result)) as container:
        assert container.streams.video[0].average_rate == 25
    assert len(decode(result)) == 5


def test_sound_stays_in_step_where_times_are_moved(tmp_path: Path):
    # Matroska cannot hold the few milliseconds below zero with which AAC begins in MP4, and a
    # broadcast's clock does not begin at zero: all streams must move alike.
    source = write_film(tmp_path / "film.mp4", gray_frames(20))
    to_mkv = colorized(tmp_path, source, "out.mkv")
    broadcast = write_film(tmp_path / "film.ts", gray_frames(20))
    from_ts = colorized(tmp_path, broadcast, "ts.mp4")
    for before, after in ((source, to_mkv), (broadcast, from_ts)):
        offsets = [seconds(decode(path))[0] - sound_packets(path)[0][0] for path in (before, after)]
        assert offsets[0] == pytest.approx(offsets[1], abs=2e-3)
    assert sound_packets(from_ts)[0][0] <= 0


def test_rotation_aspect_tags_and_titles_are_kept(tmp_path: Path):
    for turned in ((90.0, False), (180.0, False), (90.0, True)):
        source = write_film(
            tmp_path / "film.mp4", gray_frames(6), turned=turned, aspect=Fraction(16, 11)
        )
        stub = Stub()
        result = colorized(tmp_path, source, overwrite=True, colorizer=stub)
        with av.open(str(source)) as old, av.open(str(result)) as new:
            assert new.metadata["title"] == "A test"
            assert new.streams.audio[0].language == "fra"
            first, streams = next(old.decode(video=0)), (old.streams.video[0], new.streams.video[0])
            colored = next(new.decode(video=0))
            assert (
                streams[1].sample_aspect_ratio == streams[0].sample_aspect_ratio == Fraction(16, 11)
            )
        assert colored.rotation == first.rotation and abs(first.rotation) == turned[0]
        assert [bytes(d) for d in colored.side_data if "DISPLAY" in str(d.type)] == [
            bytes(d) for d in first.side_data if "DISPLAY" in str(d.type)
        ]
        # The network sees the picture upright: a quarter turn makes it 96 rows high.
        assert stub.seen[-1][1:3] == ((96, 64) if turned[0] == 90 else (64, 96))


def test_colors_of_a_turned_film_lie_where_they_belong(tmp_path: Path):
    class Upright(Stub):
        """Red above, green below, in the upright picture."""

        def predict_chroma(self, lightness, *, render_size=None):
            chroma = np.zeros((len(lightness), 16, 16, 2), np.float32)
            chroma[:, :8, :, 0], chroma[:, 8:, :, 0] = 0.3, -0.3
            return chroma

    frames = np.full((4, 64, 96), 128, np.uint8)
    source = write_film(tmp_path / "film.mp4", frames, turned=(90.0, False))
    frame = decode(colorized(tmp_path, source, colorizer=Upright()))[0]
    a = rgb2lab(textbook_rgb(frame, SMPTE170M, LIMITED))[..., 1]
    shown = np.rot90(a, frame.rotation // 90)  # as a player turns it: counterclockwise
    assert shown[:24].min() > 20 and shown[-24:].max() < -20


class Soft(Stub):
    """Colors without edges, so that halving their resolution (4:2:0) mixes nothing."""

    def predict_chroma(self, lightness, *, render_size=None):
        rise = np.linspace(-0.15, 0.15, 24)
        chroma = np.stack(np.meshgrid(rise, rise), -1)
        return np.repeat(chroma[None], len(lightness), 0).astype(np.float32)

    def apply_chroma(self, images, chroma, strength: float = 1.0, *, lightness):
        return super().apply_chroma(images, chroma, strength, lightness=0 * lightness)


@pytest.mark.parametrize("color_range", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", [BT709, SMPTE170M])
def test_luminance_stays_the_inputs(
    tmp_path: Path, matrix: int, color_range: int, monkeypatch: pytest.MonkeyPatch
):
    frames = np.clip(gray_frames(6), 90, 190)  # where sRGB has these colors
    source = write_film(tmp_path / "film.mp4", frames, matrix=matrix, color_range=color_range)
    for pixels, worst in (("yuv444p", 0.8), ("yuv420p", 2.5)):  # 4:2:0 mixes neighbors
        monkeypatch.setattr(writing, "_pixel_format", lambda *_, pixels=pixels: pixels)
        result = decode(colorized(tmp_path, source, f"{pixels}.mp4", crf=0, colorizer=Soft()))
        assert (result[0].colorspace, result[0].color_range) == (matrix, color_range)
        for before, after in zip(decode(source), result, strict=True):
            gray, color = (rgb2lab(textbook_rgb(f, matrix, color_range)) for f in (before, after))
            error = np.abs(color[..., 0] - gray[..., 0])
            assert error.mean() < 0.25 and error.max() < worst  # one 8-bit level is 0.4 of L
            assert np.abs(color[..., 1:]).mean() > 8  # it is colored at all
    # The other matrix would give other luminance: this test can fail.
    wrong = rgb2lab(textbook_rgb(after, BT709 + SMPTE170M - matrix, color_range))
    assert np.abs(wrong[..., 0] - gray[..., 0]).mean() > 0.5


def test_an_untagged_film_is_interpreted_as_players_do(tmp_path: Path):
    source = write_film(tmp_path / "film.mp4", gray_frames(4), matrix=2, color_range=0)
    assert decode(source)[0].colorspace == 2
    assert decode(colorized(tmp_path, source))[0].colorspace == SMPTE170M


def test_ten_bits_are_kept(tmp_path: Path):
    ramp = np.tile(np.linspace(100, 110, 96).astype(np.uint8), (4, 64, 1))
    source = write_film(tmp_path / "film.mkv", ramp, pixels="yuv420p10le")
    # Steps finer than 8 bits: written to the luma directly.
    fine = tmp_path / "fine.mkv"
    luma = np.tile(np.arange(400, 496, dtype=np.uint16), (64, 1))
    with av.open(str(source)) as old, av.open(str(fine), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "0"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p10le"
        for frame in old.decode(video=0):
            stride = frame.planes[0].line_size // 2
            padded = np.pad(luma, ((0, 0), (0, stride - 96)))
            frame.planes[0].update(padded.tobytes())
            frame.pts = None
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    after = decode(colorized(tmp_path, fine, strength=0.0, crf=0))
    assert after[0].format.name == "yuv420p10le"
    assert np.abs(planes(after[0])[0] - luma).max() <= 1
    with pytest.warns(UserWarning, match="more than 8 bits"):
        webm = colorized(tmp_path, fine, "out.webm")
    assert decode(webm)[0].format.name == "yuv420p"


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "options", "warning"),
    [
        ("gray.mkv", "ffv1", "gray", {}, None),
        ("rgb.mkv", "libx264rgb", "rgb24", {}, None),
        ("bgr.avi", "rawvideo", "bgr24", {}, None),
        ("full.mkv", "ffv1", "yuv444p", {}, None),
        ("alpha.mkv", "ffv1", "yuva420p", {}, "transparency"),
        ("fields.mp4", "libx264", "yuv420p", {"x264-params": "tff=1"}, "interlaced"),
    ],
)
def test_sample_formats(tmp_path: Path, name: str, codec: str, pixels: str, options, warning):
    frames = gray_frames(5)
    color_range = FULL if pixels in ("gray", "rgb24", "bgr24") else LIMITED
    source = write_film(
        tmp_path / name, frames, codec=codec, pixels=pixels, options=options, audio=None,
        color_range=color_range, matrix=0 if pixels in ("rgb24", "bgr24") else SMPTE170M,
        ticks=Fraction(1, 25),
    )  # fmt: skip
    expected = pytest.warns(UserWarning, match=warning) if warning else contextlib.nullcontext()
    with expected:
        result = decode(colorized(tmp_path, source, strength=0.0, crf=0))
    for gray, frame in zip(frames, result, strict=True):
        assert frame.format.name == ("yuvj420p" if pixels == "gray" else "yuv420p")
        shown = textbook_rgb(frame, SMPTE170M, frame.color_range) * 255
        assert np.abs(shown - gray[..., None]).max() < 2


def test_odd_sides(tmp_path: Path):
    frames = gray_frames(4, 65, 97)
    source = write_film(tmp_path / "film.mkv", frames, codec="ffv1", audio=None)
    even = decode(colorized(tmp_path, source, strength=0.0, crf=0))[0]
    assert (even.width, even.height) == (98, 66)
    gray = textbook_rgb(even, SMPTE170M, LIMITED)[..., 0] * 255
    assert np.abs(gray[:65, :97] - frames[0]).max() < 2
    assert (gray[65] == gray[64]).all() and (gray[:, 97] == gray[:, 96]).all()
    odd = decode(colorized(tmp_path, source, "out.webm"))[0]
    assert (odd.width, odd.height) == (97, 65)


def test_frames_of_another_size_are_scaled_to_the_first(tmp_path: Path):
    # As when a broadcast switches between formats: two streams, one after the other.
    parts = [
        write_film(tmp_path / f"{w}.ts", gray_frames(10, 64, w), audio=None) for w in (96, 112)
    ]
    joined = tmp_path / "film.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    sizes = [(frame.width, frame.height) for frame in decode(joined)]
    assert set(sizes) == {(96, 64), (112, 64)}
    after = decode(colorized(tmp_path, joined))
    assert {(frame.width, frame.height) for frame in after} == {(96, 64)}
    assert len(after) == len(sizes)
    assert (np.diff(seconds(after)) > 0).all()


def test_subtitles_and_chapters_are_copied_or_refused_by_mp4(tmp_path: Path):
    text = "1\n00:00:00,000 --> 00:00:00,600\nBonjour\n\n2\n00:00:00,700 --> 00:00:01,200\nSalut\n"
    (tmp_path / "lines.srt").write_text(text, encoding="utf-8")
    plain = write_film(tmp_path / "plain.mkv", gray_frames(30), audio="libmp3lame")
    source = tmp_path / "film.mkv"
    with (
        av.open(str(plain)) as pictures,
        av.open(str(tmp_path / "lines.srt")) as lines,
        av.open(str(source), "w") as container,
    ):
        container.set_chapters(
            [{"id": 1, "start": 0, "end": 500, "time_base": Fraction(1, 1000), "metadata": {}}]
        )
        inputs = [pictures.streams.video[0], lines.streams.subtitles[0]]
        copies = [container.add_stream_from_template(s, opaque=True) for s in inputs]
        for file, stream, copy in zip((pictures, lines), inputs, copies, strict=True):
            for packet in file.demux(stream):
                if packet.size:
                    packet.stream = copy
                    container.mux(packet)
    result = colorized(tmp_path, source, "out.mkv")
    with av.open(str(result)) as container:
        assert len(container.chapters()) == 1
        said = [bytes(p) for p in container.demux(subtitles=0) if p.size]
    assert said == [b"Bonjour", b"Salut"]
    with pytest.raises(VideoError, match=r"\.mp4 file cannot hold.*film\.mkv.*\.mkv output"):
        colorized(tmp_path, source, "out.mp4")
    with pytest.raises(VideoError, match=r"\.webm file cannot hold.*\.mkv output"):
        colorized(tmp_path, plain, "out.webm")  # MP3
    assert hidden(tmp_path) == []


# Flicker --------------------------------------------------------------------------------------


def test_smoothing_is_an_exponential_average_where_nothing_moves():
    lightness = np.full((4, 4, 1), 50, np.float32)
    smoother, values = ChromaSmoother(0.8), [0.5, 0.0, 0.25, 0.25]
    expected, results = None, []
    for i, value in enumerate(values):
        expected = value if expected is None else 0.8 * expected + 0.2 * value
        results.append(smoother(np.full((4, 4, 2), value, np.float32), lightness, i / 25))
        np.testing.assert_allclose(results[-1], expected, rtol=1e-5)
    none = ChromaSmoother(0.0)
    for i, value in enumerate(values):
        assert (none(np.full((4, 4, 2), value, np.float32), lightness, i / 25) == value).all()


def test_smoothing_keeps_as_much_in_the_same_time_at_any_rate():
    lightness, results = np.full((4, 4, 1), 50, np.float32), []
    for rate in (25, 50, 100):
        smoother = ChromaSmoother(0.8)
        for i in range(rate + 1):
            chroma = np.full((4, 4, 2), 0.5 if i == 0 else 0.0, np.float32)
            result = smoother(chroma, lightness, i / rate)
        results.append(float(result.mean()))
    np.testing.assert_allclose(results, 0.5 * 0.8**25, rtol=1e-3)


def test_what_moves_leaves_no_ghost():
    smoother = ChromaSmoother(0.9)
    for i in range(12):  # a red, bright square moves over a blue, dark ground
        lightness = np.full((16, 16, 1), 30, np.float32)
        chroma = np.full((16, 16, 2), -0.3, np.float32)
        lightness[4:8, i : i + 4], chroma[4:8, i : i + 4] = 80, 0.3
        result = smoother(chroma, lightness, i / 25)
        np.testing.assert_allclose(result, chroma, atol=0.01)


def test_a_cut_is_followed_at_once_and_flickering_exposure_is_no_cut():
    scenes = [gray_photograph(n, 64, 96)[:, :96, None] / 2.55 for n in ("coffee", "astronaut")]
    assert is_cut(*scenes)
    assert not is_cut(scenes[0], scenes[0] + 5)
    assert not is_cut(*np.random.default_rng(0).normal(5, 1, (2, 64, 96, 1)))  # black frames
    smoother, before = ChromaSmoother(0.9), None
    for i in range(10):
        scene, exposure = scenes[i // 5].astype(np.float32), np.float32(4 * (-1) ** i)
        chroma = np.full((64, 96, 2), 0.2 * (-1) ** i, np.float32)
        result = smoother(chroma, scene + exposure, i / 25)
        if i % 5 == 0:
            np.testing.assert_array_equal(result, chroma)
        else:  # smoothed although the exposure flickers
            assert np.abs(result - before).max() < 0.05
        before = result


def test_a_film_flickers_less_and_follows_its_cut(tmp_path: Path):
    frames = gray_frames(30, noise=6)
    frames[:15], frames[15:] = frames[0], frames[15]  # two still scenes; only the noise changes
    random = np.random.default_rng(1)
    noisy = np.clip(frames + random.normal(0, 6, frames.shape), 0, 255).astype(np.uint8)
    source = write_film(tmp_path / "film.mp4", noisy, audio=None)
    labs = {}
    for smoothing in (0.0, 0.8):
        result = colorized(tmp_path, source, smoothing=smoothing, crf=0, overwrite=True)
        labs[smoothing] = np.stack(
            [rgb2lab(textbook_rgb(f, SMPTE170M, LIMITED))[::4, ::4] for f in decode(result)]
        )
    flicker = {s: np.abs(np.diff(lab[:15, ..., 1:], axis=0)).mean() for s, lab in labs.items()}
    assert flicker[0.8] < 0.4 * flicker[0.0]
    np.testing.assert_allclose(labs[0.8][15], labs[0.0][15], atol=0.5)  # the first after the cut


# Interruptions --------------------------------------------------------------------------------


class Interrupted(Exception):
    pass


def interrupt_at(limit: int):
    def progress(done: int, total: int | None) -> None:
        if done >= limit:
            raise Interrupted

    return progress


def hidden(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.glob(".*"))


def same_film(one: Path, other: Path) -> bool:
    pairs = list(zip(decode(one), decode(other), strict=True))
    return all(
        a.pts == b.pts and (a.to_ndarray() == b.to_ndarray()).all() for a, b in pairs
    ) and sound_packets(one) == sound_packets(other)


def test_an_interrupted_film_resumes_to_the_same_frames(tmp_path: Path):
    source = write_film(tmp_path / "film.mp4", gray_frames(40), uneven_times(40))
    whole = colorized(tmp_path, source, "whole.mp4")
    assert hidden(tmp_path) == []
    for limit in (1, 14, 20, 33):
        with pytest.raises(Interrupted):
            colorized(tmp_path, source, progress=interrupt_at(limit))
        assert not (tmp_path / "out.mp4").exists()
    assert hidden(tmp_path) == [".out.mp4.segments"]
    calls = []
    result = colorized(tmp_path, source, progress=lambda *counts: calls.append(counts))
    assert calls[0][0] == 32  # what was done is not done again
    assert calls[-1] == (40, 40)
    assert same_film(whole, result)
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("name", ["state.npz", "video.nut"])
def test_a_damaged_segment_is_colorized_again(tmp_path: Path, film: Path, name: str):
    with pytest.raises(Interrupted):
        colorized(tmp_path, film, progress=interrupt_at(39))
    damaged = tmp_path / ".out.mp4.segments" / "00001" / name
    os.truncate(damaged, damaged.stat().st_size // 2)
    calls = []
    result = colorized(tmp_path, film, progress=lambda *counts: calls.append(counts))
    assert calls[0] == (16, 40)  # the first segment is kept
    assert same_film(result, colorized(tmp_path, film, "whole.mp4"))


@pytest.mark.parametrize("what", ["smoothing", "source", "model"])
def test_another_setting_source_or_model_starts_over(tmp_path: Path, film: Path, what: str):
    with pytest.raises(Interrupted):
        colorized(tmp_path, film, progress=interrupt_at(20))
    options: dict = {}
    if what == "smoothing":
        options["smoothing"] = 0.5
    elif what == "source":
        os.utime(film, (1, 1))
    else:
        options["colorizer"] = Stub(-1.0)
    with pytest.warns(UserWarning, match="starting over"):
        result = colorized(tmp_path, film, **options)
    assert same_film(result, colorized(tmp_path, film, "whole.mp4", **options))


SCRIPT = """
import sys, time
from test_video import Stub, colorized
from pathlib import Path
folder, source = map(Path, sys.argv[1:])
colorized(folder, source, progress=lambda done, total: (print(done, flush=True), time.sleep(0.1)))
"""


def test_a_killed_film_resumes_to_the_same_frames(tmp_path: Path, film: Path):
    process = python_process(SCRIPT, tmp_path, film)
    for line in process.stdout:
        if int(line) >= 32:
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "out.mp4").exists()
    calls = []
    result = colorized(tmp_path, film, progress=lambda *counts: calls.append(counts))
    assert calls[0][0] >= 16
    assert same_film(result, colorized(tmp_path, film, "whole.mp4"))
    assert hidden(tmp_path) == []


# What a user can put right --------------------------------------------------------------------


def test_unusable_sources(tmp_path: Path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    sound = tmp_path / "sound.wav"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        block = av.AudioFrame.from_ndarray(np.zeros((1, 2000), np.int16), "s16", "stereo")
        block.sample_rate = 8000
        container.mux(stream.encode(block))
    film = write_film(tmp_path / "film.mp4", gray_frames(10))
    (tmp_path / "cut.mp4").write_bytes(film.read_bytes()[:2000])  # before its index
    for name, message in {
        "missing.mp4": "does not exist",
        "empty.mp4": "not a readable video",
        "noise.mp4": "not a readable video",
        "sound.wav": "no video stream",
        "cut.mp4": "not a readable video, or is truncated",
        ".": "is not a file",
    }.items():
        with pytest.raises(VideoError, match=message):
            colorized(tmp_path, tmp_path / name)
    assert hidden(tmp_path) == []


def count_frames(film: Path) -> int:
    with contextlib.closing(reading.VideoSource(film)) as source:
        return len(list(source.frames()))


@pytest.mark.parametrize("audio", ["aac", None])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_film_that_starts_late_is_not_called_truncated(tmp_path: Path, suffix, audio):
    times = [64_000 + 512 * i for i in range(25)]  # from 5 s on, for 1 s
    film = write_film(tmp_path / f"late{suffix}", gray_frames(25), times, audio=audio)
    assert count_frames(film) == 25  # and no warning


def test_a_cut_off_film_is_read_as_far_as_it_goes(tmp_path: Path):
    whole = write_film(tmp_path / "whole.mkv", gray_frames(40)).read_bytes()
    (tmp_path / "film.mkv").write_bytes(whole[: len(whole) // 2])
    with pytest.warns(UserWarning, match="truncated|damaged"):
        assert 5 < count_frames(tmp_path / "film.mkv") < 40


def test_damage_in_the_middle_of_a_film_is_counted(tmp_path: Path):
    film = write_film(tmp_path / "film.mp4", gray_frames(75), audio=None, options={"g": "10"})
    with av.open(str(film)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    content = bytearray(film.read_bytes())
    for packet in packets[40:50]:
        content[packet.pos + 8 : packet.pos + packet.size] = b"\xff" * (packet.size - 8)
    film.write_bytes(content)
    with pytest.warns(UserWarning, match=r"is damaged: \d+ video packets were skipped and \d+"):
        count_frames(film)


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts"])
def test_damaged_films_are_named_or_colorized_as_far_as_they_go(tmp_path: Path, suffix: str):
    whole = write_film(tmp_path / f"whole.{suffix}", gray_frames(20)).read_bytes()
    film = tmp_path / f"film.{suffix}"
    for seed in range(4):
        random = np.random.default_rng(seed)
        data = np.frombuffer(whole, np.uint8).copy()
        data[random.integers(0, len(data), 40)] = random.integers(0, 256, 40)
        film.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                assert decode(colorized(tmp_path, film, overwrite=True))
            except VideoError as error:
                assert film.name in str(error)


def test_outputs_in_the_way(tmp_path: Path, film: Path):
    before = film.read_bytes()
    with pytest.raises(VideoError, match="is the input itself"):
        colorized(tmp_path, film, "film.mp4", overwrite=True)
    (tmp_path / "out.mp4").write_bytes(b"mine")
    with pytest.raises(VideoError, match="--overwrite"):
        colorized(tmp_path, film)
    assert (tmp_path / "out.mp4").read_bytes() == b"mine"
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(VideoError, match="is not a file"):
        colorized(tmp_path, film, "folder.mp4", overwrite=True)
    with pytest.raises(VideoError, match=r"\.mp4"):
        colorized(tmp_path, film, "out.gif")
    assert ".mp4" in OUTPUT_EXTENSIONS
    assert film.read_bytes() == before
    colorized(tmp_path, film, overwrite=True)
    assert len(decode(tmp_path / "out.mp4")) == 40
    assert film.read_bytes() == before


def test_a_full_disk_keeps_the_finished_segments(tmp_path: Path):
    film = write_film(tmp_path / "film.mp4", gray_frames(40, noise=0), audio=None)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_the_disk(done: int, total: int | None) -> None:
        if done > 16:  # the first segment is finished
            resource.setrlimit(resource.RLIMIT_FSIZE, (6000, hard))

    try:  # a limit of file size refuses to write just as a full disk does
        with pytest.raises(VideoError, match="File too large.*to resume"):
            colorized(tmp_path, film, progress=fill_the_disk)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "out.mp4").exists()
    result = colorized(tmp_path, film)
    assert same_film(result, colorized(tmp_path, film, "whole.mp4"))


def test_two_processes_do_not_share_a_film(tmp_path: Path, film: Path):
    from filelock import FileLock

    (tmp_path / ".out.mp4.segments").mkdir()
    lock = FileLock(tmp_path / ".out.mp4.segments" / "lock")
    with lock, pytest.raises(VideoError, match="Another process is"):
        colorized(tmp_path, film)
    colorized(tmp_path, film)


def test_without_pyav_the_message_says_how_to_get_it(tmp_path: Path, film: Path):
    code, output, _ = run_python(
        "import sys; sys.modules['av'] = None\n"
        "import pix2pix_color.apps.video as video, pix2pix_color.errors as errors\n"
        "assert 'tensorflow' not in sys.modules\n"
        "try: video.colorize_video(None, sys.argv[1], 'out.mp4')\n"
        "except errors.VideoError as error: print(error)",
        film,
    )
    assert code == 0 and "pip install 'pix2pix_color[video]'" in output
