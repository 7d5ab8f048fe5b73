"""The SavedModel: what its graph does, here and where nothing but TensorFlow is installed."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import random_images
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

from pix2pix_color import color
from pix2pix_color.colorizer import Colorizer
from pix2pix_color.config import GeneratorConfig
from pix2pix_color.errors import ColorizerError, ExportError, ModelError
from pix2pix_color.export import export_model, export_saved_model
from pix2pix_color.inference import any_size, colorize_images
from pix2pix_color.model_folder import ModelFolder, shipped_models
from pix2pix_color.networks import build_generator

LEVEL = 100 / 255
SETTINGS = [(16, 0.5), (8, 0.0), (8, 1.0), (24, 2.0)]


@pytest.fixture(scope="module")
def signatures(lively_export):
    model = tf.saved_model.load(str(lively_export / "saved_model"))
    yield model.signatures
    assert model is not None  # it keeps the variables alive


def differences(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(np.asarray(one).astype(int) - np.asarray(other).astype(int)).max())


def assert_same_luminance(image: np.ndarray, colored: np.ndarray) -> None:
    before = color.rgb_to_lab(np.broadcast_to(image, colored.shape))[..., 0]
    after = color.rgb_to_lab(colored)[..., 0]
    np.testing.assert_array_less(np.abs(before - after), LEVEL)


def test_the_discriminator_is_shipped_on_request_and_stays(tiny_run, tiny_export, tmp_path):
    first = export_model(tiny_run, tmp_path / "first", discriminator=True)
    again = export_model(first, tmp_path / "again")
    image = tf.random.stateless_uniform((2, 8, 8, 3), [0, 0]) * [100.0, 0.5, 0.5]
    logits = ModelFolder(tiny_run).discriminator()(image, training=False)
    found = ModelFolder(again).discriminator()(image, training=False)
    np.testing.assert_allclose(found, logits, atol=0.01)  # large kernels are stored as float16
    judge = tf.saved_model.load(str(again / "discriminator")).signatures["serving_default"]
    probability = judge(lightness=image[..., :1], chroma=image[..., 1:])["probability"]
    np.testing.assert_allclose(probability, tf.sigmoid(found), atol=1e-5)
    with pytest.raises(ModelError, match="does not hold the discriminator"):
        ModelFolder(tiny_export).discriminator()


@pytest.mark.parametrize("size", [(1, 1), (31, 47), (320, 213), (8, 8), (5, 400)])
@pytest.mark.parametrize("channels", [1, 3])
def test_luminance_is_kept_within_one_level_at_any_size(lively, size, channels):
    image = np.random.default_rng(1).integers(0, 256, (*size, channels), dtype=np.uint8)
    if channels == 3 and min(size) > 4:
        image[:2, :2] = [[255, 0, 0], [0, 0, 255]]  # corners of the gamut
    colored = colorize_images(image[None], any_size(lively), 8, 8)[0]
    assert colored.shape == (*size, 3)
    assert colored.dtype == tf.uint8
    assert_same_luminance(image, colored)


def test_at_the_training_size_the_colors_are_the_generators_own(lively, colorizer):
    images = random_images(6)
    lightness, _ = color.split(images)
    chroma = color.fit_chroma_to_gamut(lightness, lively(lightness, training=False))
    direct = color.to_uint8(color.merge(lightness, chroma))
    assert differences(colorizer(images), direct) <= 1


# Elsewhere ----------------------------------------------------------------------------------

_ELSEWHERE = """
import sys
for name in ("pix2pix_color", "keras"):
    sys.modules[name] = None  # cannot be imported
import numpy as np
import tensorflow as tf

folder, given, made, *settings = sys.argv[1:]
model = tf.saved_model.load(folder)
given = np.load(given)
default, colorize, from_bytes, chroma = (
    model.signatures[name] for name in ("serving_default", "colorize", "from_bytes", "chroma")
)
results = {}
for name in ("gray", "rgb"):
    images = tf.constant(given[name])
    results[name] = default(images=images)["rgb"]
    for setting in settings:
        size, strength = setting.split()
        options = {"render_size": tf.constant(int(size)), "strength": tf.constant(float(strength))}
        results[f"{name} {setting}"] = colorize(images=images, **options)["rgb"]
names = [name for name in given.files if name.startswith("file ")]
files = tf.constant([given[name].tobytes() for name in names])
for name, png in zip(names, from_bytes(image_bytes=files)["png_bytes"]):
    results[name] = np.frombuffer(png.numpy(), np.uint8)
