"""What is shipped: the SavedModel, the folder around it, and its checksums."""

from __future__ import annotations

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import random_images, run_python, tiny_config

from pix2pix_color import color
from pix2pix_color.colorizer import Colorizer, shipped_models
from pix2pix_color.config import GeneratorConfig
from pix2pix_color.export import ExportError, export_run, export_saved_model
from pix2pix_color.files import ChecksumError, verify_checksums
from pix2pix_color.inference import any_size, colorize_images
from pix2pix_color.networks import build_generator

LEVEL = 100 / 255
SIZES = [(1, 1), (31, 47), (640, 427), (32, 32), (5, 400)]


@pytest.fixture(scope="module")
def generator() -> keras.Model:
    model = build_generator(GeneratorConfig(depth=5, filters=4), 32, seed=0)
    rng = np.random.default_rng(0)  # trained-like statistics, strong colours
    model.set_weights([w + rng.normal(0, 0.2, w.shape).clip(-0.5, 2) for w in model.get_weights()])
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


def test_saved_model_keras_file_and_memory_agree(generator, saved_model, tmp_path):
    generator.save(tmp_path / "generator.keras")
    images = random_images(6, 32)
    memory = colorize_images(images, any_size(generator)).numpy()
    keras_file = Colorizer.load(tmp_path / "generator.keras")(images)
    exported = Colorizer.load(saved_model)(images)
    for other in (keras_file, exported):
        assert np.abs(memory.astype(int) - other.astype(int)).max() <= 1
    # At the training size nothing is resized: the colours are the generator's own.
    lightness, _ = color.split(images)
    chroma = color.fit_chroma_to_gamut(lightness, generator(lightness, training=False))
    direct = color.to_uint8(color.merge(lightness, chroma)).numpy()
    assert np.abs(memory.astype(int) - direct.astype(int)).max() <= 1


def test_chroma_signature_is_the_generator(generator, saved_model):
    lightness, _ = color.split(random_images(3, 32))
    signature = tf.saved_model.load(str(saved_model)).signatures["chroma"]
    (chroma,) = signature(lightness=lightness).values()
    np.testing.assert_allclose(chroma, generator(lightness, training=False), atol=1e-5)


def test_colours_do_not_depend_on_the_batch(generator, saved_model):
    images = random_images(5, 32)
    colorizer = Colorizer.load(saved_model)
    alone = np.stack([colorizer(image) for image in images])
    assert np.abs(colorizer(images).astype(int) - alone.astype(int)).max() <= 1


def test_saved_model_runs_where_neither_this_package_nor_keras_can_be_imported(
    saved_model, tmp_path
):
    script = (
        "import sys\n"
        "sys.modules['pix2pix_color'] = sys.modules['keras'] = None\n"
        "import numpy as np, tensorflow as tf\n"
        f"model = tf.saved_model.load({str(saved_model)!r})\n"
        "call = model.signatures['serving_default']\n"
        "(out,) = call(images=np.zeros((2, 20, 30, 1), np.uint8)).values()\n"
        "print(out.shape, out.dtype.name)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert result.stdout.strip() == "(2, 20, 30, 3) uint8"


def test_images_of_two_channels_are_refused_by_the_graph(saved_model):
    call = tf.saved_model.load(str(saved_model)).signatures["serving_default"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="1 channel"):
        call(images=tf.zeros([1, 8, 8, 2], tf.uint8))


def test_an_existing_folder_is_kept_and_a_bad_render_size_refused(generator, saved_model):
    with pytest.raises(ExportError, match="exists already"):
        export_saved_model(generator, saved_model)
    with pytest.raises(ExportError, match="multiple of 32"):
        export_saved_model(generator, saved_model.parent / "other", render_size=40)
    assert not (saved_model.parent / "other").exists()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run folder, as `pix2pix-color train` leaves it."""
    folder = tmp_path_factory.mktemp("run")
    config = tiny_config()
    (folder / "config.json").write_text(config.to_json())
    (folder / "history.csv").write_text(
        "step,epoch,generator_loss,adversarial_loss,l1_loss,discriminator_loss,"
        "discriminator_accuracy\n0,0,38.0,0.7,0.37,1.4,0.5\n10,0,8.0,0.7,0.07,1.3,0.5\n"
    )
    build_generator(config.generator, 8, seed=0).save(folder / "generator.keras")
    return folder


def test_a_run_is_exported_whole_and_its_card_says_how_it_was_trained(run, tmp_path):
    folder = export_run(run, tmp_path / "mine")
    card = (folder / "README.md").read_text()
    assert "11 iterations of the 8" in card  # from the history; the plan from config.json
    assert "Not measured" in card
    assert verify_checksums(folder) == len([p for p in folder.rglob("*") if p.is_file()]) - 1
    assert Colorizer.load(folder).config == tiny_config()


def test_a_changed_or_missing_file_fails_its_checksum(run, tmp_path):
    folder = export_run(run, tmp_path / "mine")
    weights = next((folder / "saved_model" / "variables").glob("*.data*"))
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ChecksumError, match="not the file that was shipped"):
        Colorizer.load(folder)
    weights.unlink()
    with pytest.raises(ChecksumError, match="is missing"):
        Colorizer.load(folder)


def test_an_unfinished_run_is_refused(tmp_path):
    with pytest.raises(ExportError, match=r"no config\.json"):
        export_run(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_shipped_report_model_is_whole_and_of_the_report_s_size():
    assert "report" in shipped_models()
    colorizer = Colorizer.load("report")  # checks every file
    assert colorizer.generator.count_params() == 6_268_610
    assert {layer.__module__.partition(".")[0] for layer in colorizer.generator.layers} == {"keras"}


_COLOURIZE = """
import sys
import numpy as np
from pix2pix_color import Colorizer
images = np.load(sys.argv[2])
np.save(sys.argv[3], Colorizer.load(sys.argv[1])(images))
"""


def test_a_generator_of_rgb_is_saved_loaded_and_exported_like_any_other(tmp_path):
    generator = build_generator(
        GeneratorConfig(depth=3, filters=8), 8, color_space="rgb", lightness_scale="unit", seed=0
    )
    lightness = np.random.default_rng(0).uniform(0, 100, (2, 16, 24, 1)).astype(np.float32)
    chroma = any_size(generator)(lightness)  # at other sizes than its own
    assert chroma.shape == (2, 16, 24, 2)
    generator.save(tmp_path / "generator.keras")
    export_saved_model(generator, tmp_path / "saved_model")
    exported = tf.saved_model.load(tmp_path / "saved_model").signatures["chroma"]
    np.testing.assert_allclose(
        next(iter(exported(tf.constant(lightness)).values())), chroma, atol=1e-5
    )
    images = random_images(2, 16)
    np.save(tmp_path / "images.npy", images)
    # Another Python has imported nothing that registers the layer.
    arguments = (tmp_path / n for n in ("generator.keras", "images.npy", "colored.npy"))
    code, _, errors = run_python(_COLOURIZE, *arguments)
    assert code == 0, errors
    expected = colorize_images(images, any_size(generator), 8, 8).numpy().astype(int)
    assert np.abs(np.load(tmp_path / "colored.npy").astype(int) - expected).max() <= 1
