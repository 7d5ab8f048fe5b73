"""Losses beyond the report's two, and fine-tuning."""

from __future__ import annotations

import dataclasses
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import as_dataset, random_images, tiny_config
from test_training import PLAIN, batch, fit, largest_difference, make_trainer, update, weights

from pix2pix_color import color, losses, metrics
from pix2pix_color.classifier import ClassifierConfig, build_classifier, load_classifier
from pix2pix_color.classifier.saved_model import write_classifier
from pix2pix_color.config import Config
from pix2pix_color.distribute import make_strategy
from pix2pix_color.errors import ModelError, Pix2PixColorError, TrainingError
from pix2pix_color.files import shipped_folder
from pix2pix_color.model_folder import ModelFolder
from pix2pix_color.networks import color_generator
from pix2pix_color.networks.layer_maker import LayerMaker
from pix2pix_color.training import METRICS, Trainer
from pix2pix_color.training.terms import load_perceptual_network

SPECTRAL = ("generator.normalization=none", "discriminator.normalization=spectral")


def objective_of(trainer, lightness, chroma):
    """Returns the metrics by name, and the gradients of both networks."""
    count = tf.constant(float(len(lightness)))
    row, *gradients = trainer.replica_step.gradients(lightness, chroma, count)
    return dict(zip(METRICS, row.numpy(), strict=True)), *gradients


def assert_close(found, expected, tolerance=1e-4):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


class TestPixelLosses:
    @pytest.mark.parametrize("space", ["lab", "rgb"])
    def test_are_summed_as_weighted_and_give_the_generator_their_gradient(self, space):
        trainer = make_trainer(
            "training.adversarial_weight=0", "training.l1_weight=3", "training.rgb_weight=2",
            f"data.color_space={space}", *PLAIN,
        )  # fmt: skip
        lightness, chroma = batch()
        real_rgb = color.merge(lightness, chroma)
        real = chroma if space == "lab" else 2 * real_rgb - 1
        variables = trainer.generator.trainable_variables
        with tf.GradientTape() as tape:
            fake = color_generator(trainer.generator)(lightness, training=True)
            seen = fake if space == "lab" else color.split((fake + 1) / 2)[1]
            fake_rgb = color.merge(lightness, seen, straight_through=True)
            expected = 3 * tf.reduce_mean(tf.abs(real - fake)) + 2 * tf.reduce_mean(
                losses.rgb_loss(real_rgb, fake_rgb)
            )
        row, gradients, others = objective_of(trainer, lightness, chroma)
        assert row["generator_loss"] == pytest.approx(float(expected), rel=1e-3)
        assert others == []
        found = tape.gradient(expected, [v.value for v in variables])
        assert_close(gradients, found, 1e-2)

    def test_rare_colors_count_more_once_the_images_were_counted(self):
        trainer = make_trainer("training.rebalance=0.5", *PLAIN)
        lightness, chroma = batch()
        plain = make_trainer(*PLAIN)
        before = objective_of(plain, lightness, chroma)[0]
        assert objective_of(trainer, lightness, chroma)[0] == pytest.approx(before, rel=1e-5)
        images = random_images()
        trainer.replica_step.predict.count_colors(as_dataset(images))
        lab = color.rgb_to_lab(images)
        counts = np.sum(metrics.chroma_histogram(lab), axis=0)
        bins = metrics.class_rebalancing(counts, 0.5)
        real = tf.concat([lightness, 128 * chroma], -1)
        pixels = metrics.pixel_weights(real, tf.constant(bins, tf.float32))
        assert np.ptp(pixels) > 0.1
        fake = trainer.generator(lightness)
        expected = np.mean(pixels[..., None] * np.abs(chroma - fake))
        found = objective_of(trainer, lightness, chroma)[0]["l1_loss"]
        assert found == pytest.approx(expected, rel=1e-4)
        assert abs(found / before["l1_loss"] - 1) > 1e-4


def perceptual_config(network="classifier", size=32, precision="float32"):
    return tiny_config(
        f"data.image_size={size}", "training.perceptual_weight=7",
        f"training.perceptual_network={network}", f"training.precision={precision}",
        "training.l1_weight=0", "training.adversarial_weight=0", "generator.filters=2", *PLAIN,
    )  # fmt: skip