results["lightness"] = chroma(lightness=tf.constant(given["lightness"]))["chroma"]
np.savez(made, **results)
print(int(model.render_size), int(model.multiple))
"""


def encoded(image: Image.Image, file_format: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def as_files() -> dict[str, bytes]:
    """Images of differing sizes in every format that the SavedModel reads."""
    rng = np.random.default_rng(4)

    def image(height: int, width: int, channels: int) -> Image.Image:
        pixels = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
        return Image.fromarray(pixels.squeeze())

    return {
        "gray.png": encoded(image(31, 47, 1), "PNG"),
        "rgb.png": encoded(image(64, 20, 3), "PNG"),
        "alpha.png": encoded(image(9, 8, 4), "PNG"),
        "palette.png": encoded(image(40, 40, 3).quantize(16), "PNG"),
        "bits.png": encoded(image(11, 13, 1).convert("1"), "PNG"),
        "hole.png": encoded(image(14, 10, 3).quantize(16), "PNG", transparency=3),
        "veil.png": encoded(Image.merge("LA", [image(7, 6, 1), Image.new("L", (6, 7), 99)]), "PNG"),
        "gray.jpg": encoded(image(33, 35, 1), "JPEG"),
        "rgb.jpg": encoded(image(50, 70, 3), "JPEG"),
        "gray.bmp": encoded(image(12, 17, 1), "BMP"),
        "rgb.bmp": encoded(image(17, 12, 3), "BMP"),
        "rgb.gif": encoded(image(21, 22, 3).quantize(32), "GIF"),
    }


@pytest.fixture(scope="module")
def elsewhere(lively_export, tmp_path_factory):
    """What was given to, and what was made by, a Python that has TensorFlow and nothing else."""
    folder = tmp_path_factory.mktemp("elsewhere")
    rng = np.random.default_rng(3)
    given = {
        "gray": rng.integers(0, 256, (2, 37, 52, 1), dtype=np.uint8),
        "rgb": rng.integers(0, 256, (3, 70, 41, 3), dtype=np.uint8),
        "lightness": rng.uniform(0, 100, (2, 16, 24, 1)).astype(np.float32),
    }
    files = {f"file {k}": np.frombuffer(v, np.uint8) for k, v in as_files().items()}
    np.savez(folder / "given.npz", **given, **files)
    # -I: no PYTHONPATH, no user site, the folder of the script is not on the path.
    command = [sys.executable, "-I", "-c", _ELSEWHERE, str(lively_export / "saved_model")]
    command += ["given.npz", "made.npz", *(f"{size} {strength}" for size, strength in SETTINGS)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.split() == ["8", "8"]
    return given, dict(np.load(folder / "made.npz"))


def test_every_signature_works_where_neither_this_package_nor_keras_can_be_imported(
    lively, colorizer, elsewhere
):
    given, made = elsewhere
    network = any_size(lively)
    for name in ("gray", "rgb"):
        images = given[name]
        assert differences(made[name], made[f"{name} 8 1.0"]) == 0
        for size, strength in SETTINGS:
            found = made[f"{name} {size} {strength}"]
            assert differences(found, colorize_images(images, network, size, 8, strength)) <= 1
            library = colorizer(images, render_size=size, strength=strength)
            assert differences(found, library) <= 1
            assert_same_luminance(images, found)
        assert np.ptp(made[f"{name} 8 0.0"], axis=-1).max() <= 1  # no color
        assert np.ptp(made[name], axis=-1).max() > 20
    np.testing.assert_array_equal(made["gray 8 0.0"][..., :1], given["gray"])
    expected = network(given["lightness"], training=False)
    np.testing.assert_allclose(made["lightness"], expected, atol=1e-5)


def test_files_of_every_format_and_size_come_back_as_png(lively, elsewhere):
    _, made = elsewhere
    network = any_size(lively)
    for name, content in as_files().items():
        with Image.open(io.BytesIO(content)) as image:
            pixels = np.asarray(image.convert("RGB"))
            alpha = np.asarray(image.convert("RGBA"))[..., 3]
        if name.endswith(".jpg"):  # decoders of JPEG differ by a few levels
            pixels = tf.io.decode_jpeg(content, channels=3).numpy()
        with Image.open(io.BytesIO(made[f"file {name}"].tobytes())) as colored:
            assert colored.format == "PNG"
            transparent = name in ("alpha.png", "hole.png", "veil.png")
            assert colored.mode == ("RGBA" if transparent else "RGB"), name
            result = np.asarray(colored.convert("RGBA"))
        np.testing.assert_array_equal(result[..., 3], alpha)
        assert differences(result[..., :3], colorize_images(pixels[None], network, 8, 8)[0]) <= 1
        assert_same_luminance(pixels, result[..., :3])


# The graph's own rules ------------------------------------------------------------------------


def test_signatures_do_not_depend_on_the_batch(signatures):
    default, from_bytes = signatures["serving_default"], signatures["from_bytes"]
    images = tf.constant(random_images(2, 20))
    alone = default(images=images[:1])["rgb"][0]
    assert differences(default(images=images)["rgb"][0], alone) <= 1
    files = tf.constant(list(as_files().values()))
    together = from_bytes(image_bytes=files)["png_bytes"].numpy()
    for file, png in zip(files, together, strict=True):
        assert from_bytes(image_bytes=file[None])["png_bytes"].numpy()[0] == png
    assert from_bytes(image_bytes=tf.constant([], tf.string))["png_bytes"].shape == [0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Input is empty"),
        (b"not an image", "Unknown image file format"),
        (as_files()["rgb.png"][:200], "PNG"),
        (as_files()["rgb.jpg"][:200], "JPEG"),
    ],
)
def test_bytes_that_are_no_image_are_refused_by_the_graph(signatures, content, message):
    call, good = signatures["from_bytes"], as_files()["gray.png"]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        call(image_bytes=tf.constant([good, content]))
    assert len(call(image_bytes=tf.constant([good]))["png_bytes"]) == 1  # it goes on


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"render_size": 0}, "multiple of 8 from 8 to 1024"),
        ({"render_size": 12}, "multiple of 8 from 8 to 1024"),
        ({"render_size": 1032}, "multiple of 8 from 8 to 1024"),
        ({"strength": -0.1}, "strength must be 0 or more"),
        ({"strength": float("nan")}, "strength must be 0 or more"),
        ({"images": np.zeros([1, 8, 8, 2], np.uint8)}, "1 channel"),
    ],
)
def test_values_out_of_range_are_refused_by_the_graph(signatures, settings, message):
    values = {"images": np.zeros([1, 8, 8, 1], np.uint8), "render_size": 8, "strength": 1.0}
    values = {name: tf.constant(value) for name, value in {**values, **settings}.items()}
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        signatures["colorize"](**values)


def test_an_export_knows_its_settings_refuses_bombs_and_holds_the_network_once(
    lively, tmp_path, monkeypatch
):
    monkeypatch.setattr("pix2pix_color.export.saved_model.MAX_PIXELS", 1000)
    path = export_saved_model(lively, tmp_path / "saved_model", render_size=16)
    loaded = tf.saved_model.load(str(path))
    assert (int(loaded.render_size), int(loaded.multiple)) == (16, 8)
    images = tf.constant(random_images(2, 50))
    settings = {"render_size": tf.constant(16), "strength": tf.constant(1.0)}
    np.testing.assert_array_equal(
        loaded.signatures["serving_default"](images=images)["rgb"],
        loaded.signatures["colorize"](images=images, **settings)["rgb"],
    )
    call = loaded.signatures["from_bytes"]
    assert call(image_bytes=tf.constant([as_files()["alpha.png"]]))["png_bytes"].shape == [1]
    for name in ("gray.png", "rgb.jpg"):
        with pytest.raises(tf.errors.InvalidArgumentError, match="1000 pixels at most"):
            call(image_bytes=tf.constant([as_files()[name]]))

    content = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    (graph,) = content.meta_graphs
    defaults = graph.signature_def["colorize"].defaults
    found = {name: tf.make_ndarray(value) for name, value in defaults.items()}
    assert found == {"render_size": 16, "strength": 1.0}
    # Loading takes as long as the graph is large: four signatures share one network.
    nodes = [node.op for function in graph.graph_def.library.function for node in function.node_def]
    assert nodes.count("Conv2D") == nodes.count("Conv2DBackpropInput") == 2

    with pytest.raises(ExportError, match="already exists"):
        export_saved_model(lively, path)
    for size in (0, 12, 2048):
        with pytest.raises(ColorizerError, match="multiple of 8 from 8 to 1024"):
            export_saved_model(lively, tmp_path / "other", render_size=size)
    assert not (tmp_path / "other").exists()


def test_a_generator_of_rgb_is_exported_like_any_other(tmp_path):
    generator = build_generator(
        GeneratorConfig(depth=3, filters=8), 8, color_space="rgb", lightness_scale="unit", seed=0
    )
    lightness = np.random.default_rng(0).uniform(0, 100, (2, 16, 24, 1)).astype(np.float32)
    colorizer = Colorizer.load(export_saved_model(generator, tmp_path / "saved_model"))
    found = colorizer.predict_chroma(lightness, render_size=16)
    np.testing.assert_allclose(found, any_size(generator)(lightness), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "parameters"), [("report", 6_268_610), ("stable", None), ("vivid", None)]
)
def test_a_shipped_model_is_whole_and_gives_the_colors_of_its_keras_network(name, parameters):
    assert name in shipped_models()
    colorizer = Colorizer.load(name)  # checks every file
    lightness, _ = color.split(random_images(2, 32))
    generator = colorizer.generator
    np.testing.assert_allclose(colorizer.predict_chroma(lightness), generator(lightness), atol=1e-5)
    assert parameters in (None, generator.count_params())
