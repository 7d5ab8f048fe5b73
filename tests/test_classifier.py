"""The classifier: what it computes, learns, refuses, and how it is shipped."""

import csv
import dataclasses
import json

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
    export_classifier,
    load_classifier,
    train_classifier,
)
from pix2pix_color.classifier.training import accuracy, augmented_batches, cut_out
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
    folder = tmp_path_factory.mktemp("classifier")
    return folder, train(folder)


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    return export_classifier(trained[0], tmp_path_factory.mktemp("exported") / "classifier")


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


def test_a_share_of_the_images_is_gray_and_a_later_start_continues_the_stream():
    dataset, config = labeled(40), dataclasses.replace(TINY, gray=0.5, cutout=0, shift=0)

    def batches(gray=0.5, start_step=0):
        wanted = dataclasses.replace(config, gray=gray)
        stream = augmented_batches(dataset, wanted, start_step=start_step).take(8 - start_step)
        return np.stack([images.numpy() for images, _ in stream])

    mixed, colored = batches(), batches(gray=0.0)
    # At most one level apart: each channel of gray is rounded on its own.
    gray = np.ptp(mixed, axis=-1).max(axis=(-2, -1)) <= 1
    assert all(0 < n < 10 for n in gray.sum(axis=1)) and (gray[0] != gray[1]).any()
    expected = np.where(gray[..., None, None, None], without_color(colored), colored)
    assert np.abs(mixed.astype(int) - expected).max() <= 1
    for start_step in (3, 4, 5):  # an epoch has four batches
        np.testing.assert_array_equal(batches(start_step=start_step), mixed[start_step:])


def test_accuracy_counts_every_image_once():
    model, dataset = build_classifier(TINY, classes=2), labeled(23)
    images = np.stack(list(dataset.images.as_numpy_iterator()))
    predicted = np.argmax(model(images, training=False)["logits"], axis=-1)
    for batch_size in (5, 100):
        measured = accuracy(model, dataset, batch_size)
        assert measured == pytest.approx(np.mean(predicted == dataset.labels))


def test_it_learns_what_can_be_learned(trained):
    folder, metrics = trained
    assert metrics["test_accuracy"] > 0.9  # chance is one half
    assert metrics["test_count"] == 30
    rows = list(csv.DictReader((folder / "history.csv").open()))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert metrics["seconds"] == round(sum(float(row["seconds"]) for row in rows))


def test_a_finished_run_is_kept_and_an_interrupted_one_resumes_exactly(
    trained, exported, tmp_path, monkeypatch
):
    assert train(trained[0]) == trained[1]
    original = tf.train.CheckpointManager.save

    def interrupt(manager, number):
        if number == 2:
            raise KeyboardInterrupt
        return original(manager, number)

    monkeypatch.setattr(tf.train.CheckpointManager, "save", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run")
    monkeypatch.undo()
    with pytest.raises(ClassifierError, match="no finished classifier"):
        export_classifier(tmp_path / "run", tmp_path / "out")
    metrics = train(tmp_path / "run")
    rows = list(csv.DictReader((tmp_path / "run" / "history.csv").open()))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert metrics | {"seconds": 0} == trained[1] | {"seconds": 0}
    networks = (
        load_classifier(folder).network()
        for folder in (exported, export_classifier(tmp_path / "run", tmp_path / "out"))
    )
    for one, other in zip(*(network.get_weights() for network in networks), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_cannot_be_trained_is_refused(trained, tmp_path):
    unlabeled = dataclasses.replace(labeled(40), labels=None)
    with pytest.raises(ClassifierError, match="no labels"):
        train_classifier(TINY, tmp_path, unlabeled, labeled(30))
    with pytest.raises(ClassifierError, match="9 images, fewer than one batch of 10"):
        train(tmp_path, count=9)
    with pytest.raises(ClassifierError, match="another configuration"):
        train(trained[0], dataclasses.replace(TINY, seed=5))
    for wrong, message in (
        ({"filters": (8, 8)}, "three positive"),
        ({"epochs": 0}, "at least 1"),
        ({"gray": -0.1}, "share"),
        ({"gray": 1.1}, "share"),
    ):
        with pytest.raises(ConfigError, match=message):
            ClassifierConfig(**wrong)


def test_the_export_computes_what_was_trained_and_carries_its_card(trained, exported):
    folder, metrics = trained
    with pytest.raises(ClassifierError, match="exists"):
        export_classifier(folder, exported)
    classifier = load_classifier(exported)
    assert classifier.class_names == ("dark", "light")
    assert (classifier.image_size, classifier.feature_count) == (32, 16)
    images = random_images(6, 32)
    logits, features = tf.function(classifier)(images)
    expected = classifier.network()(images, training=False)
    np.testing.assert_allclose(logits, expected["logits"], atol=1e-4)
    np.testing.assert_allclose(features, expected["features"], atol=1e-4)
    assert accuracy(classifier.network(), labeled(30, 1)) == metrics["test_accuracy"]
    card = (exported / "README.md").read_text()
    assert f"{metrics['test_accuracy']:.2%}" in card and "dark, light" in card
    assert "The evaluation classifier" in card and "in color;" in card


def test_the_card_of_one_that_knows_gray_images_says_so(tmp_path):
    metrics = train(tmp_path / "run", dataclasses.replace(TINY, gray=0.5), count=400)
    assert metrics["gray_test_accuracy"] > 0.9  # dark and bright need no color
    card = (export_classifier(tmp_path / "run", tmp_path / "guide") / "README.md").read_text()
    assert card.startswith("# Model card: `guide`")
    assert "50% of them shown in gray" in card and "evaluation classifier" not in card
    assert f"{metrics['gray_test_accuracy']:.2%} on the same images in gray" in card


def test_a_classifier_accepts_only_images_of_its_size_and_type(exported):
    classifier = load_classifier(exported)
    with pytest.raises(ClassifierError, match="uint8 images of shape"):
        classifier(random_images(2, 16))
    with pytest.raises(ClassifierError, match="float32"):
        classifier(random_images(2, 32).astype(np.float32))


def test_a_missing_or_damaged_classifier_is_named(exported, tmp_path):
    with pytest.raises(ClassifierError, match="train-classifier"):
        load_classifier(tmp_path / "nowhere")
    config = exported / "config.json"
    original = config.read_text()
    config.write_text("{}")
    with pytest.raises(ChecksumError, match="differs"):
        load_classifier(exported)
    config.write_text(original)


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
    command = ["train-classifier", "--run", str(tmp_path / "run"), "--epochs", "1", "--limit", "40"]
    assert cli.main([*command, "-o", str(tmp_path / "out")]) == 0
    assert "Test accuracy" in capsys.readouterr().out
    assert load_classifier(tmp_path / "out").class_names[0] == "airplane"
    assert cli.main([*command, "-o", str(tmp_path / "out")]) == 1
    assert "exists" in capsys.readouterr().err