@pytest.fixture(scope="module")
def another(tmp_path_factory):
    """The folder of a classifier of random weights."""
    config = ClassifierConfig(filters=(2, 4, 6))
    folder = tmp_path_factory.mktemp("another")
    description = {**vars(config), "image_size": 24, "class_names": ["dark", "light"]}
    metrics = {
        "dataset": "two", "test_accuracy": 0.5, "gray_test_accuracy": 0.5, "test_count": 9,
        "train_count": 9, "epochs": 1, "seconds": 1, "parameters": 9,
    }  # fmt: skip
    write_classifier(folder, build_classifier(config, 24, 2), description, metrics)
    return folder


class TestPerceptualLoss:
    def test_its_maps_end_in_the_features_and_low_precision_follows(self):
        images = tf.cast(random_images(2, 32), tf.float32)
        maps, low = (
            load_perceptual_network(perceptual_config(precision=p))(images, training=False)
            for p in ("float32", "mixed_bfloat16")
        )
        assert [tuple(x.shape[1:]) for x in maps] == [(15, 15, 64), (7, 7, 128), (3, 3, 256)]
        _, features = load_classifier()(tf.cast(images, tf.uint8))
        np.testing.assert_allclose(tf.reduce_max(maps[-1], [1, 2]), features, rtol=1e-3, atol=1e-3)
        for one, other in zip(low, maps, strict=True):
            assert one.dtype == tf.bfloat16
            assert np.abs(tf.cast(one, tf.float32) - other).mean() < 0.05 * np.mean(other)

    def test_trains_the_generator_and_nothing_else(self, another):
        trainer = Trainer(perceptual_config(another, 24), None, make_strategy("cpu"))
        lightness, chroma = color.split(random_images(2, 24))
        network = load_perceptual_network(trainer.config)
        assert not network.trainable_variables
        fake = color.merge(lightness, trainer.generator(lightness))
        rgbs = (color.merge(lightness, chroma), fake)
        maps = [network(255 * rgb, training=False) for rgb in rgbs]
        assert [x.shape[-1] for x in maps[0]] == [2, 4, 6]
        expected = 7 * sum(float(np.mean((a - b) ** 2)) for a, b in zip(*maps, strict=True))
        row, gradients, _ = objective_of(trainer, lightness, chroma)
        assert row["generator_loss"] == pytest.approx(expected, rel=1e-3)
        assert max(np.abs(g).max() for g in gradients) > 0

    def test_needs_images_of_the_classifiers_size(self, another):
        with pytest.raises(TrainingError, match="needs images of 24 pixels.*image_size is 32"):
            load_perceptual_network(perceptual_config(another))

    def test_what_is_no_classifier_is_refused_in_one_line(self, another, tmp_path):
        damaged = shutil.copytree(another, tmp_path / "damaged")
        (damaged / "config.json").write_text("{}")
        for name, reason in (
            ("vgg19", "There is no classifier named or at 'vgg19'"),
            ("stable", "is not a classifier"),  # a shipped colorizer
            (damaged, "SHA-256 differs"),
        ):
            with pytest.raises(Pix2PixColorError, match=reason) as caught:
                load_perceptual_network(perceptual_config(name))
            assert "\n" not in str(caught.value)

    def test_the_one_that_scores_is_not_taken_under_another_name(self):
        with pytest.raises(TrainingError, match="is the classifier that scores: call it cl"):
            load_perceptual_network(perceptual_config(shipped_folder() / "classifier"))


