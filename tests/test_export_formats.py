"""Keras, ONNX and LiteRT files: the same colors as the network they were made of."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import write_finished_run

from pix2pix_color import color
from pix2pix_color.colorizer import Colorizer
from pix2pix_color.config import GeneratorConfig
from pix2pix_color.data import load_dataset
from pix2pix_color.errors import ExportError, ModelError
from pix2pix_color.export import export_lite, export_model, export_onnx
from pix2pix_color.files import verify_checksums
from pix2pix_color.inference import any_size
from pix2pix_color.model_folder import ModelFolder
from pix2pix_color.networks import build_generator


def onnx_runtime():
    pytest.importorskip("tf2onnx", reason="needs tf2onnx: pip install pix2pix_color[onnx]")
    return pytest.importorskip(
        "onnxruntime", reason="needs onnxruntime: pip install pix2pix_color[onnx]"
    )


def lite_runtime():
    return pytest.importorskip(
        "ai_edge_litert.interpreter", reason="needs ai-edge-litert: pip install pix2pix_color[lite]"
    )


@pytest.fixture(scope="module")
def report() -> keras.Model:
    """The shipped generator."""
    return ModelFolder("report").generator()


@pytest.fixture(scope="module")
def small() -> keras.Model:
    return build_generator(GeneratorConfig(depth=3, filters=4), 8, seed=0)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Photographs that no calibration has seen."""
    photographs = load_dataset("photographs", "test", limit=24)
    return np.stack(list(photographs.images.as_numpy_iterator()))


def run_onnx(path: Path, lightness: np.ndarray) -> np.ndarray:
    session = onnx_runtime().InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["chroma"], {"lightness": lightness})[0]


def run_lite(path: Path, lightness: np.ndarray) -> np.ndarray:
    chroma = lite_runtime().Interpreter(str(path)).get_signature_runner()
    return np.concatenate([chroma(lightness=image[None])["chroma"] for image in lightness])


def as_rgb(lightness: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    chroma = color.fit_chroma_to_gamut(lightness, chroma)
    return color.to_uint8(color.merge(lightness, chroma)).numpy().astype(int)


def levels(generator: keras.Model, images: np.ndarray, run, path: Path) -> np.ndarray:
    """Returns the differences from Keras, in levels of 255, of the images in color."""
    lightness = color.split(images)[0].numpy()
    expected = as_rgb(lightness, any_size(generator)(lightness, training=False))
    return np.abs(as_rgb(lightness, run(path, lightness)) - expected)


@pytest.mark.parametrize("name", ["stable", "vivid"])  # guided; one with its mirror image
def test_a_guided_model_gives_the_same_colors_everywhere(name, images, tmp_path):
    onnx_runtime(), lite_runtime()
    generator = ModelFolder(name).generator()
    onnx = export_onnx(generator, tmp_path / "generator.onnx")
    assert levels(generator, images, run_onnx, onnx).max() <= 1
    lite = export_lite(generator, tmp_path / "generator.tflite")
    assert levels(generator, images, run_lite, lite).max() <= 1


# ONNX ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def onnx_file(report, tmp_path_factory) -> Path:
    onnx_runtime()
    return export_onnx(report, tmp_path_factory.mktemp("onnx") / "generator.onnx")


def test_onnx_gives_the_colors_of_keras(report, onnx_file, images):
    assert levels(report, images, run_onnx, onnx_file).max() <= 1


@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 64, 96), (2, 160, 32)])
def test_onnx_takes_any_batch_and_any_multiple_of_the_training_size(report, onnx_file, shape):
    lightness = np.random.default_rng(0).uniform(0, 100, (*shape, 1)).astype(np.float32)
    expected = any_size(report)(lightness, training=False)
    np.testing.assert_allclose(run_onnx(onnx_file, lightness), expected, atol=1e-4)


