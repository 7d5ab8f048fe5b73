"""What is shipped: the SavedModel, the folder around it, and its checksums."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import random_images, tiny_config
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

from pix2pix_color import color
from pix2pix_color.colorizer import Colorizer
from pix2pix_color.config import GeneratorConfig
from pix2pix_color.errors import ChecksumError, ExportError, ModelError
from pix2pix_color.export import export_model, export_saved_model, model_card
from pix2pix_color.files import verify_checksums
from pix2pix_color.inference import any_size, colorize_images
from pix2pix_color.model_folder import ModelFolder, shipped_models
from pix2pix_color.networks import build_generator

LEVEL = 100 / 255
SIZES = [(1, 1), (31, 47), (640, 427), (32, 32), (5, 400)]


@pytest.fixture(scope="module")
def generator() -> keras.Model:
    model = build_generator(GeneratorConfig(depth=5, filters=4), 32, seed=0)
    rng = np.random.default_rng(0)  # trained-like statistics, strong colors
    for variable in model.weights:
        noise = rng.normal(0, 0.2, variable.shape).clip(-0.5, 2)
        value = (variable.numpy() + noise).astype(np.float16 if noise.ndim > 1 else np.float32)
        variable.assign(value)  # what half precision keeps
    return model


@pytest.fixture(scope="module")
def saved_model(generator, tmp_path_factory):
    return export_saved_model(generator, tmp_path_factory.mktemp("export") / "saved_model")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_luminance_is_kept_within_one_level_at_any_size(generator, size, channels):
    image = np.random.default_rng(1).integers(0, 256, (*size, channels), dtype=np.uint8)
    if channels == 3 and min(size) > 4:
        image[:2, :2] = [[255, 0, 0], [0, 0, 255]]  # corners of the gamut
    colored = colorize_images(image[None], any_size(generator))[0]
    assert colored.shape == (*size, 3)
    assert colored.dtype == tf.uint8
    before = color.rgb_to_lab(np.broadcast_to(image, (*size, 3)))[..., 0]
    after = color.rgb_to_lab(colored)[..., 0]
    np.testing.assert_array_less(np.abs(before - after), LEVEL)


def test_saved_model_and_memory_agree(generator, saved_model):
    images = random_images(6, 32)
    memory = colorize_images(images, any_size(generator)).numpy()
    exported = Colorizer.load(saved_model)(images)
    assert np.abs(memory.astype(int) - exported.astype(int)).max() <= 1
    # At the training size nothing is resized: the colors are the generator's own.
    lightness, _ = color.split(images)
    chroma = color.fit_chroma_to_gamut(lightness, generator(lightness, training=False))
    direct = color.to_uint8(color.merge(lightness, chroma)).numpy()
    assert np.abs(memory.astype(int) - direct.astype(int)).max() <= 1


def test_chroma_signature_is_the_generator(generator, saved_model):
    lightness, _ = color.split(random_images(3, 32))
    signature = tf.saved_model.load(str(saved_model)).signatures["chroma"]
    (chroma,) = signature(lightness=lightness).values()
    np.testing.assert_allclose(chroma, generator(lightness, training=False), atol=1e-5)


def test_colors_do_not_depend_on_the_batch(generator, saved_model):
    images = random_images(5, 32)
    colorizer = Colorizer.load(saved_model)
    alone = np.stack([colorizer(image) for image in images])
    assert np.abs(colorizer(images).astype(int) - alone.astype(int)).max() <= 1


_ELSEWHERE = """
import sys
for name in ("pix2pix_color", "keras"):
    sys.modules[name] = None  # cannot be imported
import numpy as np
import tensorflow as tf

