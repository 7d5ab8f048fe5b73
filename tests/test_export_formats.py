"""ONNX and LiteRT files give the colors of their network; the folder that ships a model."""

from __future__ import annotations

import functools
import hashlib
import shutil
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import tiny_config

from pix2pix_color import color
from pix2pix_color.classifier.network import ClassifierConfig, build_classifier
from pix2pix_color.colorizer import Colorizer
from pix2pix_color.config import GeneratorConfig
from pix2pix_color.data import load_dataset
from pix2pix_color.errors import ChecksumError, ExportError
from pix2pix_color.export import convert_to_lite, convert_to_onnx, export_model, write_card
from pix2pix_color.files import verify_checksums
from pix2pix_color.inference import any_size
from pix2pix_color.networks import build_generator


@pytest.fixture(scope="module")
def guided() -> keras.Model:
    """Everything that a shipped generator may have: a guide, style, its mirror image."""
    guide = build_classifier(ClassifierConfig(filters=(4, 8, 8)), 16, 3)
    config = GeneratorConfig(
        kind="residual",
        depth=2,
        filters=4,
        kernel_size=3,
        modulation=True,
        guide="classifier",
        self_ensemble=True,
    )
    return build_generator(config, 16, pretrained=guide, lightness_scale="unit", seed=0)


@functools.cache
def lightness_of_photographs(size: int) -> np.ndarray:
    """That no calibration has seen."""
    photographs = load_dataset("photographs", "test", image_size=size, limit=24)
    return color.split(np.stack(list(photographs.images.as_numpy_iterator())))[0].numpy()


def run_onnx(content: bytes, lightness: np.ndarray) -> np.ndarray:
    runtime = pytest.importorskip("onnxruntime", reason="needs pix2pix_color[onnx]")
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    ((given,), (made,)) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type) == ("lightness", "tensor(float)")
    assert given.shape == ["batch", "rows", "columns", 1]
    assert (made.name, made.shape) == ("chroma", ["batch", "rows", "columns", 2])
    return session.run(["chroma"], {"lightness": lightness})[0]


def lite_interpreter(content: bytes):
    module = pytest.importorskip("ai_edge_litert.interpreter", reason="needs pix2pix_color[lite]")
    return module.Interpreter(model_content=content)


def run_lite(content: bytes, lightness: np.ndarray) -> np.ndarray:
    chroma = lite_interpreter(content).get_signature_runner()
    return np.concatenate([chroma(lightness=image[None])["chroma"] for image in lightness])


