"""The residual generator, its guide and style, flip augmentation, and spectral normalization."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_networks import NORMALIZATIONS, assert_trains

from pix2pix_color import color
from pix2pix_color.classifier import load_classifier
from pix2pix_color.config import Config, DiscriminatorConfig, GeneratorConfig
from pix2pix_color.data import load_dataset
from pix2pix_color.errors import ClassifierError, ConfigError
from pix2pix_color.evaluation import with_batch_statistics
from pix2pix_color.experiments.cost import cost_of, flops_per_image, forward_flops
from pix2pix_color.inference import any_size
from pix2pix_color.model_folder import ModelFolder
from pix2pix_color.networks import build_discriminator, build_generator
from pix2pix_color.networks.layers import SpectralConv2D
from pix2pix_color.training import Trainer


def residual(**options) -> GeneratorConfig:
    return GeneratorConfig(
        **{"kind": "residual", "depth": 2, "filters": 4, "kernel_size": 3, **options}
    )


def random_lightness(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 100, (*shape, 1)).astype(np.float32)


class TestStructure:
    def test_levels_and_their_parameters_by_hand(self):
        model = build_generator(residual(max_filters=6), 8)
        sizes = {n: tuple(model.get_layer(n).output.shape[1:]) for n in SIZES}
        assert sizes == SIZES

        def convolution(inputs, outputs):
            return 9 * inputs * outputs + outputs

        def block(channels, branch):
            normalizations = 4 * branch + 4 * channels
            return convolution(branch, channels) + convolution(channels, channels) + normalizations

        expected = sum(
            [
                convolution(1, 4),
                block(4, 4),
                convolution(4, 6),
                block(6, 6),
                convolution(6, 6),
                block(6, 6),  # the coarsest level
                convolution(6, 6),
                block(6, 12),
                convolution(6, 4),
                block(4, 8),
                4 * 4,
                convolution(4, 2),
            ]
        )
        assert model.count_params() == expected

    def test_the_chosen_configuration_costs_what_it_should(self):
        generator, _ = cost_of(
            Config.report().override(
                "generator.kind=residual",
                "generator.depth=4",
                "generator.filters=16",
                "generator.max_filters=128",
                "generator.kernel_size=3",
            )
        )
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

    def test_costs_its_three_dense_layers(self):
        plain, styled = (
            build_generator(residual(modulation=m), 8) for m in (False, True)
        )  # channels: 4, 8 and 16 at the coarsest
        dense = 16 * 16 + 16 * 8 + 16 * 4
        assert forward_flops(styled) - forward_flops(plain) == 2 * dense
        # The biases, and a normalization before the mean.
        assert styled.count_params() - plain.count_params() == dense + 16 + 8 + 4 + 4 * 16


@pytest.fixture(scope="module")
def guided():
    guide = load_classifier().network()
    return build_generator(residual(guide="classifier"), 32, guide=guide, seed=0)


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
        outputs = assert_trains(guided, 2, 32, 32, 1)
        assert outputs.shape == (2, 32, 32, 2)
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
        with pytest.raises(ConfigError, match="guide=nowhere needs the classifier's network"):
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


class TestVariants:
    @pytest.mark.parametrize(
        "options",
        [
            *({"normalization": n} for n in NORMALIZATIONS),
            {"skip_connections": "none", "depth": 1},
            {"skip_connections": "innermost", "downsampling": "pooling", "upsampling": "resize"},
            {"dropout": 0.3, "max_filters": 4},
            {"kernel_size": 4},
            {"modulation": True},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("training_layers", [False, True])
    def test_builds_runs_and_learns(self, options, training_layers):
        model = build_generator(
            residual(**options),
            8,
            seed=0,
            fused_batch_norm=training_layers,
            matmul_gradients=training_layers,
        )
        outputs = assert_trains(model, 4, 8, 8, 1)
        assert outputs.shape == (4, 8, 8, 2)
        assert np.abs(outputs).max() <= 1

    def test_training_layers_have_the_same_weights_and_outputs(self):
        config = residual()
        fast, plain = (
            build_generator(config, 8, fused_batch_norm=f, matmul_gradients=f, seed=3)
            for f in (True, False)
        )
        assert [v.path for v in fast.weights] == [v.path for v in plain.weights]
        for one, other in zip(fast.get_weights(), plain.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
        lightness = random_lightness(4, 8, 8)
        np.testing.assert_allclose(
            fast(lightness, training=True), plain(lightness, training=True), atol=1e-4
        )

    def test_any_size_that_can_be_halved_where_the_size_is_open(self):
        config = residual()
        model = build_generator(config, None, lightness_scale="unit", seed=0)
        fixed = build_generator(config, 8, lightness_scale="unit")
        fixed.set_weights(model.get_weights())
        lightness = random_lightness(1, 12, 20)
        assert model(lightness).shape == (1, 12, 20, 2)
        part = lightness[:, :8, :8]
        np.testing.assert_allclose(model(part), fixed(part), atol=1e-6)
        np.testing.assert_allclose(any_size(fixed)(lightness), model(lightness), atol=1e-6)

    def test_inference_does_not_depend_on_the_batch(self):
        model = build_generator(residual(), 8, seed=0)
        lightness = random_lightness(5, 8, 8)
        model(lightness, training=True)
        np.testing.assert_allclose(
            model(lightness, training=False)[2:3], model(lightness[2:3], training=False), atol=1e-5
        )

    def test_in_low_precision_the_output_stays_float32(self):
        model = build_generator(residual(), 8, precision="mixed_bfloat16")
        assert {v.dtype for v in model.weights} == {"float32"}
        computed = {x.name for x in model.layers[1:] if x.compute_dtype != "bfloat16"}
        assert computed == {"tanh"}
        assert_trains(model, 4, 8, 8, 1)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"skip_connections": "some"}, "is not valid"),
            ({"kind": "unet", "modulation": True}, "need generator.kind=residual"),
            ({"kind": "residuel"}, "did you mean 'residual'"),
        ],
        ids=str,
    )
    def test_what_makes_no_sense_is_refused(self, options, message):
        with pytest.raises(ConfigError, match=message):
            residual(**options)


def settle(layer: SpectralConv2D, x: tf.Tensor, calls: int = 60) -> None:
    for _ in range(calls):
        layer(x, training=True)


class TestSpectralNormalization:
    def make(self, precision="float32"):
        layer = SpectralConv2D(
            6, 3, strides=2, padding="same", dtype=precision,
            kernel_initializer=keras.initializers.RandomNormal(0.0, 2.0, seed=0),
            bias_initializer=keras.initializers.RandomNormal(seed=1),
        )  # fmt: skip
        x = tf.constant(np.random.default_rng(0).normal(size=(2, 8, 8, 5)), tf.float32)
        layer(x)
        return layer, x

    def plain(self, layer, x, kernel):
        outputs = tf.nn.conv2d(x, kernel, 2, "SAME")
        return outputs + layer.bias.value

    @pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
    def test_divides_by_the_largest_singular_value(self, precision):
        layer, x = self.make(precision)
        settle(layer, x)
        kernel = layer.kernel.numpy()
        largest = np.linalg.svd(kernel.reshape(-1, 6), compute_uv=False)[0]
        tolerance = 1e-5 if precision == "float32" else 0.03
        found = layer(x, training=False)
        np.testing.assert_allclose(
            tf.cast(found, tf.float32), self.plain(layer, x, kernel / largest), atol=tolerance
        )

    def test_one_step_of_power_iteration_a_call_in_training_and_none_otherwise(self):
        layer, x = self.make()
        matrix, start = layer.kernel.numpy().reshape(-1, 6), layer.direction.numpy()
        np.testing.assert_allclose(start, np.full(6, 6**-0.5))
        layer(x, training=False)
        np.testing.assert_array_equal(layer.direction, start)
        layer(x, training=True)
        expected = matrix.T @ matrix @ start
        np.testing.assert_allclose(
            layer.direction, expected / np.linalg.norm(expected), rtol=1e-4, atol=1e-6
        )

    def test_the_gradient_knows_of_the_division(self):
        layer, x = self.make()
        settle(layer, x)
        weights = tf.constant(np.random.default_rng(1).normal(size=(2, 4, 4, 6)), tf.float32)
        kernel = layer.kernel.value
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(kernel)
            loss = tf.reduce_sum(weights * layer(x, training=True))
            exact = kernel / tf.linalg.svd(tf.reshape(kernel, [-1, 6]), compute_uv=False)[0]
            oracle = tf.reduce_sum(weights * self.plain(layer, x, exact))
        np.testing.assert_allclose(
            tape.gradient(loss, kernel), tape.gradient(oracle, kernel), rtol=1e-3, atol=1e-3
        )

    def test_a_discriminator_of_it_bounds_every_kernel_and_has_no_other_normalization(self):
        config = DiscriminatorConfig(depth=1, filters=4, normalization="spectral")
        model = build_discriminator(config, 8, seed=0, lightness_scale="unit")
        kinds = [type(layer).__name__ for layer in model.layers]
        assert kinds.count("SpectralConv2D") == 3
        assert not any("Normalization" in kind for kind in kinds)
        plain = build_discriminator(
            DiscriminatorConfig(depth=1, filters=4, normalization="none"), 8
        )
        extra = sum(layer.filters for layer in model.layers if hasattr(layer, "filters"))
        assert model.count_params() == plain.count_params() + extra
        assert_trains(model, 2, 8, 8, 3)

    def test_is_for_patches(self):
        with pytest.raises(ConfigError, match="spectral needs discriminator.kind=patch"):
            DiscriminatorConfig(kind="cnn", normalization="spectral")