folder, given, made = sys.argv[1:]
model = tf.saved_model.load(folder)
given = np.load(given)
default, colorize, from_bytes, chroma = (
    model.signatures[name] for name in ("serving_default", "colorize", "from_bytes", "chroma")
)
results = {}
for name in ("gray", "rgb"):
    images = tf.constant(given[name])
    results[name] = default(images=images)["rgb"]
    for size, strength in ((64, 0.5), (32, 0.0), (32, 1.0), (96, 2.0)):
        options = {"render_size": tf.constant(size), "strength": tf.constant(strength)}
        results[f"{name} {size} {strength}"] = colorize(images=images, **options)["rgb"]
files = [given[name].tobytes() for name in given.files if name.startswith("file ")]
names = [name for name in given.files if name.startswith("file ")]
for name, png in zip(names, from_bytes(image_bytes=tf.constant(files))["png_bytes"]):
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
def elsewhere(saved_model, tmp_path_factory):
    """What was given to, and what was made by, a Python that has TensorFlow and nothing else."""
    folder = tmp_path_factory.mktemp("elsewhere")
    rng = np.random.default_rng(3)
    given = {
        "gray": rng.integers(0, 256, (2, 37, 52, 1), dtype=np.uint8),
        "rgb": rng.integers(0, 256, (3, 70, 41, 3), dtype=np.uint8),
        "lightness": rng.uniform(0, 100, (2, 64, 96, 1)).astype(np.float32),
    }
    files = {f"file {k}": np.frombuffer(v, np.uint8) for k, v in as_files().items()}
    np.savez(folder / "given.npz", **given, **files)
    # -I: no PYTHONPATH, no user site, the folder of the script is not on the path.
    command = [sys.executable, "-I", "-c", _ELSEWHERE, saved_model, "given.npz", "made.npz"]
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, cwd=folder
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return given, dict(np.load(folder / "made.npz")), result.stdout


def differences(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - np.asarray(other).astype(int)).max())


def test_every_signature_works_where_neither_this_package_nor_keras_can_be_imported(
    generator, saved_model, elsewhere
):
    given, made, said = elsewhere
    network, colorizer = any_size(generator), Colorizer.load(saved_model)
    for name in ("gray", "rgb"):
        images = given[name]
        assert differences(made[name], colorize_images(images, network)) <= 1
        assert differences(made[name], colorizer(images)) <= 1
        for size, strength in ((64, 0.5), (32, 0.0), (32, 1.0), (96, 2.0)):
            expected = colorize_images(images, network, size, 32, strength)
            assert differences(made[f"{name} {size} {strength}"], expected) <= 1
            library = colorizer(images, render_size=size, strength=strength)
            assert differences(made[f"{name} {size} {strength}"], library) <= 1
        assert np.ptp(made[f"{name} 32 0.0"], axis=-1).max() <= 1  # no color
        assert np.ptp(made[name], axis=-1).max() > 20
    np.testing.assert_array_equal(made["gray 32 0.0"][..., :1], given["gray"])
    np.testing.assert_allclose(
        made["lightness"], network(given["lightness"], training=False), atol=1e-5
    )
    assert said.split() == ["32", "32"]


def test_files_of_every_format_and_size_come_back_as_png(generator, elsewhere):
    _, made, _ = elsewhere
    network = any_size(generator)
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
        expected = colorize_images(pixels[None], network)[0]
        assert differences(result[..., :3], expected) <= 1, name  # the graph casts the weights


def test_luminance_is_kept_by_every_signature(elsewhere):
    given, made, _ = elsewhere
    pairs = [
        (given[name], result)
        for name in ("gray", "rgb")
        for key, result in made.items()
        if key.startswith(name)
    ]
    for name, content in as_files().items():
        pixels = tf.io.decode_image(content, channels=3, expand_animations=False).numpy()
        png = made[f"file {name}"].tobytes()
        pairs.append((pixels, tf.io.decode_png(png, channels=3).numpy()))
    assert len(pairs) > 15
    for image, colored in pairs:
        before = color.rgb_to_lab(np.broadcast_to(image, colored.shape))[..., 0]
        after = color.rgb_to_lab(colored)[..., 0]
        np.testing.assert_array_less(np.abs(before - after), LEVEL)


