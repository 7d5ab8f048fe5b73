"""The reference classifier: what it computes, learns, refuses, and how it is shipped."""

import csv
import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import random_images
from skimage import color

from pix2pix_color import load_dataset
from pix2pix_color.apps import cli
from pix2pix_color.classifier import (
    ClassifierConfig,
    _augmented,
    _cut_out,
    accuracy,
    build_classifier,
    export_classifier,
    load_classifier,
    train_classifier,
)
from pix2pix_color.colorizer import shipped_models
from pix2pix_color.data import ImageDataset
from pix2pix_color.errors import ChecksumError, ClassifierError, ConfigError
from pix2pix_color.files import shipped_folder

TINY = ClassifierConfig(
    filters=(8, 8, 16), epochs=3, batch_size=10, learning_rate=0.1, shift=1, cutout=4
)


def labeled(count: int, seed: int = 0, split: str = "train") -> ImageDataset:
    """Dark and bright noise: two classes that any classifier can tell."""
    labels = np.arange(count) % 2
    noise = random_images(count, 32, seed=seed) // 2
    images = (noise + 120 * labels[:, None, None, None]).astype(np.uint8)
    return ImageDataset(
        "two",
        split,
        tf.data.Dataset.from_tensor_slices(images),
        count,
        0,
        labels,
        ("dark", "light"),
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier")
    metrics = train_classifier(TINY, folder, labeled(400), labeled(30, 1, "test"), verbose=0)
    return folder, metrics


def test_the_default_is_small_and_standardizes_its_input():
    model = build_classifier()
    assert model.count_params() * 4 < 6e6  # bytes of the SavedModel's weights
    assert model.output["features"].shape == (None, ClassifierConfig().filters[-1])
    images = random_images(50, 32).astype(np.float32)
    standardized = model.get_layer("standardize")(images).numpy()
    expected = (images - [125.307, 122.950, 113.865]) / [62.993, 62.089, 66.705]
    np.testing.assert_allclose(standardized, expected, atol=1e-5)


def test_it_learns_what_can_be_learned(trained):
    folder, metrics = trained
    assert metrics["test_accuracy"] > 0.9  # chance is one half
    assert metrics["test_count"] == 30
    rows = list(csv.DictReader((folder / "history.csv").open()))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert metrics["seconds"] == round(sum(float(row["seconds"]) for row in rows))
    model = keras.models.load_model(folder / "classifier.keras", compile=False)
    assert accuracy(model, labeled(30, 1)) == pytest.approx(metrics["test_accuracy"], abs=1e-4)


def test_a_square_is_blanked_wherever_it_falls():
    images = random_images(1, 32)[0] // 4 + 180  # brighter than any mean
    sizes = set()
    for seed in range(40):
        cut = _cut_out(tf.constant(images), 8, [0, seed]).numpy()
        changed = (cut != images).any(axis=-1)
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        assert changed.sum() == len(rows) * len(columns)  # a rectangle
        assert changed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        np.testing.assert_array_equal(np.unique(cut[changed], axis=0), [[125, 123, 114]])
        sizes.add((len(rows), len(columns)))
    assert (8, 8) in sizes and any(min(size) < 8 for size in sizes)


def test_accuracy_counts_every_image_once():
    model = build_classifier(TINY, classes=2)
    dataset = labeled(23)
    images = np.stack(list(dataset.images.as_numpy_iterator()))
    predicted = np.argmax(model(images, training=False)["logits"], axis=-1)
    for batch_size in (5, 23, 100):
        measured = accuracy(model, dataset, batch_size)
        assert measured == pytest.approx(np.mean(predicted == dataset.labels))


def test_a_finished_run_is_kept_and_an_interrupted_one_goes_on(trained, tmp_path, monkeypatch):
    folder, metrics = trained
    assert train_classifier(TINY, folder, labeled(400), labeled(30), verbose=0) == metrics

    def stop(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt

    class Stopper(keras.callbacks.Callback):
        on_epoch_begin = stop

    original = keras.Model.fit
    monkeypatch.setattr(
        keras.Model,
        "fit",
        lambda self, *args, callbacks, **options: original(
            self, *args, callbacks=[*callbacks, Stopper()], **options
        ),
    )
    with pytest.raises(KeyboardInterrupt):
        train_classifier(TINY, tmp_path, labeled(400), labeled(30), verbose=0)
    monkeypatch.undo()
    train_classifier(TINY, tmp_path, labeled(400), labeled(30), verbose=0)
    rows = list(csv.DictReader((tmp_path / "history.csv").open()))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]


def test_what_cannot_be_learned_from_is_refused(trained, tmp_path):
    folder, _ = trained
    unlabeled = dataclasses.replace(labeled(40), labels=None)
    with pytest.raises(ClassifierError, match="no labels"):
        train_classifier(TINY, tmp_path, unlabeled, labeled(30))
    with pytest.raises(ClassifierError, match="fewer than a batch"):
        train_classifier(TINY, tmp_path, labeled(9), labeled(30))
    other = dataclasses.replace(TINY, seed=5)
    with pytest.raises(ClassifierError, match="another configuration"):
        train_classifier(other, folder, labeled(400), labeled(30))
    with pytest.raises(ConfigError, match="at least 1"):
        ClassifierConfig(epochs=0)


def test_the_export_computes_what_was_trained_and_carries_its_card(trained, tmp_path):
    folder, metrics = trained
    destination = export_classifier(folder, tmp_path / "shipped")
    with pytest.raises(ClassifierError, match="exists"):
        export_classifier(folder, destination)
    classifier = load_classifier(destination)
    assert classifier.class_names == ("dark", "light")
    assert (classifier.image_size, classifier.feature_count) == (32, 16)
    images = random_images(6, 32)
    logits, features = tf.function(classifier)(images)
    model = keras.models.load_model(folder / "classifier.keras", compile=False)
    expected = model(images.astype(np.float32), training=False)
    np.testing.assert_allclose(logits, expected["logits"], atol=1e-4)
    np.testing.assert_allclose(features, expected["features"], atol=1e-4)
    card = (destination / "README.md").read_text()
    assert f"{metrics['test_accuracy']:.2%}" in card
    assert "dark, light" in card


def test_a_classifier_takes_its_own_images_only(trained, tmp_path):
    classifier = load_classifier(export_classifier(trained[0], tmp_path / "shipped"))
    with pytest.raises(ClassifierError, match="uint8 images of shape"):
        classifier(random_images(2, 16))
    with pytest.raises(ClassifierError, match="float32"):
        classifier(random_images(2, 32).astype(np.float32))


def test_a_missing_or_damaged_classifier_is_named(trained, tmp_path):
    with pytest.raises(ClassifierError, match="train-classifier"):
        load_classifier(tmp_path / "nowhere")
    with pytest.raises(ClassifierError, match="no finished classifier"):
        export_classifier(tmp_path, tmp_path / "out")
    destination = export_classifier(trained[0], tmp_path / "shipped")
    (destination / "config.json").write_text("{}")
    with pytest.raises(ChecksumError, match="differs"):
        load_classifier(destination)


@pytest.mark.parametrize("name", ["classifier", "gray_classifier"])
def test_a_shipped_one_is_small_and_is_no_colorizer(name):
    assert name not in shipped_models()
    folder = shipped_folder() / name
    saved = sum(f.stat().st_size for f in (folder / "saved_model").rglob("*") if f.is_file())
    assert saved < 6e6
    assert load_classifier(name).class_names[3] == "cat"


def test_a_share_of_the_images_is_shown_gray_and_the_same_ones_again():
    dataset, config = labeled(40), dataclasses.replace(TINY, gray=0.5, cutout=0, shift=0)
    batches = [next(iter(_augmented(dataset, config).skip(n)))[0].numpy() for n in (0, 1, 1)]
    # A level apart at most: the channels of gray are rounded each for itself.
    flat = [np.ptp(images, axis=-1).max(axis=(1, 2)) <= 1 for images in batches]
    assert all(0 < np.sum(gray) < 10 for gray in flat)
    assert (flat[0] != flat[1]).any()
    np.testing.assert_array_equal(batches[1], batches[2])
    colors = next(iter(_augmented(dataset, dataclasses.replace(config, gray=0.0)).skip(1)))[0]
    expected = color.rgb2lab(colors.numpy()) * [1, 0, 0]
    expected = np.round(255 * color.lab2rgb(expected))
    difference = np.abs(
        batches[1].astype(int) - np.where(flat[1][:, None, None, None], expected, colors)
    )
    assert difference.max() <= 1
    for wrong in (-0.1, 1.1):
        with pytest.raises(ConfigError, match="share"):
            ClassifierConfig(gray=wrong)


def test_the_card_of_one_that_knows_gray_images_says_so(trained, tmp_path):
    config = dataclasses.replace(TINY, gray=0.5)
    metrics = train_classifier(config, tmp_path / "run", labeled(400), labeled(30, 1), verbose=0)
    assert metrics["gray_test_accuracy"] > 0.9  # dark and bright need no color
    card = (export_classifier(tmp_path / "run", tmp_path / "guide") / "README.md").read_text()
    assert card.startswith("# Model card: `guide`")
    assert "50% of them shown without colors" in card and "yardstick" not in card
    assert f"Without their colors: {metrics['gray_test_accuracy']:.2%}" in card
    plain = (export_classifier(trained[0], tmp_path / "classifier") / "README.md").read_text()
    assert "yardstick" in plain and "in color" in plain


@pytest.mark.cifar10
@pytest.mark.parametrize(
    ("name", "gray", "least"),
    [
        ("classifier", False, 0.90),
        ("gray_classifier", False, 0.88),
        ("gray_classifier", True, 0.86),
    ],
)
def test_a_shipped_one_is_as_accurate_as_its_card_says(name, gray, least):
    classifier = load_classifier(name)
    test = load_dataset("cifar10", "test", drop_gray=False)
    assert test.class_names == classifier.class_names
    right = []
    for images in test.images.batch(500):
        if gray:
            no_color = color.rgb2lab(images.numpy()) * [1, 0, 0]
            images = np.round(255 * color.lab2rgb(no_color)).astype(np.uint8)
        right.append(np.argmax(classifier(images)[0], axis=-1))
    measured = np.mean(np.concatenate(right) == test.labels)
    shipped = json.loads((classifier.folder / "metrics.json").read_text())
    assert shipped["test_count"] == test.count == 10_000
    written = shipped["gray_test_accuracy" if gray else "test_accuracy"]
    assert measured == pytest.approx(written, abs=2e-3)
    assert measured >= least


@pytest.mark.cifar10
def test_the_command_trains_and_exports(tmp_path, capsys, monkeypatch):
    import pix2pix_color.classifier as module

    monkeypatch.setattr(module, "ClassifierConfig", lambda: TINY)
    command = ["train-classifier", "--run", str(tmp_path / "run"), "--epochs", "1", "--limit", "40"]
    assert cli.main([*command, "-o", str(tmp_path / "out")]) == 0
    assert "Test accuracy" in capsys.readouterr().out
    assert load_classifier(tmp_path / "out").class_names[0] == "airplane"
    assert cli.main([*command, "-o", str(tmp_path / "out")]) == 1
    assert "exists" in capsys.readouterr().err
