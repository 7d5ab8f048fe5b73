"""What the web page does, without a server: photographs, limits, errors, bad files."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import run_python
from mutations import mutated_files
from PIL import Image

from pix2pix_color.apps.web import demo, photographs
from pix2pix_color.apps.web.photographs import PREVIEW_SIZE, colorize_photograph
from pix2pix_color.errors import DemoError, PhotographError
from pix2pix_color.hints import Hints


@pytest.fixture
def sent(tmp_path) -> Path:
    (tmp_path / "sent").mkdir()
    return tmp_path / "sent"


@pytest.fixture
def made(tmp_path) -> Path:
    (tmp_path / "made").mkdir()
    return tmp_path / "made"


@pytest.fixture
def colorize(tiny_colorizer, made):
    def colorize(source: Path, max_pixels: int = 10_000_000, **settings: float):
        return colorize_photograph(source, tiny_colorizer, made, max_pixels, **settings)

    return colorize


def save(path: Path, size=(50, 40), mode="RGB", **options) -> Path:
    """Saves a smooth picture."""
    coarse = np.random.default_rng(0).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size).convert(mode).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".bmp"])
def test_the_result_equals_that_of_colorize_file(colorize, tiny_colorizer, sent, tmp_path, suffix):
    source = save(sent / f"photo{suffix}")
    before = source.read_bytes()
    settings = {"strength": 1.5, "render_size": 64}
    path, (gray, colored), text = colorize(source, **settings)
    assert path.name == f"photo-color{suffix}"
    assert text == f"photo-color{suffix}, 50 x 40 pixels."
    expected = tiny_colorizer.colorize_file(source, tmp_path / f"expected{suffix}", **settings)
    assert path.read_bytes() == expected.read_bytes()
    assert {item: item.read_bytes() for item in sent.iterdir()} == {source: before}
    if suffix == ".png":
        np.testing.assert_array_equal(colored, np.asarray(Image.open(path)))
        assert np.ptp(gray, axis=-1).max() <= 1
        _, (_, colorless), _ = colorize(source, strength=0.0)
        np.testing.assert_allclose(gray.astype(int), colorless.astype(int), atol=2)


def test_the_content_decides_the_format_and_a_gif_becomes_a_png(colorize, sent):
    save(sent / "photo.jpg").rename(sent / "photo.png")
    assert colorize(sent / "photo.png")[0].name == "photo-color.jpg"
    assert colorize(save(sent / "old.gif", mode="L"))[0].name == "old-color.png"


def test_previews_of_large_deep_and_transparent_photographs(colorize, sent):
    path, previews, text = colorize(save(sent / "wide.png", (3000, 100)))
    assert {preview.shape[1] for preview in previews} == {PREVIEW_SIZE}
    assert Image.open(path).size == (3000, 100)
    assert "3,000 x 100 pixels" in text

    deep = np.random.default_rng(0).integers(0, 65536, (30, 40), dtype=np.uint16)
    Image.fromarray(deep).save(sent / "deep.png")
    _, (gray, _), _ = colorize(sent / "deep.png")
    np.testing.assert_allclose(gray[..., 0].astype(int), deep >> 8, atol=2)

    picture = Image.open(save(sent / "photo.png")).convert("RGBA")
    picture.putalpha(Image.new("L", picture.size, 0))
    picture.save(sent / "clear.png", icc_profile=b"no profile")
    path, previews, text = colorize(sent / "clear.png")
    assert min(preview.min() for preview in previews) == 255  # nothing but white
    assert Image.open(path).mode == "RGBA"
    _, note = text.splitlines()
    assert note.startswith("clear.png: ")
    assert "ICC profile" in note
    assert str(sent) not in note


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_pixels": 1999}, r"^photo\.png .*50 x 40 pixels"),
        ({"strength": float("nan")}, "strength"),
        ({"strength": 1e9}, "strength"),
        ({"render_size": 33}, "multiple of 8"),
        ({"render_size": 32_000}, "multiple of 8"),
    ],
)
def test_what_is_over_a_limit_is_refused(colorize, sent, made, settings, message):
    source = save(sent / "photo.png")
    with pytest.raises(PhotographError, match=message):
        colorize(source, **settings)
    assert list(made.iterdir()) == []


def test_messages_name_the_file_but_not_its_folder(colorize, sent, made, monkeypatch):
    (sent / "empty.png").write_bytes(b"")
    (sent / "text.png").write_bytes(b"no image\n" * 100)
    cut = save(sent / "cut.png")
    cut.write_bytes(cut.read_bytes()[:40])
    for name in ("gone.png", "empty.png", "text.png", "cut.png"):
        with pytest.raises(PhotographError, match=rf"^{name} cannot be read") as error:
            colorize(sent / name)
        assert str(sent) not in str(error.value)
        assert "\n" not in str(error.value)
    source = save(sent / "photo.png")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(sent))
    for problem, message in ((full, "disk is full"), (MemoryError(), "the server's memory")):
        monkeypatch.setattr(photographs, "write_image_file", lambda *_, p=problem: _raise(p))
        with pytest.raises(PhotographError, match=message) as error:
            colorize(source)
        assert str(sent) not in str(error.value)
    assert list(made.iterdir()) == []


def _raise(error: Exception):
    raise error


def test_mutated_files_through_the_pages_own_function(tiny_export, sent, made):
    pytest.importorskip("gradio", reason="the extra [demo] is not installed")
    from pix2pix_color.apps.web.page import build_page

    page = build_page(tiny_export, made, max_megapixels=1)
    assert (page._queue.max_size, page._queue.default_concurrency_limit) == (20, 1)
    (handler,) = [f.fn for f in page.fns.values() if f.api_name == "colorize"]
    files = mutated_files(sent, 200, seed=5)
    hashes = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    previous, outcomes = [], {True: 0, False: 0}
    for path, whole in files.items():
        settings = (str(tiny_export), 1.0, 1.0, 0, (None, Hints()))
        pair, file, message, hints, previous = handler(str(path), *settings, previous)
        assert hints is None
        outcomes[pair is not None] += 1
        assert whole is None or whole == (pair is not None), (path, message)
        assert path.stem in message
        assert str(sent) not in message
        assert (file is not None) == (pair is not None)
        if file is not None:
            assert max(Image.open(file).size) == max(pair[1].shape)
    assert min(outcomes.values()) > 40
    assert len(list(made.rglob("*-color.*"))) <= 3  # a result goes when two others have come
    assert {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in files} == hashes


def test_without_gradio_the_way_to_install_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(DemoError, match=r'pip install "pix2pix_color\[demo\]"'):
        demo()


def test_an_unusable_address_is_reported_before_the_model_is_loaded(tmp_path):
    pytest.importorskip("gradio", reason="the extra [demo] is not installed")
    nothing = tmp_path / "nothing"  # would be the error if it were loaded first
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DemoError, match=f"127.0.0.1:{port}: Address already in use.* --port"):
            demo(port=port, model=nothing)
    with pytest.raises(DemoError, match="192.0.2.1:0: Cannot assign.* --host"):
        demo(host="192.0.2.1", port=0, model=nothing)


def test_importing_the_page_loads_neither_gradio_nor_tensorflow():
    script = (
        "import sys, pix2pix_color.apps.web; print({'gradio', 'tensorflow'} & set(sys.modules))"
    )
    code, output, errors = run_python(script, timeout=60)
    assert (code, output.strip()) == (0, "set()"), errors