def test_signatures_do_not_depend_on_the_batch(saved_model):
    signatures = tf.saved_model.load(str(saved_model)).signatures
    images = tf.constant(random_images(5, 40))
    together = signatures["serving_default"](images=images)["rgb"]
    alone = [signatures["serving_default"](images=image[None])["rgb"][0] for image in images]
    assert differences(together.numpy(), np.stack(alone)) <= 1
    files = tf.constant(list(as_files().values()))
    together = signatures["from_bytes"](image_bytes=files)["png_bytes"].numpy()
    for file, png in zip(files, together, strict=True):
        assert signatures["from_bytes"](image_bytes=file[None])["png_bytes"].numpy()[0] == png
    none = signatures["from_bytes"](image_bytes=tf.constant([], tf.string))["png_bytes"]
    assert none.shape == [0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Input is empty"),
        (b"not an image", "Unknown image file format"),
        (as_files()["rgb.png"][:200], "PNG"),
        (as_files()["rgb.jpg"][:200], "JPEG"),
    ],
)
def test_bytes_that_are_no_image_are_refused_by_the_graph(saved_model, content, message):
    call = tf.saved_model.load(str(saved_model)).signatures["from_bytes"]
    good = as_files()["gray.png"]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        call(image_bytes=tf.constant([good, content]))
    assert len(call(image_bytes=tf.constant([good]))["png_bytes"]) == 1  # it goes on


def test_a_bomb_is_refused_by_the_graph(generator, tmp_path, monkeypatch):
    monkeypatch.setattr("pix2pix_color.export.saved_model.MAX_PIXELS", 1000)
    path = export_saved_model(generator, tmp_path / "saved_model")
    call = tf.saved_model.load(str(path)).signatures["from_bytes"]
    assert call(image_bytes=tf.constant([as_files()["alpha.png"]]))["png_bytes"].shape == [1]
    for name in ("gray.png", "rgb.jpg"):
        with pytest.raises(tf.errors.InvalidArgumentError, match="1000 pixels at most"):
            call(image_bytes=tf.constant([as_files()[name]]))


