"""What the web page does, without a server: photographs, batches, limits, errors, bad files."""

from __future__ import annotations

import hashlib
import shutil
import socket
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import run_python
from PIL import Image

from pix2pix_color.apps.web import demo
from pix2pix_color.apps.web.photographs import (
    PREVIEW_SIZE,
    Limits,
    Models,
    Settings,
    colorize_batch,
    colorize_photograph,
)
from pix2pix_color.errors import DemoError, ModelError, PhotographError


@pytest.fixture(scope="module")
def models(tiny_export) -> Models:
    return Models(tiny_export)


@pytest.fixture
def sent(tmp_path) -> Path:
    (tmp_path / "sent").mkdir()
    return tmp_path / "sent"


@pytest.fixture
def made(tmp_path) -> Path:
    (tmp_path / "made").mkdir()
    return tmp_path / "made"


def save(path: Path, size=(50, 40), mode="RGB", seed=0, **options) -> Path:
    """Saves a smooth picture with a little noise."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (5, 5, len(mode)), dtype=np.uint8)
    picture = np.stack(
        [np.asarray(Image.fromarray(coarse[..., c]).resize(size)) for c in range(len(mode))], -1
    )
    Image.fromarray(picture[..., 0] if len(mode) == 1 else picture, mode).save(path, **options)
    return path


def colorize(models: Models, source: Path, made: Path, limits=Limits(), **changes):  # noqa: B008
    return colorize_photograph(source, Settings(models.default, **changes), models, limits, made)


# One photograph -------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".bmp"])
def test_the_result_equals_that_of_colorize_file(models, sent, made, suffix):
    source = save(sent / f"photo{suffix}")
    before = source.read_bytes()
    settings = {"strength": 1.5, "render_size": 64}
    for keep_format, ending in ((False, ".png"), (True, suffix)):
        result = colorize(models, source, made, keep_format=keep_format, **settings)
        assert result.path.name == f"photo-color{ending}"
        expected = made / f"expected{ending}"
        models[models.default].colorize_file(source, expected, overwrite=True, **settings)
        assert result.path.read_bytes() == expected.read_bytes()
        assert (result.size, result.render_size) == ((50, 40), 64)
    assert source.read_bytes() == before
    assert list(sent.iterdir()) == [source]


def test_the_content_decides_the_format_and_a_gif_becomes_a_png(models, sent, made):
    save(sent / "photo.jpg").rename(sent / "photo.png")
    result = colorize(models, sent / "photo.png", made, keep_format=True)
    assert result.path.name == "photo-color.jpg"
    save(sent / "old.gif", mode="L")
    assert colorize(models, sent / "old.gif", made, keep_format=True).path.suffix == ".png"


def test_previews_show_the_input_its_gray_and_the_colors(models, sent, made):
    source = save(sent / "photo.png")
    result = colorize(models, source, made)
    pixels = np.asarray(Image.open(source))
    np.testing.assert_array_equal(result.original, pixels)
    np.testing.assert_array_equal(result.colored, np.asarray(Image.open(result.path)))
    assert np.ptp(result.gray, axis=-1).max() <= 1
    # The gray is what no strength leaves.
    colorless = colorize(models, source, made, strength=0.0)
    np.testing.assert_allclose(result.gray.astype(int), colorless.colored.astype(int), atol=1)
    assert np.abs(result.colored.astype(int) - result.gray).max() > 5


def test_previews_of_large_deep_and_transparent_photographs(models, sent, made):
    large = colorize(models, save(sent / "wide.png", (3000, 100)), made)
    assert large.colored.shape == large.original.shape == large.gray.shape
    assert max(large.colored.shape) == PREVIEW_SIZE
    assert Image.open(large.path).size == large.size == (3000, 100)

    deep = np.random.default_rng(0).integers(0, 65536, (30, 40), dtype=np.uint16)
    Image.fromarray(deep).save(sent / "deep.png")
    result = colorize(models, sent / "deep.png", made)
    assert result.original.shape == (30, 40, 3)
    np.testing.assert_array_equal(result.original[..., 0], deep >> 8)

    picture = Image.open(save(sent / "photo.png")).convert("RGBA")
    picture.putalpha(Image.new("L", picture.size, 0))
    picture.save(sent / "clear.png")
    clear = colorize(models, sent / "clear.png", made)
    for preview in (clear.original, clear.gray, clear.colored):
        assert preview.min() == 255  # nothing but the page behind it
    assert Image.open(clear.path).mode == "RGBA"


def test_notes_name_what_could_not_be_used(models, sent, made):
    clear = Image.new("RGBA", (40, 40), (90, 90, 90, 0))
    clear.save(sent / "clear.png")
    assert colorize(models, sent / "clear.png", made).notes == []
    clear.save(sent / "profile.png", icc_profile=b"no profile")
    (note,) = colorize(models, sent / "profile.png", made).notes
    assert note.startswith("profile.png: ")
    assert "ICC profile" in note
    assert str(sent) not in note
    batch = colorize_batch([sent / "profile.png"], Settings(models.default), models, Limits(), made)
    assert batch.notes == [note]


# Limits and errors ----------------------------------------------------------------------------


def test_files_over_a_limit_are_refused(models, sent, made):
    source = save(sent / "photo.png", (1500, 1000))
    assert colorize(models, source, made, Limits(megapixels=2)).size == (1500, 1000)
    with pytest.raises(PhotographError, match=r"^photo\.png .*1500 x 1000 pixels"):
        colorize(models, source, made, Limits(megapixels=1))
    source.write_bytes(source.read_bytes() + bytes(1_000_000))
    with pytest.raises(PhotographError, match=r"^photo\.png is larger than 1 MB\.$"):
        colorize(models, source, made, Limits(megabytes=1))


@pytest.mark.parametrize("field", ["megabytes", "megapixels", "files", "queue"])
@pytest.mark.parametrize("value", [0, -1, 2.5])
def test_a_limit_is_a_positive_number(field, value):
    with pytest.raises(DemoError, match=field):
        Limits(**{field: value})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strength": -0.1}, "strength"),
        ({"strength": float("nan")}, "strength"),
        ({"strength": 1e9}, "strength"),
        ({"render_size": 33}, "multiple of 8"),
        ({"render_size": -32}, "multiple of 8"),
        ({"render_size": 32_000}, "multiple of 8"),
    ],
)
def test_settings_out_of_range_are_refused(models, sent, made, changes, message):
    source = save(sent / "photo.png")
    with pytest.raises(PhotographError, match=message):
        colorize(models, source, made, **changes)
    assert list(made.iterdir()) == []


def test_a_model_is_one_of_those_offered_and_never_a_path(models, sent, made):
    source, other = save(sent / "photo.png"), sent / "other"
    shutil.copytree(models.default, other)
    settings = Settings(str(other))
    with pytest.raises(PhotographError, match="no model named"):
        colorize_photograph(source, settings, models, Limits(), made)
    with pytest.raises(PhotographError, match="no model named"):
        colorize_batch([source], settings, models, Limits(), made)


def test_a_wrong_default_model_fails_at_once(tmp_path):
    with pytest.raises(ModelError, match="no model named or at"):
        Models(tmp_path / "nothing")


def test_messages_name_the_file_but_not_its_folder(models, sent, made):
    with pytest.raises(PhotographError, match=r"^gone\.png is no longer there"):
        colorize(models, sent / "gone.png", made)
    (sent / "empty.png").write_bytes(b"")
    (sent / "text.png").write_bytes(b"no image\n" * 100)
    cut = save(sent / "cut.png")
    cut.write_bytes(cut.read_bytes()[:40])
    for name in ("empty.png", "text.png", "cut.png"):
        with pytest.raises(PhotographError, match=rf"^{name} cannot be read") as error:
            colorize(models, sent / name, made)
        assert str(sent) not in str(error.value)
        assert "\n" not in str(error.value)
    assert list(made.iterdir()) == []


# Batches --------------------------------------------------------------------------------------


def test_a_batch_is_the_single_results_in_a_zip(models, sent, made):
    sources = [save(sent / "one.png", seed=1), save(sent / "two.jpg", seed=2)]
    seen = []
    settings = Settings(models.default, strength=0.7, keep_format=True)
    batch = colorize_batch(
        sources, settings, models, Limits(), made, lambda *state: seen.append(state)
    )
    assert batch.names == ["one-color.png", "two-color.jpg"]
    assert batch.failures == []
    assert seen == [(0, 2, "one.png"), (1, 2, "two.jpg")]
    with zipfile.ZipFile(batch.path) as archive:
        assert archive.namelist() == batch.names
        for source, name in zip(sources, batch.names, strict=True):
            single = colorize_photograph(source, settings, models, Limits(), made)
            assert archive.read(name) == single.path.read_bytes()
    assert list(batch.path.parent.iterdir()) == [batch.path]


def test_names_that_would_be_one_file_are_made_distinct(models, sent, made):
    (sent / "a").mkdir()
    (sent / "b").mkdir()
    sources = [
        save(sent / "a" / "photo.png", (40, 40)),
        save(sent / "b" / "photo.png", (41, 40)),
        save(sent / "PHOTO.jpg", (42, 40)),
        save(sent / "photo.bmp", (43, 40)),
    ]
    batch = colorize_batch(sources, Settings(models.default), models, Limits(), made)
    assert batch.names == [
        "photo-color.png",
        "photo-color (2).png",
        "PHOTO-color (3).png",
        "photo-color (4).png",
    ]
    with zipfile.ZipFile(batch.path) as archive:
        widths = [Image.open(archive.open(name)).width for name in batch.names]
    assert widths == [40, 41, 42, 43]


def test_a_batch_skips_bad_files_and_lists_them(models, sent, made):
    (sent / "bad.png").write_bytes(b"nothing")
    sources = [sent / "bad.png", save(sent / "good.png"), sent / "gone.png"]
    batch = colorize_batch(sources, Settings(models.default), models, Limits(), made)
    assert batch.names == ["good-color.png"]
    assert [text.split()[0] for text in batch.failures] == ["bad.png", "gone.png"]
    with zipfile.ZipFile(batch.path) as archive:
        assert archive.namelist() == ["good-color.png", "failures.txt"]
        lines = archive.read("failures.txt").decode().splitlines()
    assert lines == batch.failures
    assert str(sent) not in "".join(lines)


def test_a_batch_of_none_too_many_or_only_bad_files_is_refused(models, sent, made):
    source, settings = save(sent / "photo.png"), Settings(models.default)
    with pytest.raises(PhotographError, match="Choose some photographs"):
        colorize_batch([], settings, models, Limits(), made)
    with pytest.raises(PhotographError, match="4 files are too many: the limit is 3"):
        colorize_batch([source] * 4, settings, models, Limits(files=3), made)
    (sent / "bad.png").write_bytes(b"nothing")
    with pytest.raises(PhotographError, match=r"None .*\nbad\.png cannot"):
        colorize_batch([sent / "bad.png"], settings, models, Limits(), made)
    assert list(made.iterdir()) == []


# The page and its server ----------------------------------------------------------------------


def test_mutated_files_through_the_pages_own_function(models, sent, made, monkeypatch):
    gradio = pytest.importorskip("gradio", reason="the extra [demo] is not installed")
    resource = pytest.importorskip("resource", reason="no memory figures on this system")
    from mutations import mutated_files

    from pix2pix_color.apps.web import page

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(made))
    monkeypatch.setattr(page, "_REPLACED_SECONDS", 0)
    blocks = page.build_page(models, Limits(megapixels=1), made)
    (handler,) = [f.fn for f in blocks.fns.values() if f.api_name == "colorize"]
    files = mutated_files(sent, 600, seed=5)
    hashes = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    previous, outcomes = [], {True: 0, False: 0}
    for path, whole in files.items():
        answers = handler(str(path), models.default, 1.0, 1.0, 0, False, "Gray", previous)
        pair, file, message, previous = next(answers)
        outcomes[pair is not None] += 1
        assert whole is None or whole == (pair is not None), (path, message)
        if pair is not None:
            assert list(answers) == []
            assert previous == [file]
            assert Image.open(file).size == tuple(reversed(pair[1].shape[:2]))
            continue
        assert path.name in message
        assert str(sent) not in message
        assert file is None
        with pytest.raises(gradio.Error, match=path.name):
            next(answers)
    assert min(outcomes.values()) > 120
    # Each result goes when the next one comes.
    assert len([p for p in made.rglob("*-color.png")]) <= 1
    assert {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in files} == hashes
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert kilobytes < 300_000 * (1024 if sys.platform == "darwin" else 1)


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
    with pytest.raises(DemoError, match="70000: .*0-65535.* --port"):
        demo(port=70_000, model=nothing)
    with pytest.raises(DemoError, match="192.0.2.1:0: Cannot assign.* --host"):
        demo(host="192.0.2.1", port=0, model=nothing)


def test_importing_the_page_loads_neither_gradio_nor_tensorflow():
    script = (
        "import sys, pix2pix_color.apps.web; print({'gradio', 'tensorflow'} & set(sys.modules))"
    )
    code, output, errors = run_python(script, timeout=60)
    assert (code, output.strip()) == (0, "set()"), errors