def test_matched_features_teach_the_generator_alone():
    plain, matched = (make_trainer(f"training.feature_matching_weight={w}", *PLAIN) for w in (0, 9))
    lightness, chroma = batch()
    examples = matched.replica_step.predict(lightness, chroma)
    maps = examples.real_outputs[:-1], examples.fake_outputs[:-1]
    assert [tuple(x.shape[1:]) for x in maps[0]] == [(4, 4, 4), (4, 4, 8)]
    expected = 9 * sum(np.mean(np.abs(a - b)) for a, b in zip(*maps, strict=True))
    one, other = (objective_of(t, lightness, chroma) for t in (plain, matched))
    gain = other[0]["generator_loss"] - one[0]["generator_loss"]
    assert gain == pytest.approx(expected, rel=1e-3)
    assert max(np.abs(a - b).max() for a, b in zip(one[1], other[1], strict=True)) > 1e-3
    assert_close(one[2], other[2], 1e-6)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run, and its trainer."""
    folder = tmp_path_factory.mktemp("initial") / "trained"
    trainer = make_trainer("training.generator_learning_rate=0.05", folder=folder)
    fit(trainer, steps=2)
    return folder, trainer


class TestInitialGenerator:
    def test_gives_its_weights_and_statistics(self, trained):
        folder, before = trained
        trainer = make_trainer(
            f"training.initial_generator={folder}", "training.precision=mixed_bfloat16"
        )
        exported = before.inference_generator().get_weights()
        assert largest_difference(trainer.generator.get_weights(), exported) == 0
        update(trainer, *batch())
        assert largest_difference(trainer.generator.get_weights(), exported) > 0

    def test_a_resumed_run_does_not_need_it_and_keeps_it_for_the_dial(self, trained, tmp_path):
        source, run = shutil.copytree(trained[0], tmp_path / "source"), tmp_path / "run"
        trainer = make_trainer(f"training.initial_generator={source}", folder=run)
        fit(trainer, steps=2)
        expected = ModelFolder(source).generator().get_weights()
        shutil.rmtree(source)
        again = Trainer.resume(run)
        assert largest_difference(weights(again), weights(trainer)) == 0
        fit(again, steps=4)
        kept = ModelFolder(run).generator(vividness=0.0).get_weights()
        assert largest_difference(kept, expected) == 0

    def test_a_run_is_read_in_the_precision_it_has(self, trained, tmp_path, monkeypatch):
        plain = LayerMaker.convolution

        def with_casts(make, x, *args, **options):  # Keras 3.6 numbers them among the layers
            x = x if make.precision == "float32" else keras.ops.cast(x, "bfloat16")
            return plain(make, x, *args, **options)

        monkeypatch.setattr(LayerMaker, "convolution", with_casts)
        trainer = make_trainer(
            f"training.initial_generator={trained[0]}", "training.precision=mixed_bfloat16",
            "training.ema_momentum=0.5", "training.generator_learning_rate=0.05", folder=tmp_path,
        )  # fmt: skip
        for _ in range(2):
            update(trainer, *batch())
            trainer.step.assign_add(1)
        trainer.save()
        (tmp_path / "config.json").write_text(trainer.config.to_json())
        run, averaged = ModelFolder(tmp_path), trainer.inference_generator()
        assert largest_difference(averaged.get_weights(), trainer.generator.get_weights()) > 0
        for found, expected in (
            (run.generator(), averaged),
            (run.generator(vividness=0.0), ModelFolder(trained[0]).generator()),
            (run.discriminator(), trainer.discriminator),
        ):
            assert {layer.compute_dtype for layer in found.layers} == {"float32"}
            assert largest_difference(found.get_weights(), expected.get_weights()) == 0

    def test_a_shipped_model_is_found_by_its_name(self):
        trainer = Trainer(Config.report().override("training.initial_generator=report"))
        assert np.abs(trainer.generator.get_layer("down1_norm").moving_mean).max() > 1

    @pytest.mark.parametrize(
        "change", ["generator.filters=8", "generator.depth=3", "data.lightness_scale=unit"]
    )
    def test_another_network_is_refused(self, trained, change):
        with pytest.raises(TrainingError, match="is another network than this") as caught:
            make_trainer(f"training.initial_generator={trained[0]}", change)
        assert "\n" not in str(caught.value)

    def test_a_missing_one_is_refused(self, tmp_path):
        with pytest.raises(ModelError, match=r"no model named or at 'stabel'.*'stable'"):
            make_trainer("training.initial_generator=stabel")
        (tmp_path / "config.json").write_text(Config.report().to_json())
        with pytest.raises(ModelError, match="from its first checkpoint on"):
            make_trainer(f"training.initial_generator={tmp_path}")


def test_stable_and_vivid_share_one_generator_so_that_their_weights_can_be_mixed():
    stable, vivid = Config.stable(), Config.vivid()
    alone = dataclasses.replace(stable.generator, self_ensemble=False)  # has no weights
    assert alone == vivid.generator
    assert stable.data == vivid.data
    assert vivid.training.initial_generator == "stable"


def test_xla_computes_the_same():
    rows = []
    for xla in (False, True):
        trainer = make_trainer(
            f"training.xla={xla}", "training.feature_matching_weight=1",
            "training.rgb_weight=1", *SPECTRAL,
        )  # fmt: skip
        stream = as_dataset(random_images()).training_batches(8, drop_remainder=True)
        rows.append(trainer.train_steps(iter(stream), 3).numpy())
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-3, atol=1e-4)