@pytest.mark.parametrize(
    ("render_size", "strength", "message"),
    [
        (0, 1.0, "multiple of 32 from 32 to 1024"),
        (40, 1.0, "multiple of 32 from 32 to 1024"),
        (1056, 1.0, "multiple of 32 from 32 to 1024"),
        (32, -0.1, "strength must be 0 or more"),
        (32, float("nan"), "strength must be 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused_by_the_graph(
    saved_model, render_size, strength, message
):
    call = tf.saved_model.load(str(saved_model)).signatures["colorize"]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        call(
            images=tf.zeros([1, 8, 8, 1], tf.uint8),
            render_size=tf.constant(render_size),
            strength=tf.constant(strength),
        )


def test_the_file_knows_its_own_settings_and_holds_the_network_once(generator, tmp_path):
    path = export_saved_model(generator, tmp_path / "saved_model", render_size=64)
    loaded = tf.saved_model.load(str(path))
    assert (int(loaded.render_size), int(loaded.multiple)) == (64, 32)
    images = tf.constant(random_images(2, 50))
    settings = {"render_size": tf.constant(64), "strength": tf.constant(1.0)}
    np.testing.assert_array_equal(
        loaded.signatures["serving_default"](images=images)["rgb"],
        loaded.signatures["colorize"](images=images, **settings)["rgb"],
    )
    content = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    (graph,) = content.meta_graphs
    defaults = graph.signature_def["colorize"].defaults
    assert {name: tf.make_ndarray(value) for name, value in defaults.items()} == {
        "render_size": 64,
        "strength": 1.0,
    }
    # Loading takes as long as the graph is large: four signatures share one network.
    nodes = [node.op for function in graph.graph_def.library.function for node in function.node_def]
    assert nodes.count("Conv2D") == 5
    assert nodes.count("Conv2DBackpropInput") == 5


def test_images_of_two_channels_are_refused_by_the_graph(saved_model):
    call = tf.saved_model.load(str(saved_model)).signatures["serving_default"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="1 channel"):
        call(images=tf.zeros([1, 8, 8, 2], tf.uint8))


def test_an_existing_folder_is_kept_and_a_bad_render_size_refused(generator, saved_model):
    with pytest.raises(ExportError, match="already exists"):
        export_saved_model(generator, saved_model)
    for size in (0, 40, 2048):
        with pytest.raises(ExportError, match="multiple of 32 from 32 to 1024"):
            export_saved_model(generator, saved_model.parent / "other", render_size=size)
    assert not (saved_model.parent / "other").exists()


def test_a_run_is_exported_whole_and_its_card_says_how_it_was_trained(tiny_run, tiny_export):
    card = (tiny_export / "README.md").read_text()
    assert "8 of 8 planned iterations" in card
    assert "Not measured" in card
    files = [p for p in tiny_export.rglob("*") if p.is_file()]
    assert verify_checksums(tiny_export) == len(files) - 1
    assert Colorizer.load(tiny_export).config == Colorizer.load(tiny_run).config


def card_of(run, *changes):
    """Returns the card of a folder whose configuration is changed."""
    config = tiny_config(*changes)
    (run / "config.json").write_text(config.to_json())
    return model_card(ModelFolder(run), "mine")


@pytest.mark.parametrize(
    ("network", "whose", "taught"),
    [
        ("classifier", "the evaluation classifier", True),
        ("/home/me/another", "`another`", False),
    ],
)
def test_a_card_names_the_perceptual_network_and_the_scores_that_it_spoils(
    tiny_export, tmp_path, network, whose, taught
):
    mine = shutil.copytree(tiny_export, tmp_path / "mine")
    changes = ("training.perceptual_weight=2", f"training.perceptual_network={network}")
    card = card_of(mine, *changes)
    assert f"+ 2 x perceptual distance in the features of {whose};" in card
    assert ("trained with the features of the evaluation classifier" in card) == taught


def test_a_card_names_the_augmentation_and_the_guide(tiny_export, tmp_path):
    mine = shutil.copytree(tiny_export, tmp_path / "mine")
    plain = card_of(mine)
    assert "Conditioned" not in plain and "classifier `" not in plain and "flip" not in plain
    card = card_of(
        mine, "data.flip=true", "data.shift=3", "generator.kind=residual",
        "generator.guide=classifier", "generator.self_ensemble=true",
    )  # fmt: skip
    assert "random flips, random shifts of up to 3 pixels, without gray images" in card
    assert "Conditioned on the classifier `classifier`" in card
    assert "flip test-time augmentation" in card


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


def test_a_run_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no config\.json"):
        export_model(tmp_path, tmp_path / "out")
    (tmp_path / "config.json").write_text(tiny_config().to_json())
    with pytest.raises(ModelError, match="from its first checkpoint on"):
        export_model(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_shipped_report_model_is_whole_and_of_the_report_s_size():
    assert "report" in shipped_models()
    colorizer = Colorizer.load("report")  # checks every file
    assert colorizer.generator.count_params() == 6_268_610
    assert {layer.__module__.partition(".")[0] for layer in colorizer.generator.layers} == {"keras"}


def test_a_generator_of_rgb_is_exported_like_any_other(tmp_path):
    generator = build_generator(
        GeneratorConfig(depth=3, filters=8), 8, color_space="rgb", lightness_scale="unit", seed=0
    )
    lightness = np.random.default_rng(0).uniform(0, 100, (2, 16, 24, 1)).astype(np.float32)
    chroma = any_size(generator)(lightness)  # at other sizes than its own
    assert chroma.shape == (2, 16, 24, 2)
    export_saved_model(generator, tmp_path / "saved_model")
    exported = tf.saved_model.load(tmp_path / "saved_model").signatures["chroma"]
    np.testing.assert_allclose(
        next(iter(exported(tf.constant(lightness)).values())), chroma, atol=1e-5
    )
