"""Arrays and files in, colors out; every bad input is one clear line."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pytest
import skimage.color
import skimage.data
import tifffile
from conftest import random_images
from PIL import Image

from pix2pix_color.apps.file_jobs import colorize_folder
from pix2pix_color.colorizer import Colorizer
from pix2pix_color.errors import ColorizerError, ImageFileError, ModelError
from pix2pix_color.image_files import read_image_file


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((9, 7), (9, 7, 3)),
        ((9, 7, 1), (9, 7, 3)),
        ((9, 7, 3), (9, 7, 3)),
        ((4, 9, 7, 1), (4, 9, 7, 3)),
        ((0, 9, 7, 3), (0, 9, 7, 3)),
    ],
)
def test_single_images_and_batches_keep_their_form(colorizer, shape, expected):
    result = colorizer(np.full(shape, 90, np.uint8))
    assert result.shape == expected
    assert result.dtype == np.uint8


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((9, 7), np.float32),
        np.zeros((9, 7, 4), np.uint8),
        np.zeros((2, 2, 9, 7, 3), np.uint8),
        np.zeros((0, 7), np.uint8),
        np.zeros(3, np.uint8),
    ],
)
def test_other_arrays_are_refused(colorizer, images):
    with pytest.raises(ColorizerError, match="Images must be"):
        colorizer(images)


def gray_level(pixels: np.ndarray) -> np.ndarray:
    """Returns the gray, in levels of 255, that has the L of each pixel; by scikit-image."""
    rgb = pixels / np.iinfo(pixels.dtype).max
    lab = skimage.color.rgb2lab(np.broadcast_to(rgb, (*rgb.shape[:2], 3)))
    return 255 * skimage.color.lab2rgb(lab * (1, 0, 0))[..., 0]


@pytest.mark.parametrize("colored", [False, True], ids=["gray", "color"])
@pytest.mark.parametrize(
    ("suffix", "dtype", "most"),
    [
        ("png", np.uint8, 1),
        ("png", np.uint16, 1),
        ("tiff", np.uint8, 1),
        ("tiff", np.uint16, 1),
        ("bmp", np.uint8, 1),
        ("webp", np.uint8, 1),  # lossless, as the input is
        ("jpeg", np.uint8, 16),  # what its blocks lose of such colors
    ],
)
def test_luminance_is_the_inputs_in_every_format(colorizer, tmp_path, suffix, dtype, most, colored):
    photograph = skimage.data.astronaut()[::4, ::4]
    pixels = photograph if colored else np.ascontiguousarray(photograph[..., 1])
    pixels = pixels.astype(dtype) * (np.iinfo(dtype).max // 255)
    if dtype == np.uint16:
        pixels += np.arange(pixels.size, dtype=np.uint16).reshape(pixels.shape) % 257
    source, target = tmp_path / f"in.{suffix}", tmp_path / "new" / f"out.{suffix}"
    if suffix == "tiff":
        tifffile.imwrite(source, pixels, photometric="rgb" if colored else "minisblack")
    elif dtype == np.uint16:
        source.write_bytes(imagecodecs.png_encode(pixels))
    else:
        options = {"webp": {"lossless": True}, "jpeg": {"quality": 95, "subsampling": 0}}
        Image.fromarray(pixels).save(source, **options.get(suffix, {}))
    content = source.read_bytes()
    # Chroma far outside sRGB, so that keeping the lightness takes some doing.
    colorizer.colorize_file(source, target, strength=4.0)
    assert source.read_bytes() == content
    assert list(target.parent.iterdir()) == [target]  # no temporary file is left
    before, after = read_image_file(source).pixels, read_image_file(target).pixels
    assert (after.dtype, after.shape) == (dtype, (*pixels.shape[:2], 3))
    assert np.ptp(after, axis=-1).max() > np.iinfo(dtype).max // 4  # it is colorful
    assert np.abs(gray_level(after) - gray_level(before)).max() <= most


def test_an_existing_output_is_kept_unless_asked_and_the_input_always(colorizer, photograph):
    out = photograph.parent / "out.png"
    out.write_text("mine")
    with pytest.raises(ColorizerError, match="--overwrite"):
        colorizer.colorize_file(photograph, out)
    assert out.read_text() == "mine"
    colorizer.colorize_file(photograph, out, overwrite=True)
    assert read_image_file(out).pixels.shape == (40, 50, 3)
    with pytest.raises(ColorizerError, match="the input itself"):
        colorizer.colorize_file(photograph, photograph, overwrite=True)


def test_what_cannot_be_read_or_written_is_named_with_the_reason(colorizer, photograph, tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "cut.png").write_bytes(photograph.read_bytes()[:500])
    for source, target, message in (
        ("none.png", "out.png", "none.png.* does not exist"),
        ("empty.png", "out.png", "empty.png.* is empty"),
        ("cut.png", "out.png", "cut.png.* cannot be read"),
        (".", "out.png", "it is a folder"),
        (photograph.name, "out.xyz", "No image can be written as"),
    ):
        with pytest.raises(ImageFileError, match=message) as error:
            colorizer.colorize_file(tmp_path / source, tmp_path / target, strict=True)
        assert "\n" not in str(error.value)
        assert not (tmp_path / target).exists()


def test_all_pages_are_colorized_unless_only_the_first_is_wanted(colorizer, tmp_path):
    source, target = tmp_path / "pages.tif", tmp_path / "out.tif"
    pages = random_images(3, 16)
    tifffile.imwrite(source, pages, photometric="rgb", metadata=None)
    colors = np.stack([colorizer(page) for page in pages])
    colorizer.colorize_file(source, target)
    np.testing.assert_array_equal(tifffile.imread(target), colors)
    colorizer.colorize_file(source, target, first=True, overwrite=True)
    np.testing.assert_array_equal(tifffile.imread(target), colors[0])


def test_two_pictures_side_by_side_from_and_to_open_files(colorizer, photograph):
    sheet = io.BytesIO()
    with open(photograph, "rb") as source:
        assert colorizer.colorize_file(source, sheet, format="bmp", compare=True) is None
    with Image.open(sheet) as image:
        assert image.format == "BMP"
        gray, colored = np.split(np.asarray(image), 2, axis=1)
    pixels = read_image_file(photograph).pixels
    np.testing.assert_array_equal(gray, colorizer(pixels, strength=0.0))
    np.testing.assert_array_equal(colored, colorizer(pixels))


def test_a_folder_gives_the_images_that_its_files_give_alone(colorizer, photograph, tmp_path):
    album, output = tmp_path / "album", tmp_path / "out"
    (album / "deep").mkdir(parents=True)
    for name in ("a.png", "deep/b.png"):
        (album / name).write_bytes(photograph.read_bytes())
    (album / "bad.png").write_bytes(b"no image")
    outcomes = colorize_folder(colorizer, album, output, strength=2.0, name="{stem}-color{suffix}")
    assert [o.status for o in outcomes] == ["done", "failed", "done"]
    alone = colorizer.colorize_file(photograph, tmp_path / "alone.png", strength=2.0)
    for name in ("a-color.png", "deep/b-color.png"):
        np.testing.assert_array_equal(
            read_image_file(output / name).pixels, read_image_file(alone).pixels
        )
    again = colorize_folder(colorizer, album, output, name="{stem}-color{suffix}")
    assert [o.status for o in again] == ["skipped", "failed", "skipped"]
    with pytest.raises(ColorizerError, match="The strength"):
        colorize_folder(colorizer, album, tmp_path / "none", strength=9.0)
    assert not any((tmp_path / "none").iterdir())


def test_unknown_models_and_folders_without_a_model_are_named(tmp_path):
    with pytest.raises(ModelError, match="no model named or at 'nothing'"):
        Colorizer.load("nothing")
    with pytest.raises(ModelError, match=r"no config\.json"):
        Colorizer.load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"no saved_model/ and no checkpoint"):
        Colorizer.load(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"junk")
    with pytest.raises(ModelError, match="SavedModel"):
        Colorizer.load(tmp_path)


def test_a_run_colorizes_from_its_checkpoint_as_its_export_does(tiny_run, tiny_colorizer):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    run = Colorizer.load(tiny_run)
    assert run.model.step == tiny_colorizer.model.step == 8
    assert np.abs(run(pixels).astype(int) - tiny_colorizer(pixels)).max() <= 1
