"""The classifier: what it computes, learns, refuses, and how it is shipped."""

import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from conftest import random_images
from skimage import color

from pix2pix_color import load_dataset
from pix2pix_color.apps import cli
from pix2pix_color.classifier import (
    ClassifierConfig,
    build_classifier,
    load_classifier,
    train_classifier,
)
from pix2pix_color.classifier.training import augmented_batches, cut_out
from pix2pix_color.data import ImageDataset
from pix2pix_color.errors import ChecksumError, ClassifierError, ConfigError
from pix2pix_color.model_folder import shipped_models

TINY = ClassifierConfig(
    filters=(8, 8, 16), epochs=3, batch_size=10, learning_rate=0.1, shift=1, cutout=4
)


def labeled(count: int, seed: int = 0, split: str = "train") -> ImageDataset:
    """Dark and bright noise: two classes that any classifier can tell apart."""
    labels = np.arange(count) % 2
    noise = random_images(count, 32, seed=seed) // 2
    images = (noise + 120 * labels[:, None, None, None]).astype(np.uint8)
    dataset = tf.data.Dataset.from_tensor_slices(images)
    return ImageDataset("two", split, dataset, count, 0, labels, ("dark", "light"))


def train(folder, config=TINY, count=200):
    return train_classifier(config, folder, labeled(count), labeled(30, 1, "test"), verbose=0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "classifier"
    return folder, train(folder)


def without_color(images):
    lab = color.rgb2lab(images) * [1, 0, 0]
    return np.round(255 * color.lab2rgb(lab)).astype(np.uint8)


def test_the_default_is_small_and_standardizes_its_input():
    model = build_classifier()
    assert model.count_params() * 4 < 6e6  # bytes of the SavedModel's weights
    assert model.output["features"].shape == (None, ClassifierConfig().filters[-1])
    images = random_images(50, 32).astype(np.float32)
    standardized = model.get_layer("standardize")(images).numpy()
    expected = (images - [125.307, 122.950, 113.865]) / [62.993, 62.089, 66.705]
    np.testing.assert_allclose(standardized, expected, atol=1e-5)


def test_a_square_is_blanked_wherever_it_falls():
    images = random_images(1, 32)[0] // 4 + 180  # brighter than any mean
    sizes = set()
    for seed in range(40):
        cut = cut_out(tf.constant(images), 8, [0, seed]).numpy()
        changed = (cut != images).any(axis=-1)
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        assert changed.sum() == len(rows) * len(columns)  # a rectangle
        assert changed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        np.testing.assert_array_equal(np.unique(cut[changed], axis=0), [[125, 123, 114]])
        sizes.add((len(rows), len(columns)))
    assert (8, 8) in sizes and any(min(size) < 8 for size in sizes)


def test_a_share_of_the_images_is_gray():
    config = dataclasses.replace(TINY, gray=0.5, cutout=0, shift=0)

    def batches(gray):
        stream = augmented_batches(labeled(40), dataclasses.replace(config, gray=gray)).take(8)
        return np.stack([images.numpy() for images, _ in stream])

    mixed, colored = batches(0.5), batches(0.0)
    # At most one level apart: each channel of gray is rounded on its own.
    gray = np.ptp(mixed, axis=-1).max(axis=(-2, -1)) <= 1
    assert all(0 < n < 10 for n in gray.sum(axis=1)) and (gray[0] != gray[1]).any()
    expected = np.where(gray[..., None, None, None], without_color(colored), colored)
    assert np.abs(mixed.astype(int) - expected).max() <= 1


def test_it_learns_what_can_be_learned_and_the_same_again(trained, tmp_path):
    folder, metrics = trained
    assert metrics["test_accuracy"] > 0.9  # chance is one half
    assert metrics["test_count"] == 30
    rows = list(csv.DictReader((folder / "history.csv").open()))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert train(tmp_path / "again") | {"seconds": 0} == metrics | {"seconds": 0}
    networks = (load_classifier(path).network() for path in (folder, tmp_path / "again"))
    for one, other in zip(*(network.get_weights() for network in networks), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_what_cannot_be_trained_is_refused(trained, tmp_path):
    unlabeled = dataclasses.replace(labeled(40), labels=None)
    with pytest.raises(ClassifierError, match="no labels"):
        train_classifier(TINY, tmp_path / "new", unlabeled, labeled(30))
    with pytest.raises(ClassifierError, match="9 images, fewer than one batch of 10"):
        train(tmp_path / "new", count=9)
    with pytest.raises(ClassifierError, match="exists"):
        train(trained[0])
    assert list(tmp_path.iterdir()) == []
    for wrong, message in (({"epochs": 0}, "at least 1"), ({"gray": 1.1}, "share")):
        with pytest.raises(ConfigError, match=message):
            ClassifierConfig(**wrong)


def test_the_folder_computes_what_was_trained_and_carries_its_card(trained):
    folder, metrics = trained
    classifier = load_classifier(folder)
    assert classifier.class_names == ("dark", "light")
    assert (classifier.image_size, classifier.feature_count) == (32, 16)
    test = labeled(30, 1)
    images = np.stack(list(test.images.as_numpy_iterator()))
    logits, features = tf.function(classifier)(images)
    expected = classifier.network()(images, training=False)
    np.testing.assert_allclose(logits, expected["logits"], atol=1e-4)
    np.testing.assert_allclose(features, expected["features"], atol=1e-4)
    right = np.argmax(logits, axis=-1) == test.labels
    assert np.mean(right) == pytest.approx(metrics["test_accuracy"], abs=1e-4)
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    card = (folder / "README.md").read_text()
    assert f"{metrics['test_accuracy']:.2%}" in card and "dark, light" in card
    assert "The evaluation classifier" in card and "in color;" in card


def test_the_card_of_one_that_knows_gray_images_says_so(tmp_path):
    metrics = train(tmp_path / "guide", dataclasses.replace(TINY, gray=0.5), count=400)
    assert metrics["gray_test_accuracy"] > 0.9  # dark and bright need no color
    card = (tmp_path / "guide" / "README.md").read_text()
    assert card.startswith("# Model card: `guide`")
    assert "50% of them shown in gray" in card and "evaluation classifier" not in card
    assert f"{metrics['gray_test_accuracy']:.2%} on the same images in gray" in card


def test_a_classifier_accepts_only_images_of_its_size_and_type(trained):
    classifier = load_classifier(trained[0])
    with pytest.raises(ClassifierError, match="uint8 images of shape"):
        classifier(random_images(2, 16))
    with pytest.raises(ClassifierError, match="float32"):
        classifier(random_images(2, 32).astype(np.float32))


def test_a_missing_or_damaged_classifier_is_named(trained, tmp_path):
    with pytest.raises(ClassifierError, match="train-classifier"):
        load_classifier(tmp_path / "nowhere")
    damaged = shutil.copytree(trained[0], tmp_path / "damaged")
    (damaged / "config.json").write_text("{}")
    with pytest.raises(ChecksumError, match="differs"):
        load_classifier(damaged)


@pytest.mark.cifar10
def test_the_shipped_ones_are_as_accurate_as_their_cards_say():
    test = load_dataset("cifar10", "test", drop_gray=False, limit=1_000)
    images = np.stack(list(test.images.as_numpy_iterator()))
    gray_images = without_color(images)
    for name in ("classifier", "gray_classifier"):
        assert name not in shipped_models()
        classifier = load_classifier(name)
        files = (classifier.folder / "saved_model").rglob("*")
        assert sum(file.stat().st_size for file in files if file.is_file()) < 6e6
        assert classifier.class_names == test.class_names
        metrics = json.loads((classifier.folder / "metrics.json").read_text())
        assert metrics["test_count"] == 10_000
        for score, seen in (("test_accuracy", images), ("gray_test_accuracy", gray_images)):
            right = np.argmax(classifier(seen)[0], axis=-1) == test.labels
            # A tenth of the test split: two and a half standard deviations.
            assert np.mean(right) == pytest.approx(metrics[score], abs=0.025)


@pytest.mark.cifar10
def test_the_command_trains_and_exports(tmp_path, capsys, monkeypatch):
    import pix2pix_color.classifier as module

    monkeypatch.setattr(module, "ClassifierConfig", lambda: TINY)
    command = ["train-classifier", "-o", str(tmp_path / "out"), "--epochs", "1", "--limit", "40"]
    assert cli.main(command) == 0
    assert "Test accuracy" in capsys.readouterr().out
    assert load_classifier(tmp_path / "out").class_names[0] == "airplane"
    assert cli.main(command) == 1
    assert "exists" in capsys.readouterr().err
