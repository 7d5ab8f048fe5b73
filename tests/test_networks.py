"""Both networks: the report's figures and their variants."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
import skimage.color
import tensorflow as tf

from pix2pix_color.config import DiscriminatorConfig, GeneratorConfig
from pix2pix_color.networks import (
    build_discriminator,
    build_generator,
    color_generator,
    discriminator_layers,
    receptive_field,
)

FIGURE_1 = """
lightness 32 32 1
down1_conv 16 16 32
down1_norm 16 16 32
down1_leaky_relu 16 16 32
down2_conv 8 8 64
down2_norm 8 8 64
down2_leaky_relu 8 8 64
down3_conv 4 4 128
down3_norm 4 4 128
down3_leaky_relu 4 4 128
down4_conv 2 2 256
down4_norm 2 2 256
down4_leaky_relu 2 2 256
down5_conv 1 1 512
down5_norm 1 1 512
down5_leaky_relu 1 1 512
up4_conv 2 2 256
up4_norm 2 2 256
up4_relu 2 2 256
skip4 2 2 512
up3_conv 4 4 128
up3_norm 4 4 128
up3_relu 4 4 128
skip3 4 4 256
up2_conv 8 8 64
up2_norm 8 8 64
up2_relu 8 8 64
skip2 8 8 128
up1_conv 16 16 32
up1_norm 16 16 32
up1_relu 16 16 32
skip1 16 16 64
chroma_conv 32 32 2
tanh 32 32 2
"""

FIGURE_2 = """
image 32 32 3
conv1 16 16 64
conv1_norm 16 16 64
conv1_leaky_relu 16 16 64
conv2 8 8 128
conv2_norm 8 8 128
conv2_leaky_relu 8 8 128
conv3 4 4 256
conv3_norm 4 4 256
conv3_leaky_relu 4 4 256
conv4 4 4 512
conv4_norm 4 4 512
conv4_leaky_relu 4 4 512
logits 4 4 1
float32 4 4 1
"""


def layer_shapes(model):
    return "\n".join(
        " ".join([layer.name, *map(str, layer.output.shape[1:])]) for layer in model.layers
    )


class TestReport:
    def test_the_generator_is_figure_1(self):
        generator = build_generator()
        assert layer_shapes(generator) == FIGURE_1.strip()
        assert generator.count_params() == 6_268_610

    def test_the_discriminator_is_figure_2(self):
        discriminator = build_discriminator()
        assert layer_shapes(discriminator) == FIGURE_2.strip()
        assert discriminator.count_params() == 2_768_577

    def test_every_convolution_is_4x4_same_with_the_strides_of_the_figures(self):
        strides = {}
        for model in (build_generator(), build_discriminator()):
            for layer in model.layers:
                if hasattr(layer, "kernel_size"):
                    assert (layer.kernel_size, layer.padding) == ((4, 4), "same")
                    strides[layer.name] = layer.strides[0]
        assert {name for name, stride in strides.items() if stride == 1} == {"conv4", "logits"}

    def test_leaky_relu_has_the_reports_slope_and_not_keras_own(self):
        for model in (build_generator(), build_discriminator()):
            slopes = {x.negative_slope for x in model.layers if "leaky" in x.name}
            assert slopes == {0.2}

    def test_the_decoder_reads_the_encoder_level_of_its_size(self):
        generator = build_generator()
        for level in range(1, 5):
            inputs = generator.get_layer(f"skip{level}")._inbound_nodes[0].input_tensors
            names = [tensor._keras_history.operation.name for tensor in inputs]
            assert names == [f"up{level}_relu", f"down{level}_leaky_relu"]

    def test_the_shallower_generator_of_the_authors_published_script(self):
        assert build_generator(GeneratorConfig(depth=4)).count_params() == 1_546_178


def assert_trains(model, *shape):
    """Runs a model forward and backward: every variable gets a finite gradient."""
    images = tf.constant(np.random.default_rng(0).uniform(0, 1, shape), tf.float32)
    with tf.GradientTape() as tape:
        outputs = model(images, training=True)
        loss = tf.reduce_sum(tf.square(outputs - 0.3))
    gradients = tape.gradient(loss, model.trainable_variables)
    for gradient, variable in zip(gradients, model.trainable_variables, strict=True):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient).all(), variable.path
        if "kernel" in variable.path:
            assert np.abs(gradient).max() > 0, variable.path
    assert outputs.dtype == tf.float32
    return outputs


NORMALIZATIONS = ("batch", "instance", "group", "none")
TRAINING_LAYERS = {"fused_batch_norm": True, "matmul_gradients": True}


def random_lightness(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 100, (*shape, 1)).astype(np.float32)


def random_images(channels: int) -> np.ndarray:
    """Returns what a discriminator of 8x8 images takes."""
    return np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, channels)).astype(np.float32)


def unet(**options) -> GeneratorConfig:
    return GeneratorConfig(**{"depth": 2, "filters": 4, **options})


def patch(**options) -> DiscriminatorConfig:
    return DiscriminatorConfig(**{"depth": 1, "filters": 4, **options})


class TestGeneratorVariants:
    @pytest.mark.parametrize(
        "options",
        [
            *(
                {"downsampling": d, "upsampling": u, "normalization": n}
                for (d, u), n in zip(
                    itertools.product(("strided", "pooling"), ("transposed", "resize")),
                    NORMALIZATIONS,
                    strict=True,
                )
            ),
            *({"skip_connections": s} for s in ("none", "innermost", "outermost")),
            {"depth": 1},
            {"depth": 4, "normalization": "instance"},
            # A kernel of 1 with stride 2 leaves three of four output pixels without any weight.
            *({"kernel_size": k} for k in (1, 2, 3, 5)),
            {"dropout": 0.5},
        ],
        ids=str,
    )
    def test_builds_runs_and_learns(self, options):
        outputs = assert_trains(build_generator(unet(**options), 16, seed=0), 2, 16, 16, 1)
        assert outputs.shape == (2, 16, 16, 2)
        assert np.abs(outputs).max() <= 1

    @pytest.mark.parametrize(
        ("skips", "levels"), [("all", (1, 2, 3)), ("innermost", (3,)), ("outermost", (1,))]
    )
    def test_a_skip_connection_costs_the_weights_of_its_channels(self, skips, levels):
        chosen, none = (
            build_generator(unet(depth=4, filters=8, skip_connections=s)).count_params()
            for s in (skips, "none")
        )
        # Level n adds 8 * 2**(n - 1) channels to the input of the 4x4 convolution above it.
        outputs = {1: 2, 2: 8, 3: 16}
        assert chosen - none == sum(4 * 4 * 8 * 2 ** (n - 1) * outputs[n] for n in levels)

    def test_dropout_is_after_the_three_innermost_normalizations_in_training_only(self):
        model = build_generator(GeneratorConfig(filters=4, dropout=0.5), seed=1)
        names = [layer.name for layer in model.layers]
        for level in (4, 3, 2):
            assert names[names.index(f"up{level}_dropout") - 1] == f"up{level}_norm"
        assert "up1_dropout" not in names
        gray = tf.fill([1, 32, 32, 1], 50.0)
        assert np.abs(model(gray, training=True) - model(gray, training=True)).max() > 0
        np.testing.assert_array_equal(model(gray, training=False), model(gray, training=False))

    def test_any_size_that_can_be_halved_where_the_size_is_open(self):
        model, fixed = (build_generator(unet(), size, seed=0) for size in (None, 8))
        lightness = random_lightness(1, 12, 20)
        assert model(lightness).shape == (1, 12, 20, 2)
        part = lightness[:, :8, :8]
        np.testing.assert_allclose(model(part), fixed(part), atol=1e-6)

    @pytest.mark.parametrize("normalization", NORMALIZATIONS)
    def test_inference_does_not_depend_on_the_batch(self, normalization):
        model = build_generator(unet(normalization=normalization), 8, seed=0)
        images = random_lightness(5, 8, 8)
        model(images, training=True)
        alone, together = model(images[2:3], training=False), model(images, training=False)
        np.testing.assert_allclose(together[2:3], alone, atol=1e-5)


class TestDiscriminatorVariants:
    @pytest.mark.parametrize(
        ("options", "shape"),
        [
            *(({"normalization": n}, (8, 8, 1)) for n in (*NORMALIZATIONS, "spectral")),
            ({"depth": 0}, (16, 16, 1)),
            ({"depth": 4, "max_filters": 8}, (1, 1, 1)),
            ({"kind": "cnn"}, (1,)),
            ({"kind": "cnn", "depth": 4, "normalization": "instance"}, (1,)),
        ],
        ids=str,
    )
    def test_builds_runs_and_learns(self, options, shape):
        outputs = assert_trains(build_discriminator(patch(**options), 16, seed=0), 2, 16, 16, 3)
        assert outputs.shape == (2, *shape)

    def test_channels_double_up_to_the_largest_and_a_cnn_ends_in_one_dense_layer(self):
        layers = discriminator_layers(DiscriminatorConfig(depth=5, filters=64, max_filters=512))
        assert layers == [
            (64, 4, 2), (128, 4, 2), (256, 4, 2), (512, 4, 2), (512, 4, 2), (512, 4, 1), (1, 4, 1)
        ]  # fmt: skip
        cnn = DiscriminatorConfig(kind="cnn", filters=8)
        assert discriminator_layers(cnn) == [(8, 4, 2), (16, 4, 2), (32, 4, 2)]
        assert build_discriminator(cnn).get_layer("logit").kernel.shape == (4 * 4 * 32, 1)

    def test_spectral_normalization_bounds_every_kernel_and_is_the_only_one(self):
        kinds = [
            type(x).__name__ for x in build_discriminator(patch(normalization="spectral"), 8).layers
        ]
        assert kinds.count("SpectralConv2D") == 3
        assert not any("Normalization" in kind for kind in kinds)


class TestColorSpaceAndLightnessScale:
    def test_the_report_has_neither_layer(self):
        generator, discriminator = build_generator(unet()), build_discriminator(patch())
        names = {layer.name for layer in [*generator.layers, *discriminator.layers]}
        assert not names & {"rescale", "rgb_to_chroma"}
        assert color_generator(generator) is generator

    @pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
    def test_rescaled_lightness_is_the_same_network_fed_from_minus_one_to_one(self, precision):
        plain, unit = (
            build_generator(unet(), 8, lightness_scale=scale, seed=3, precision=precision)
            for scale in ("report", "unit")
        )
        lightness = random_lightness(2, 8, 8)
        tolerance = 1e-6 if precision == "float32" else 1e-2
        expected = plain(lightness / 50 - 1)
        np.testing.assert_allclose(unit(lightness), expected, atol=tolerance)
        assert np.abs(plain(lightness) - expected).max() > 5 * tolerance

    @pytest.mark.parametrize(("space", "channels"), [("lab", 3), ("rgb", 4)])
    def test_the_discriminator_rescales_lightness_and_leaves_colors(self, space, channels):
        plain, unit = (
            build_discriminator(patch(), 8, color_space=space, lightness_scale=scale, seed=3)
            for scale in ("report", "unit")
        )
        assert unit.input_shape == (None, 8, 8, channels)
        image = random_images(channels)
        rescaled = image.copy()
        image[..., 0] = 50 * image[..., 0] + 50
        np.testing.assert_allclose(unit(image), plain(rescaled), atol=1e-4)

    @pytest.mark.parametrize(("space", "channels"), [("lab", 2), ("rgb", 3)])
    def test_an_unconditional_discriminator_sees_colors_alone(self, space, channels):
        options = {"color_space": space, "lightness_scale": "unit", **TRAINING_LAYERS}
        model = build_discriminator(patch(conditional=False), 8, **options)
        assert model.input_shape == (None, 8, 8, channels)
        assert_trains(model, 4, 8, 8, channels)

    @pytest.mark.parametrize("options", [{}, TRAINING_LAYERS])
    def test_a_generator_of_rgb_still_gives_the_chroma_of_what_it_predicts(self, options):
        options = {"color_space": "rgb", "lightness_scale": "unit", "seed": 0, **options}
        generator, lightness = build_generator(unet(), 8, **options), random_lightness(2, 8, 8)
        rgb = color_generator(generator)(lightness).numpy()
        assert rgb.shape == (2, 8, 8, 3)
        assert rgb.min() >= -1 and rgb.max() <= 1
        expected = skimage.color.rgb2lab((rgb + 1) / 2)[..., 1:] / 128
        np.testing.assert_allclose(generator(lightness), expected, atol=1e-4)
        assert np.abs(expected).max() > 0.01
        assert_trains(color_generator(generator), 4, 8, 8, 1)


class TestReceptiveField:
    @pytest.mark.parametrize("depth", [0, 1, 2])
    def test_is_what_a_logit_of_the_middle_sees(self, depth):
        config = DiscriminatorConfig(depth=depth, filters=2, max_filters=4, normalization="none")
        model = build_discriminator(config, 64, seed=0)
        for layer in model.layers:
            if hasattr(layer, "kernel"):  # no weight may hide a pixel, no activation stop one
                layer.kernel.assign(np.ones(layer.kernel.shape))
        image = tf.ones([1, 64, 64, 3])
        with tf.GradientTape() as tape:
            tape.watch(image)
            logits = model(image)
            middle = logits[0, logits.shape[1] // 2, logits.shape[2] // 2, 0]
        seen = np.abs(tape.gradient(middle, image)[0]).max(axis=-1) > 0
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        field = receptive_field(config, 64)
        assert field < 64
        assert np.ptp(rows) + 1 == np.ptp(columns) + 1 == field
        assert seen[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()

    def test_known_ones(self):
        # Isola et al. 2017: 1 (PixelGAN), 16, 70 and 286 pixels.
        fields = [receptive_field(DiscriminatorConfig(depth=d)) for d in (0, 1, 3, 5)]
        assert fields == [1, 16, 70, 286]
        assert receptive_field(DiscriminatorConfig(kind="cnn"), 64) == 64


def test_seeds_decide_the_weights_whatever_the_global_ones():
    def kernels(seed):
        models = build_generator(unet(), 8, seed=seed), build_discriminator(patch(), 8, seed=seed)
        return [w for model in models for w in model.get_weights() if w.ndim == 4]

    keras.utils.set_random_seed(1)
    first = kernels(3)
    keras.utils.set_random_seed(2)
    for one, same, other in zip(first, kernels(3), kernels(4), strict=True):
        np.testing.assert_array_equal(one, same)
        assert np.abs(one - other).max() > 0
    assert np.abs(kernels(None)[0] - kernels(None)[0]).max() > 0


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize(
    ("build", "config", "channels", "last"),
    [
        (build_generator, unet(dropout=0.5), 1, "tanh"),
        (build_generator, unet(kind="residual", modulation=True), 1, "tanh"),
        (build_discriminator, patch(), 3, "float32"),
        (build_discriminator, patch(kind="cnn"), 3, "float32"),
    ],
)
def test_low_precision_keeps_weights_and_outputs_float32(build, config, channels, last, precision):
    model = build(config, 8, precision=precision)
    assert keras.config.dtype_policy().name == "float32"  # of everybody else
    assert {v.dtype for v in model.weights} == {"float32"}
    assert model(tf.zeros([1, 8, 8, channels])).dtype == tf.float32
    low = precision.removeprefix("mixed_")
    assert {x.name for x in model.layers[1:] if x.compute_dtype != low} == {last}


@pytest.mark.parametrize(
    ("build", "config", "x"),
    [
        (build_generator, unet(), random_lightness(4, 8, 8)),
        (build_generator, unet(kind="residual", kernel_size=3), random_lightness(4, 8, 8)),
        (build_discriminator, patch(), random_images(3)),
    ],
)
def test_networks_of_training_layers_are_the_same_function(build, config, x):
    fast, plain = build(config, 8, seed=0, **TRAINING_LAYERS), build(config, 8, seed=0)
    assert [v.path for v in fast.weights] == [v.path for v in plain.weights]
    for one, other in zip(fast.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(fast(x, training=True), plain(x, training=True), atol=1e-4)
