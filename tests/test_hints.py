"""Color hints and reference images: from a click or a command to the network, and every mistake."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from PIL import Image

from pix2pix_color import color, metrics
from pix2pix_color.apps import cli
from pix2pix_color.colorizer import Colorizer
from pix2pix_color.config import CHROMA_STRIDE, PALETTE
from pix2pix_color.errors import ColorizerError
from pix2pix_color.export import saved_model
from pix2pix_color.hints import GuidedNetwork, Hints, hint_grid, palette_of
from pix2pix_color.image_files import read_image_file

BLUE, RED = "#2040c0", "#c02020"


def chroma_of(text: str) -> np.ndarray:
    return color.split(np.uint8([list(bytes.fromhex(text[1:]))]))[1].numpy()[0]


def guided(colorizer: Colorizer) -> Colorizer:
    """A colorizer that paints hints where they are, and else follows the lightness or palette."""

    def encode(lightness):
        encode.calls += 1
        return [tf.concat([lightness, 100.0 - lightness], -1) / 400.0]

    def decode(lightness, maps, hints, palette):
        hints = tf.repeat(tf.repeat(hints, CHROMA_STRIDE, 1), CHROMA_STRIDE, 2)
        own = maps[0] + palette[:, None, None, 300:301]
        return hints[..., 2:] * hints[..., :2] + (1.0 - hints[..., 2:]) * own

    def predict(lightness):
        return tf.concat([lightness, 100.0 - lightness], -1) / 400.0

    encode.calls = 0
    made = copy.copy(colorizer)
    made._network, made.render_size = GuidedNetwork(predict, encode, decode), 64
    return made


@pytest.fixture(scope="module")
def photo(tiny_colorizer) -> Colorizer:
    return guided(tiny_colorizer)


@pytest.fixture
def gray() -> np.ndarray:
    return skimage.data.camera()[::8, ::6]  # 64 x 86


# The grid ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(64, 96), (33, 50), (3000, 2100), (7, 5)])
def test_a_hint_fills_its_cell_and_those_around_it_and_the_last_one_counts(size):
    (height, width), shape = size, (64, 96)
    rng = np.random.default_rng(0)
    points = np.stack([rng.integers(0, width, 9), rng.integers(0, height, 9)], 1).astype(np.int32)
    points[-1] = width - 1, height - 1
    colors = rng.integers(0, 256, (9, 3), dtype=np.uint8)
    expected = np.zeros((16, 24, 3), np.float32)
    for (x, y), chroma in zip(points, color.split(colors)[1].numpy(), strict=True):
        row, column = y * 16 // height, x * 24 // width
        for i in range(max(row - 1, 0), min(row + 2, 16)):
            for j in range(max(column - 1, 0), min(column + 2, 24)):
                expected[i, j] = (*chroma, 1)
    np.testing.assert_array_equal(hint_grid(points, colors, size, shape), expected)
    texts = [f"#{bytes(c).hex()}" for c in colors]
    hints = Hints([(*point, text) for point, text in zip(points, texts, strict=True)])
    np.testing.assert_array_equal(hints.grid(height, width, shape), expected)


def test_the_palette_is_the_histogram_of_the_reference_however_large():
    coffee = skimage.data.coffee()
    palette = palette_of(coffee)
    counts = metrics.chroma_histogram(color.rgb_to_lab(coffee)[None])[0].numpy()
    assert palette.shape == (PALETTE,)
    assert palette[-1] == 1
    assert palette[:-1].sum() == pytest.approx(1)
    assert np.abs(palette[:-1] - counts / counts.sum()).sum() < 0.15
    deep = np.kron(coffee.astype(np.uint16) * 257, np.ones((3, 3, 1), np.uint16))
    assert np.abs(palette_of(deep) - palette).sum() < 0.1


# The colorizer -------------------------------------------------------------------------------


def test_colors_near_a_hint_are_its_own_and_luminance_stays(photo, gray):
    hinted = photo(gray, hints=[(60, 10, RED), (20, 40, BLUE)])
    before, after = (color.rgb_to_lab(x).numpy() for x in (photo(gray), hinted))
    assert np.abs(before[..., 0] - after[..., 0]).max() < 100 / 255
    for x, y, text in ((60, 10, RED), (20, 40, BLUE)):
        near = np.s_[y - 2 : y + 3, x - 2 : x + 3, 1:]
        wanted = 128 * chroma_of(text)

        def along(lab, near=near, wanted=wanted):
            return (lab[near] @ wanted).mean()

        assert along(after) > along(before) + 100
    far = np.s_[30:, 60:]
    np.testing.assert_array_equal(hinted[far], photo(gray)[far])


def test_without_hints_the_result_is_the_automatic_one(photo, gray):
    np.testing.assert_array_equal(photo(gray, hints=[]), photo(gray))
    gray = gray[..., None]
    prepared = photo.prepare(gray)
    np.testing.assert_array_equal(prepared.color(gray), photo(gray))
    prepared.color(gray, [(1, 2, BLUE)])
    np.testing.assert_array_equal(prepared.color(gray, Hints()), photo(gray))


def test_a_prepared_image_is_encoded_once_and_colors_any_copy(photo, gray):
    gray, hints = gray[..., None], [(60, 10, RED)]
    prepared, first = photo.prepare(gray, render_size=16), photo._network.encode.calls
    for strength in (1.0, 0.5):
        expected = photo(gray, hints=hints, render_size=16, strength=strength)
        np.testing.assert_array_equal(prepared.color(gray, hints, strength), expected)
    assert prepared.color(gray[::2, ::2], hints).shape == (32, 43, 3)
    assert photo._network.encode.calls == first + 1 + 2


def test_a_reference_sets_the_palette_of_images_and_films(photo, gray):
    reference = np.full((40, 40, 3), (255, 20, 20), np.uint8)
    palette = palette_of(reference)
    bin_of_red = int(palette[:-1].argmax())
    styled = photo.like(reference)
    assert photo._network.palette is None
    seen = []

    def decode(lightness, maps, hints, palettes):
        seen.append((hints.numpy(), palettes.numpy()))
        return maps[0]

    styled._network = GuidedNetwork(None, photo._network.encode, decode, styled._network.palette)
    styled(gray)
    styled.predict_chroma(np.zeros((3, 16, 24, 1), np.float32))
    for (hints, palettes), batch in zip(seen, (1, 3), strict=True):
        assert not hints.any()
        assert palettes.shape == (batch, PALETTE)
        np.testing.assert_array_equal(palettes[:, bin_of_red], 1)


@pytest.mark.parametrize(
    ("hints", "message"),
    [
        ([(86, 3, BLUE)], "The hint at 86,3 is outside the picture of 86 x 64 pixels"),
        ([(3, -1, BLUE)], "outside the picture"),
        ([(3, 3, "blue")], "must be #rrggbb, such as #1f4fa0, not 'blue'"),
        ([(3, 3, "#12345")], "must be #rrggbb"),
        ([(3, 3, None)], "must be #rrggbb"),
        ([(3.5, 3, BLUE)], "A hint is"),
        ([(3, BLUE)], "A hint is"),
        (Hints([(3, 3, BLUE)], (64, 86)), "a picture of 64 x 86 pixels, not of 86 x 64"),
        (Hints([], (64, 86)), "a picture of 64 x 86 pixels, not of 86 x 64"),
    ],
)
def test_hints_that_cannot_be_used(photo, gray, hints, message):
    with pytest.raises(ColorizerError, match=message):
        photo(gray, hints=hints)


def test_other_models_batches_and_gray_references_are_refused(photo, colorizer, gray):
    with pytest.raises(ColorizerError, match="takes neither hints .*use photo"):
        colorizer(gray, hints=[(1, 1, BLUE)])
    with pytest.raises(ColorizerError, match="takes neither hints .*use photo"):
        colorizer.like(skimage.data.coffee())
    with pytest.raises(ColorizerError, match="single image"):
        photo(gray[None, ..., None], hints=[(1, 1, BLUE)])
    for reference in (gray[..., None], np.dstack([gray] * 3)):
        with pytest.raises(ColorizerError, match="reference image is gray"):
            photo.like(reference)
    with pytest.raises(ColorizerError, match="Images must be"):
        photo.like(gray)


def test_the_saved_models_signature_does_the_same(photo, gray):
    module, network = tf.Module(), photo._network
    module.weights = lambda vividness=None: None
    module.predict = lambda weights, lightness: network.predict(lightness)
    module.encode = lambda weights, lightness: network.encode(lightness)
    module.decode = lambda weights, *inputs: network.decode(*inputs)
    signatures = saved_model._signatures(module, 8, tf.constant(64), None)
    images, settings = gray[None, ..., None], (tf.constant(64), tf.constant(1.0))
    points, colors = np.int32([(60, 10), (20, 40)]), np.uint8([(192, 32, 32), (32, 64, 192)])
    found = signatures["with_hints"](images, points, colors, *settings)["rgb"][0]
    expected = photo(gray, hints=[(60, 10, RED), (20, 40, BLUE)])
    assert np.abs(found.numpy().astype(int) - expected).max() <= 1
    found = signatures["with_hints"](images, points[:0], colors[:0], *settings)["rgb"]
    np.testing.assert_array_equal(found, signatures["colorize"](images, *settings)["rgb"])
    with pytest.raises(tf.errors.InvalidArgumentError, match="outside the image"):
        signatures["with_hints"](images, points + 30, colors, *settings)
    with pytest.raises(tf.errors.InvalidArgumentError, match="for one image, not for"):
        signatures["with_hints"](np.repeat(images, 2, 0), points, colors, *settings)
    del module.decode
    assert "with_hints" not in saved_model._signatures(module, 8, tf.constant(64), None)


# Files and the command -----------------------------------------------------------------------


def test_a_hints_file_comes_back(tmp_path):
    hints = Hints([(3, 4, BLUE), (0, 0, RED)], (50, 40))
    path = tmp_path / "hints.json"
    path.write_text(hints.to_json())
    assert Hints.read(path) == hints
    form = {"size": [50, 40], "hints": [{"x": 3, "y": 4, "color": BLUE}]}
    path.write_text(json.dumps(form))
    assert Hints.read(path) == Hints([(3, 4, BLUE)], (50, 40))


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"size": 3, "hints": []}', '{"size": [1, 2], "hints": [1]}', "[" * 99_999],
)
def test_other_files_are_no_hints_files(tmp_path, content):
    path = tmp_path / "hints.json"
    path.write_text(content)
    with pytest.raises(ColorizerError, match="hints.json is no hints file: it must hold"):
        Hints.read(path)


@pytest.fixture
def command(photo, photograph, tmp_path, monkeypatch, capsys):
    """Runs `colorize` on a photograph of 50 x 40 pixels; returns the exit code and the errors."""

    def run(*options: object, model: Colorizer = photo) -> tuple[int, list[str]]:
        monkeypatch.setattr(Colorizer, "load", lambda name: model)
        words = ["colorize", "-o", tmp_path / "out.png", photograph, *options]
        code = cli.main(list(map(str, words)))
        lines = capsys.readouterr().err.splitlines()
        return code, [line for line in lines if line.startswith("pix2pix-color: error")]

    return run


def test_the_command_takes_hints_from_options_and_from_a_file(command, photo, photograph, tmp_path):
    saved = tmp_path / "saved.json"
    saved.write_text(Hints([(3, 4, BLUE)], (50, 40)).to_json())
    assert command("--hints", saved, "--hint", f"40,30={RED}", "--hint", "0,39=#00FF00")[0] == 0
    hints = [(3, 4, BLUE), (40, 30, RED), (0, 39, "#00FF00")]
    pixels = read_image_file(photograph).pixels
    found = read_image_file(tmp_path / "out.png").pixels
    np.testing.assert_array_equal(found, photo(pixels, hints=hints))
    Image.fromarray(skimage.data.coffee()).save(tmp_path / "coffee.png")
    assert command("--like", tmp_path / "coffee.png", "--overwrite")[0] == 0
    found = read_image_file(tmp_path / "out.png").pixels
    np.testing.assert_array_equal(found, photo.like(skimage.data.coffee())(pixels))


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--hint", "3,4"], 2, "such as 120,80=#1f4fa0"),
        (["--hint", "3,4=blue"], 2, "such as 120,80=#1f4fa0"),
        ([f"--hint=-3,4={BLUE}"], 2, "such as 120,80=#1f4fa0"),
        (["--hint", f"50,4={BLUE}"], 1, "outside the picture of 50 x 40"),
        (["--hints", "{}/none.json"], 1, "No such file"),
        (["--hints", "{}/other.json"], 1, "for a picture of 40 x 50 pixels, not of 50 x 40"),
        (["--hints", "{}/in.png"], 1, "is no hints file"),
        (["--like", "{}/none.png"], 1, "does not exist"),
        (["--like", "{}/in.png"], 1, "reference image is gray"),
        (["{}/in2.png", "-o", "{}/out", "--hint", f"3,4={BLUE}"], 2, "a single image"),
        (["-o", "{}/out/", "--hint", f"99,4={BLUE}"], 1, "outside the picture"),
    ],
)
def test_a_wrong_command_is_one_line_and_writes_nothing(
    command, photograph, tmp_path, options, code, message
):
    other = Hints([(3, 4, BLUE)], (40, 50)).to_json()
    (tmp_path / "other.json").write_text(other)
    (tmp_path / "in2.png").write_bytes(photograph.read_bytes())
    before = sorted(tmp_path.rglob("*.png"))
    found, (line,) = command(*(word.replace("{}", str(tmp_path)) for word in options))
    assert (found, message in line) == (code, True), line
    assert sorted(tmp_path.rglob("*.png")) == before


def test_other_models_and_several_pages_are_one_line(command, colorizer, tmp_path):
    for options in (["--hint", f"3,4={BLUE}"], ["--like", tmp_path / "in.png"]):
        code, (line,) = command(*options, model=colorizer)
        assert code == 1
        assert "use photo" in line
    pages = [Image.new("L", (20, 20), level) for level in (50, 90)]
    source = tmp_path / "pages.tif"
    pages[0].save(source, save_all=True, append_images=pages[1:])
    words = [str(source), "-o", str(tmp_path / "out.tif"), "--hint", f"3,4={BLUE}"]
    assert cli.main(["colorize", *words]) == 1
    assert not (tmp_path / "out.tif").exists()


# The page ------------------------------------------------------------------------------------


@pytest.fixture
def page(photo, tmp_path, monkeypatch):
    """The functions of a page, by name, for one photograph of 50 x 40 pixels."""
    pytest.importorskip("gradio", reason="the extra [demo] is not installed")
    from pix2pix_color.apps.web.page import build_page

    monkeypatch.setattr(Colorizer, "load", lambda name: photo)
    return {f.fn.__name__: f.fn for f in build_page("photo", tmp_path).fns.values()}


def test_clicks_on_the_page(page, photo, photograph, tmp_path):
    source, opens, given = str(photograph), ("photo", 1.0, 0), (None, Hints())
    for place, picked in (((3, 4), BLUE), ((40, 30), "rgba(192.2, 32, 31.8, 1)")):
        click = SimpleNamespace(index=list(place))
        given = page["add"](source, *opens, picked, given, click)
    hints = [(3, 4, BLUE), (40, 30, RED)]
    assert given == (source, Hints(hints, (50, 40)))
    settings, expected = ("photo", 1.0, 1.0, 0), photo(read_image_file(source).pixels, hints=hints)
    shown, download = page["show"](source, *settings, given)
    assert download is None  # until the file is there
    dots = np.any(np.asarray(shown) != expected, axis=-1)
    assert dots[30, 40]
    assert 20 < dots.sum() < 250
    _, result, _, saved, previous = page["colorize"](source, *settings, given, [])
    np.testing.assert_array_equal(read_image_file(result).pixels, expected)
    assert Path(saved).name == "in-hints.json"
    loaded, _ = page["read"](saved, (None, Hints()), source, *opens)
    assert loaded == given
    assert page["undo"](source, given) == (source, Hints(hints[:1], (50, 40)))
    # Hints for another photograph are void.
    other = tmp_path / "other.png"
    Image.fromarray(np.full((30, 20), 90, np.uint8)).save(other)
    _, result, _, none, _ = page["colorize"](str(other), *settings, given, previous)
    assert none is None
    automatic = photo(read_image_file(other).pixels)
    np.testing.assert_array_equal(read_image_file(result).pixels, automatic)
    for file, text in ((saved, "a picture of 50 x 40 pixels, not of 20 x 30"), (other, "no hints")):
        kept, message = page["read"](str(file), given, str(other), *opens)
        assert kept == given
        assert text in message
        assert str(tmp_path) not in message


def test_a_large_photograph_is_clicked_in_its_preview(page, tmp_path):
    source = tmp_path / "wide.png"
    Image.fromarray(np.zeros((100, 3000), np.uint8)).save(source)
    (click, picked) = SimpleNamespace(index=[1279, 0]), BLUE
    _, hints = page["add"](str(source), "photo", 1.0, 0, picked, (None, Hints()), click)
    assert hints == Hints([(2998, 1, BLUE)], (3000, 100))