def test_onnx_says_what_goes_in_and_out(onnx_file):
    session = onnx_runtime().InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    ((given,), (made,)) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type) == ("lightness", "tensor(float)")
    assert given.shape == ["batch", "rows", "columns", 1]
    assert (made.name, made.shape) == ("chroma", ["batch", "rows", "columns", 2])


def test_a_network_that_onnx_cannot_express_is_refused(tmp_path):
    onnx_runtime()
    rgb = build_generator(GeneratorConfig(depth=3, filters=4), 8, color_space="rgb", seed=0)
    with pytest.raises(ExportError, match="cannot be exported to ONNX") as error:
        export_onnx(rgb, tmp_path / "generator.onnx")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_missing_converter_is_named_with_the_command_that_brings_it(small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(ExportError, match=r"pip install .pix2pix_color\[onnx\]"):
        export_onnx(small, tmp_path / "generator.onnx")


# LiteRT -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lite_files(report, tmp_path_factory) -> dict[str, Path]:
    lite_runtime()
    folder = tmp_path_factory.mktemp("lite")
    return {
        quantization: export_lite(report, folder / f"{quantization}.tflite", quantization)
        for quantization in ("float32", "float16", "int8")
    }


@pytest.mark.parametrize(
    ("quantization", "largest", "mean", "size"),
    # What `benchmarks/exports.md` states, with room for another machine's rounding.
    [("float32", 1, 0.01, 1.01), ("float16", 8, 0.3, 0.51), ("int8", 50, 2.5, 0.27)],
)
def test_lite_gives_the_colors_of_keras(
    report, lite_files, images, quantization, largest, mean, size
):
    path = lite_files[quantization]
    difference = levels(report, images, run_lite, path)
    assert difference.max() <= largest
    assert difference.mean() <= mean
    assert path.stat().st_size <= size * report.count_params() * 4


def test_int8_is_calculated_in_integers_between_floats(lite_files):
    interpreter = lite_runtime().Interpreter(str(lite_files["int8"]))
    interpreter.allocate_tensors()
    assert interpreter.get_input_details()[0]["dtype"] == np.float32
    assert interpreter.get_output_details()[0]["dtype"] == np.float32
    kinds = [tensor["dtype"] for tensor in interpreter.get_tensor_details() if tensor["shape"].size]
    floats = kinds.count(np.float32)
    assert kinds.count(np.int8) > 30
    assert floats <= 2  # what goes in and comes out


def test_int8_takes_its_ranges_from_the_callers_images(small, images, tmp_path, monkeypatch):
    lite_runtime()
    monkeypatch.setattr("pix2pix_color.data.load_dataset", None)  # not the photographs
    gray = images[:, :8, :8, :1]
    wide, narrow = (
        export_lite(small, tmp_path / f"{name}.tflite", "int8", calibration=calibration)
        for name, calibration in (("wide", gray), ("narrow", gray // 16))
    )
    # Lightness above what the calibration has shown is cut off.
    lightness = np.full((1, 8, 8, 1), 90.0, np.float32)
    expected = small(lightness).numpy()
    errors = [np.abs(run_lite(path, lightness) - expected).mean() for path in (wide, narrow)]
    assert errors[0] < 0.5 * errors[1]


def test_lite_is_made_for_the_shape_that_is_asked_for(small, tmp_path):
    lite_runtime()
    path = export_lite(small, tmp_path / "generator.tflite", shape=(16, 24))
    lightness = np.random.default_rng(0).uniform(0, 100, (2, 16, 24, 1)).astype(np.float32)
    expected = any_size(small)(lightness, training=False)
    np.testing.assert_allclose(run_lite(path, lightness), expected, atol=1e-4)


def test_lite_refuses_what_does_not_fit(small, tmp_path):
    path = tmp_path / "generator.tflite"
    with pytest.raises(ExportError, match="'int4': use one of float32, float16, int8"):
        export_lite(small, path, "int4")
    for shape in ((8, 12), (0, 8)):
        with pytest.raises(ExportError, match="multiples of 8"):
            export_lite(small, path, shape=shape)
    path.write_text("mine")
    with pytest.raises(ExportError, match="already exists"):
        export_lite(small, path)
    with pytest.raises(ExportError, match="already exists"):
        export_onnx(small, path)
    assert path.read_text() == "mine"


# The folder ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory) -> Path:
    """A finished run folder, as `pix2pix-color train` and `evaluate` leave it."""
    folder = tmp_path_factory.mktemp("run")
    write_finished_run(folder)
    (folder / "evaluation" / "test").mkdir(parents=True)
    (folder / "evaluation" / "test" / "table.md").write_text("scores")
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


ALWAYS = {"README.md", "SHA256SUMS", "config.json", "model.json", "history.csv", "evaluation"}


@pytest.mark.parametrize(
    ("formats", "quantization", "made"),
    [
        (("saved_model",), "float32", {"saved_model", "SERVING.md"}),
        (("lite",), "float32", {"generator.tflite"}),
        (("lite",), "float16", {"generator-float16.tflite"}),
        (("onnx", "saved_model"), "float32", {"generator.onnx", "saved_model", "SERVING.md"}),
    ],
)
def test_a_folder_has_what_was_asked_for_and_its_card_names_it(
    run_folder, tmp_path, formats, quantization, made
):
    if "onnx" in formats:
        onnx_runtime()
    folder = export_model(run_folder, tmp_path / "mine", formats, quantization=quantization)
    assert {path.name for path in folder.iterdir()} == ALWAYS | made
    card = (folder / "README.md").read_text()
    for name in (made | ALWAYS) - {"README.md"}:
        assert f"`{name}{'/' if (folder / name).is_dir() else ''}`" in card
    for name in ("generator.onnx", "generator.tflite"):
        assert (f"`{name}`" in card) == (name in made)
    assert verify_checksums(folder) == len(contents(folder)) - 1


def test_an_exported_folder_can_be_exported_again(run_folder, tmp_path):
    first = export_model(run_folder, tmp_path / "first")
    second = export_model(first, tmp_path / "second", ["lite"], quantization="float16")
    assert (second / "generator-float16.tflite").is_file()
    assert contents(second)["history.csv"] == contents(run_folder)["history.csv"]


def test_unknown_formats_and_places_in_the_way_are_refused(run_folder, tmp_path):
    before = contents(run_folder)
    for formats, message in (
        (["tflite"], "'tflite': use some of saved_model, onnx, lite"),
        ([], "No format"),
    ):
        with pytest.raises(ExportError, match=message):
            export_model(run_folder, tmp_path / "mine", formats)
    with pytest.raises(ExportError, match="'int4'"):
        export_model(run_folder, tmp_path / "mine", ["lite"], quantization="int4")
    for place in (run_folder, run_folder.parent):
        with pytest.raises(ExportError, match="holds the run itself"):
            export_model(run_folder, place, overwrite=True)
    assert contents(run_folder) == before
    assert not (tmp_path / "mine").exists()


def test_an_exported_folder_can_be_exported_anew_in_place(run_folder, tmp_path):
    folder = export_model(run_folder, tmp_path / "mine")
    (folder / "SERVING.md").unlink()
    (folder / "README.md").write_text("of an older version")
    before = contents(folder)
    export_model(folder, folder, render_size=16, overwrite=True)
    after = contents(folder)
    assert after["history.csv"] == before["history.csv"]
    assert "SERVING.md" in after and after["README.md"] != before["README.md"]
    assert verify_checksums(folder) == len(after) - 1
    colorizer = Colorizer.load(folder)
    assert (colorizer.render_size, colorizer.model.step) == (16, 8)
    with pytest.raises(ModelError, match=r"no config\.json"):
        export_model(tmp_path, tmp_path / "other")