def as_rgb(lightness: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    chroma = color.fit_chroma_to_gamut(lightness, chroma)
    return color.to_uint8(color.merge(lightness, chroma)).numpy().astype(int)


@pytest.mark.parametrize("name", ["lively", "guided"])
def test_onnx_gives_the_chroma_of_keras_for_any_batch_and_size(name, request):
    pytest.importorskip("tf2onnx", reason="needs pix2pix_color[onnx]")
    generator = request.getfixturevalue(name)
    content, network = convert_to_onnx(generator), any_size(generator)
    for shape in ((1, 16, 16), (3, 32, 48), (2, 80, 16)):
        lightness = np.random.default_rng(0).uniform(0, 100, (*shape, 1)).astype(np.float32)
        expected = network(lightness, training=False)
        np.testing.assert_allclose(run_onnx(content, lightness), expected, atol=1e-4)


def test_what_onnx_cannot_express_is_refused_and_a_missing_converter_named(lively, monkeypatch):
    pytest.importorskip("tf2onnx", reason="needs pix2pix_color[onnx]")
    rgb = build_generator(GeneratorConfig(depth=2, filters=4), 8, color_space="rgb", seed=0)
    with pytest.raises(ExportError, match="cannot be exported to ONNX") as error:
        convert_to_onnx(rgb)
    assert "\n" not in str(error.value)
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(ExportError, match=r"pip install .pix2pix_color\[onnx\]"):
        convert_to_onnx(lively)


@pytest.mark.parametrize(
    ("name", "quantization", "most", "mean"),  # differences, of 255 levels
    [
        ("lively", "float32", 1, 0.01),
        ("guided", "float32", 1, 0.01),
        ("lively", "float16", 4, 0.3),
        ("lively", "int8", 255, 2.5),
    ],
)
def test_lite_gives_the_colors_of_keras(name, quantization, most, mean, request):
    generator = request.getfixturevalue(name)
    lightness = lightness_of_photographs(generator.input_shape[1])
    content = convert_to_lite(generator, quantization)
    expected = as_rgb(lightness, generator(lightness, training=False))
    difference = np.abs(as_rgb(lightness, run_lite(content, lightness)) - expected)
    assert difference.max() <= most
    assert difference.mean() <= mean
    if quantization == "float32":
        return
    interpreter = lite_interpreter(content)
    interpreter.allocate_tensors()
    assert interpreter.get_input_details()[0]["dtype"] == np.float32
    assert interpreter.get_output_details()[0]["dtype"] == np.float32
    kinds = [tensor["dtype"] for tensor in interpreter.get_tensor_details() if tensor["shape"].size]
    if quantization == "float16":
        assert kinds.count(np.float16) >= 4  # the kernels
    else:
        assert kinds.count(np.int8) > 10
        assert kinds.count(np.float32) <= 2  # what goes in and comes out


# The folder ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run_folder(tiny_run, tmp_path_factory) -> Path:
    """A finished run folder, as `pix2pix-color train` and `evaluate` leave it."""
    folder = shutil.copytree(tiny_run, tmp_path_factory.mktemp("run") / "run")
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


def test_a_folder_has_what_was_asked_for_its_card_names_it_and_it_can_be_exported_again(
    run_folder, tmp_path
):
    pytest.importorskip("tf2onnx", reason="needs pix2pix_color[onnx]")

    def check(folder: Path, *made: str) -> None:
        assert {path.name for path in folder.iterdir()} == ALWAYS | {*made}
        card = (folder / "README.md").read_text()
        assert "8 of 8 planned iterations" in card
        assert "Not measured" in card
        for name in {*made, *ALWAYS} - {"README.md"}:
            assert f"`{name}{'/' if (folder / name).is_dir() else ''}`" in card
        for name in ("generator.onnx", "generator-float16.tflite", "SERVING.md"):
            assert (f"`{name}`" in card) == (name in made)
        assert verify_checksums(folder) == len(contents(folder)) - 1
        assert contents(folder)["history.csv"] == contents(run_folder)["history.csv"]

    first = export_model(run_folder, tmp_path / "first", ["onnx", "saved_model"])
    check(first, "generator.onnx", "saved_model", "SERVING.md")
    assert Colorizer.load(first).config == Colorizer.load(run_folder).config
    second = export_model(first, tmp_path / "second", ["lite"], quantization="float16")
    check(second, "generator-float16.tflite")
    export_model(first, first, render_size=16, overwrite=True)  # in place
    check(first, "saved_model", "SERVING.md")
    colorizer = Colorizer.load(first)
    assert (colorizer.render_size, colorizer.model.step) == (16, 8)


def test_unknown_formats_and_places_in_the_way_are_refused(run_folder, tmp_path):
    before = contents(run_folder)
    for formats in (["tflite"], []):
        with pytest.raises(ExportError, match="some of saved_model, onnx, lite"):
            export_model(run_folder, tmp_path / "mine", formats)
    with pytest.raises(ExportError, match="'int4': use one of float32, float16, int8"):
        export_model(run_folder, tmp_path / "mine", ["lite"], quantization="int4")
    with pytest.raises(ExportError, match="already exists"):
        export_model(run_folder, run_folder)
    for place in (run_folder, run_folder.parent):
        with pytest.raises(ExportError, match="holds the run itself"):
            export_model(run_folder, place, overwrite=True)
    assert contents(run_folder) == before
    assert not (tmp_path / "mine").exists()


def test_a_changed_or_missing_file_fails_its_checksum(tiny_export, tmp_path):
    folder = shutil.copytree(tiny_export, tmp_path / "mine")
    weights = next((folder / "saved_model" / "variables").glob("*.data*"))
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ChecksumError, match="not the file that was shipped"):
        Colorizer.load(folder)
    weights.unlink()
    with pytest.raises(ChecksumError, match="is missing"):
        Colorizer.load(folder)


def test_a_card_says_how_the_model_was_trained_and_which_scores_that_spoils(tmp_path):
    def card(*changes: str) -> str:
        (tmp_path / "config.json").write_text(tiny_config(*changes).to_json())
        write_card(tmp_path)
        return (tmp_path / "README.md").read_text()

    plain = card()
    for word in ("Conditioned", "flip", "perceptual", "evaluation classifier"):
        assert word not in plain
    found = card(
        "data.flip=true",
        "data.shift=3",
        "generator.kind=residual",
        "generator.guide=/home/me/gray",
        "generator.self_ensemble=true",
        "training.perceptual_weight=2",
    )
    assert "random flips, random shifts of up to 3 pixels, without gray images" in found
    assert "Conditioned on the classifier `gray`" in found
    assert "flip test-time augmentation" in found
    assert "+ 2 x perceptual" in found
    assert "features of the classifier `classifier`" in found
    assert "That is the evaluation classifier" in found
    other = card("training.perceptual_weight=2", "training.perceptual_network=/home/me/another")
    assert "features of the classifier `another`" in other
    assert "evaluation classifier" not in other
