"""The residual generator, its guide and style, and flip augmentation."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from test_networks import NORMALIZATIONS, TRAINING_LAYERS, assert_trains, random_lightness, unet

from pix2pix_color import color
from pix2pix_color.classifier import load_classifier
from pix2pix_color.config import Config, GeneratorConfig
from pix2pix_color.data import load_dataset
from pix2pix_color.errors import ClassifierError, ConfigError
from pix2pix_color.evaluation import with_batch_statistics
from pix2pix_color.experiments.cost import cost_of, flops_per_image, forward_flops
from pix2pix_color.inference import any_size
from pix2pix_color.model_folder import ModelFolder
from pix2pix_color.networks import build_generator
from pix2pix_color.training import Trainer


def residual(**options) -> GeneratorConfig:
    return unet(**{"kind": "residual", "kernel_size": 3, **options})


SIZES = {
    "stem_conv": (8, 8, 4),
    "down0_block1_add": (8, 8, 4),
    "down1_conv": (4, 4, 6),
    "down2_block1_add": (2, 2, 6),
    "up1_conv": (4, 4, 6),
    "up1_block1_skip": (4, 4, 12),
    "up0_block1_skip": (8, 8, 8),
    "up0_block1_add": (8, 8, 4),
    "chroma_conv": (8, 8, 2),
}


class TestStructure:
    def test_levels_have_these_sizes(self):
        model = build_generator(residual(max_filters=6), 8)
        assert {n: tuple(model.get_layer(n).output.shape[1:]) for n in SIZES} == SIZES

    def test_the_shipped_generators_have_these_sizes_without_their_guide(self):
        generator, _ = cost_of(Config.vivid().override("generator.guide="))
        assert generator.parameters == 1_770_706
        assert generator.flops == 114_130_944

    def test_starts_nearly_gray(self):
        model = build_generator(residual(depth=3, filters=8), 32, seed=0)
        chroma = model(random_lightness(2, 32, 32), training=True)
        assert 0 < np.abs(chroma).mean() < 0.1

    def test_skips_enter_the_convolutions_of_their_level_beside_the_identity(self):
        model = build_generator(residual(skip_connections="outermost"), 8)
        names = {layer.name for layer in model.layers if "skip" in layer.name}
        assert names == {"up0_block1_skip"}
        inputs = model.get_layer("up0_block1_skip")._inbound_nodes[0].input_tensors
        sources = [tensor._keras_history.operation.name for tensor in inputs]
        assert sources == ["up0_conv", "down0_block1_add"]
        inputs = model.get_layer("up0_block1_add")._inbound_nodes[0].input_tensors
        assert inputs[0]._keras_history.operation.name == "up0_conv"


class TestModulation:
    def test_every_block_of_the_decoder_gets_a_scale_a_channel_of_the_whole_image(self):
        model = build_generator(residual(modulation=True), 8, lightness_scale="unit", seed=0)
        scaled = [layer.name for layer in model.layers if layer.name.endswith("_modulate")]
        assert scaled == ["up1_block1_modulate", "up0_block1_modulate"]
        last = keras.Model(
            model.input,
            [model.get_layer(f"up0_block1_modulate{part}").output for part in ("_reshape", "")],
        )
        before = model.get_layer("up0_block1_2_leaky_relu").output
        scale, after = last(lightness := random_lightness(2, 8, 8))
        assert scale.shape == (2, 1, 1, 4)
        np.testing.assert_allclose(scale, 1, atol=0.2)
        assert np.abs(scale[0] - scale[1]).max() > 0  # each image its own
        maps = keras.Model(model.input, before)(lightness)
        np.testing.assert_allclose(after, maps * scale, rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def guided():
    guide = load_classifier().network()
    return build_generator(residual(guide="classifier"), 32, pretrained=guide, seed=0)


class TestGuide:
    def test_is_what_the_classifier_makes_of_the_gray_image(self, guided):
        lightness = random_lightness(3, 32, 32)
        features = keras.Model(guided.input, guided.get_layer("guide_features").output)(lightness)
        gray = color.to_uint8(color.merge(lightness, np.zeros((3, 32, 32, 2), np.float32)))
        _, expected = load_classifier()(gray)  # of whole gray levels
        np.testing.assert_allclose(features, expected, atol=0.05)
        assert np.ptp(expected) > 1

    def test_speaks_to_every_pixel_of_the_coarsest_maps_alike(self, guided):
        parts = [guided.get_layer(n).output for n in ("down2_block1_add", "guide_add")]
        before, after = keras.Model(guided.input, parts)(random_lightness(2, 32, 32))
        said = (after - before).numpy()
        assert said.shape == (2, 8, 8, 16)
        np.testing.assert_allclose(said, np.broadcast_to(said[:, :1, :1], said.shape), atol=1e-4)
        assert np.abs(said[0] - said[1]).max() > 1e-3

    def test_does_not_learn(self, guided):
        assert_trains(guided, 2, 32, 32, 1)
        shipped = load_classifier().network()
        for layer in shipped.layers[1:-1]:
            frozen = guided.get_layer(f"guide_{layer.name}")
            assert not frozen.trainable_variables
            for one, other in zip(frozen.get_weights(), layer.get_weights(), strict=True):
                np.testing.assert_array_equal(one, other)

    def test_costs_one_pass_forward(self):
        changes = ("generator.kind=residual", "generator.kernel_size=3")
        plain = Config.report().override(*changes)
        guided = plain.override("generator.guide=classifier")
        classifier = forward_flops(load_classifier().network()) - 2 * 256 * 10  # no logits
        told = 2 * 256 * plain.generator.channels(5)
        assert cost_of(guided)[0].frozen_flops == classifier
        assert flops_per_image(guided) - flops_per_image(plain) == classifier + 3 * told

    def test_takes_any_size(self, guided):
        lightness = random_lightness(1, 32, 32)
        assert any_size(guided)(random_lightness(1, 64, 96)).shape == (1, 64, 96, 2)
        np.testing.assert_allclose(any_size(guided)(lightness), guided(lightness), atol=1e-6)

    def test_is_not_in_training_where_nobody_says_so(self, guided):
        lightness = random_lightness(2, 32, 32)
        np.testing.assert_array_equal(guided(lightness), guided(lightness, training=False))
        assert np.abs(guided(lightness) - guided(lightness, training=True)).max() > 1e-3

    def test_keeps_its_statistics_where_the_others_use_the_batchs(self, guided):
        scored = with_batch_statistics(guided)
        assert type(scored.get_layer("guide_stem_norm")) is keras.layers.BatchNormalization
        assert type(scored.get_layer("down0_block1_1_norm")) is not keras.layers.BatchNormalization

    def test_of_a_run_in_bfloat16_is_exported_with_a_moving_average(self, tmp_path):
        config = Config.stable().override(
            "data.dataset=photographs", "generator.guide=classifier", "generator.filters=4",
            "generator.depth=2", "training.steps=4", "training.batch_size=8",
            "training.warmup_steps=1", "training.ema_momentum=0.5",
            "training.precision=mixed_bfloat16",
        )  # fmt: skip
        trainer = Trainer(config, tmp_path / "run")
        trainer.fit(load_dataset("photographs"), verbose=0)
        expected = load_classifier().network().get_layer("stage3_conv2_norm").get_weights()
        exported = trainer.inference_generator()
        read = ModelFolder(tmp_path / "run").generator()
        for generator in (exported, read):
            norm = generator.get_layer("guide_stage3_conv2_norm")
            for one, other in zip(norm.get_weights(), expected, strict=True):
                np.testing.assert_array_equal(one, other)
        for one, other in zip(read.get_weights(), exported.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_that_is_not_there(self):
        with pytest.raises(ConfigError, match="guide=nowhere needs that network"):
            build_generator(residual(guide="nowhere"), 32)
        with pytest.raises(ClassifierError, match="nowhere"):
            Trainer(Config.stable().override("generator.guide=nowhere"))
        with pytest.raises(ConfigError, match="generator.guide need"):
            GeneratorConfig(guide="classifier")


@pytest.fixture(scope="module")
def pair():
    """One network with a self-ensemble and one without, of the same weights."""
    both, alone = (build_generator(residual(self_ensemble=s), 8, seed=0) for s in (True, False))
    both.set_weights(alone.get_weights())
    assert [v.path for v in both.weights] == [v.path for v in alone.weights]
    return both, alone


class TestSelfEnsemble:
    def test_is_the_mean_with_the_mirror_image(self, pair):
        both, alone = pair
        lightness = random_lightness(3, 8, 8)
        mirrored = alone(lightness[:, :, ::-1])[:, :, ::-1]
        np.testing.assert_allclose(both(lightness), (alone(lightness) + mirrored) / 2, atol=1e-6)
        assert np.abs(both(lightness) - alone(lightness)).max() > 1e-3
        # So the mirror image of an image gets the mirror image of its colors.
        np.testing.assert_allclose(
            both(lightness[:, :, ::-1]), both(lightness)[:, :, ::-1], atol=1e-6
        )

    def test_leaves_training_and_its_cost_alone(self, pair):
        both, alone = pair
        lightness = random_lightness(3, 8, 8)
        np.testing.assert_array_equal(
            both(lightness, training=True), alone(lightness, training=True)
        )
        assert forward_flops(both) == forward_flops(alone)

    def test_needs_lab(self):
        with pytest.raises(ConfigError, match="self_ensemble needs data.color_space=lab"):
            Config.report().override("generator.self_ensemble=true", "data.color_space=rgb")


class TestVariants:
    @pytest.mark.parametrize(
        ("options", "layers"),
        [
            *(({"normalization": n}, {}) for n in NORMALIZATIONS),
            ({"skip_connections": "none", "depth": 1}, TRAINING_LAYERS),
            (
                {
                    "skip_connections": "innermost",
                    "downsampling": "pooling",
                    "upsampling": "resize",
                },
                TRAINING_LAYERS,
            ),
            ({"dropout": 0.3, "max_filters": 4, "modulation": True}, TRAINING_LAYERS),
            ({"kernel_size": 4}, {}),
        ],
        ids=str,
    )
    def test_builds_runs_and_learns(self, options, layers):
        outputs = assert_trains(
            build_generator(residual(**options), 8, seed=0, **layers), 4, 8, 8, 1
        )
        assert outputs.shape == (4, 8, 8, 2)
        assert np.abs(outputs).max() <= 1

    def test_any_size_that_can_be_halved_where_the_size_is_open(self):
        model, fixed = (
            build_generator(residual(), size, lightness_scale="unit", seed=0) for size in (None, 8)
        )
        lightness = random_lightness(1, 12, 20)
        assert model(lightness).shape == (1, 12, 20, 2)
        part = lightness[:, :8, :8]
        np.testing.assert_allclose(model(part), fixed(part), atol=1e-6)
        np.testing.assert_allclose(any_size(fixed)(lightness), model(lightness), atol=1e-6)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"kind": "unet", "modulation": True}, "need generator.kind=residual"),
        ],
        ids=str,
    )
    def test_what_makes_no_sense_is_refused(self, options, message):
        with pytest.raises(ConfigError, match=message):
            residual(**options)
