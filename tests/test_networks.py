import itertools

import keras
import numpy as np
import pytest
import skimage.color
import tensorflow as tf

from pix2pix_color.config import DiscriminatorConfig, GeneratorConfig
from pix2pix_color.errors import ConfigError
from pix2pix_color.networks import (
    build_discriminator,
    build_generator,
    color_generator,
    discriminator_layers,
    receptive_field,
)
from pix2pix_color.networks.layers import FusedBatchNormalization

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


class TestGeneratorVariants:
    @pytest.mark.parametrize(
        "options",
        [
            *({"normalization": n} for n in NORMALIZATIONS),
            *({"skip_connections": s} for s in ("none", "innermost", "outermost")),
            *(
                {"downsampling": d, "upsampling": u, "normalization": n}
                for (d, u), n in zip(
                    itertools.product(("strided", "pooling"), ("transposed", "resize")),
                    NORMALIZATIONS,
                    strict=True,
                )
            ),
            *({"depth": d} for d in (1, 2, 5)),
            *({"kernel_size": k} for k in (1, 2, 3, 5)),
            {"dropout": 0.5},
        ],
        ids=str,
    )
    def test_builds_runs_and_learns(self, options):
        config = GeneratorConfig(**{"depth": 4, "filters": 8, **options})
        # A kernel of 1 with stride 2 leaves three of four output pixels without any weight.
        outputs = assert_trains(build_generator(config, seed=0), 2, 32, 32, 1)
        assert outputs.shape == (2, 32, 32, 2)
        assert np.abs(outputs).max() <= 1

    @pytest.mark.parametrize(
        ("skips", "levels"),
        [("all", (1, 2, 3)), ("none", ()), ("innermost", (3,)), ("outermost", (1,))],
    )
    def test_a_skip_connection_costs_the_weights_of_its_channels(self, skips, levels):
        def weights(skips):
            return build_generator(
                GeneratorConfig(depth=4, filters=8, skip_connections=skips)
            ).count_params()

        # Level n adds 8 * 2**(n - 1) channels to the input of the 4x4 convolution above it.
        outputs = {1: 2, 2: 8, 3: 16}
        extra = sum(4 * 4 * 8 * 2 ** (n - 1) * outputs[n] for n in levels)
        assert weights(skips) == weights("none") + extra

    def test_dropout_is_after_the_three_innermost_normalizations(self):
        model = build_generator(GeneratorConfig(filters=8, dropout=0.5))
        names = [layer.name for layer in model.layers]
        for level in (4, 3, 2):
            place = names.index(f"up{level}_dropout")
            assert names[place - 1] == f"up{level}_norm"
        assert "up1_dropout" not in names

    def test_dropout_is_random_in_training_only(self):
        model = build_generator(GeneratorConfig(filters=8, dropout=0.5), seed=1)
        gray = tf.fill([1, 32, 32, 1], 50.0)
        one, two = model(gray, training=True), model(gray, training=True)
        assert np.abs(one - two).max() > 0
        np.testing.assert_array_equal(model(gray, training=False), model(gray, training=False))

    def test_pooling_keeps_the_strongest_of_four(self):
        model = build_generator(GeneratorConfig(depth=1, filters=1, downsampling="pooling"))
        assert model.get_layer("down1_conv").strides == (1, 1)
        assert isinstance(model.get_layer("down1_pool"), keras.layers.MaxPooling2D)

    def test_any_size_that_can_be_halved_where_the_size_is_open(self):
        config = GeneratorConfig(filters=8)
        model = build_generator(config, image_size=None)
        lightness = np.random.default_rng(0).uniform(0, 100, (1, 64, 96, 1)).astype(np.float32)
        assert model(lightness).shape == (1, 64, 96, 2)
        fixed = build_generator(config, 32)
        fixed.set_weights(model.get_weights())
        part = lightness[:, :32, :32]
        np.testing.assert_allclose(model(part), fixed(part), atol=1e-6)

    @pytest.mark.parametrize("size", [16, 31, 48])
    def test_a_size_that_cannot_be_halved_is_refused(self, size):
        with pytest.raises(ConfigError, match=f"depth 5 .* multiple of 32, not {size}"):
            build_generator(image_size=size)

    def test_inference_does_not_depend_on_the_batch(self):
        for normalization in NORMALIZATIONS:
            model = build_generator(GeneratorConfig(filters=8, normalization=normalization), seed=0)
            images = np.random.default_rng(0).uniform(0, 100, (5, 32, 32, 1)).astype(np.float32)
            model(images, training=True)
            np.testing.assert_allclose(
                model(images, training=False)[2:3], model(images[2:3], training=False), atol=1e-5
            )


class TestDiscriminatorVariants:
    @pytest.mark.parametrize(
        ("options", "shape"),
        [
            *(({"normalization": n}, (4, 4, 1)) for n in NORMALIZATIONS),
            ({"depth": 0}, (32, 32, 1)),
            ({"depth": 1}, (16, 16, 1)),
            ({"depth": 2}, (8, 8, 1)),
            ({"depth": 5}, (1, 1, 1)),
            ({"max_filters": 8}, (4, 4, 1)),
            ({"kind": "cnn"}, (1,)),
            ({"kind": "cnn", "depth": 5, "normalization": "instance"}, (1,)),
            ({"kind": "cnn", "depth": 1}, (1,)),
        ],
        ids=str,
    )
    def test_builds_runs_and_learns(self, options, shape):
        model = build_discriminator(DiscriminatorConfig(**{"filters": 8, **options}), seed=0)
        outputs = assert_trains(model, 2, 32, 32, 3)
        assert outputs.shape == (2, *shape)

    def test_channels_double_up_to_the_largest(self):
        layers = discriminator_layers(DiscriminatorConfig(depth=5, filters=64, max_filters=512))
        assert layers == [
            (64, 4, 2), (128, 4, 2), (256, 4, 2), (512, 4, 2), (512, 4, 2), (512, 4, 1), (1, 4, 1)
        ]  # fmt: skip

    def test_a_cnn_judges_the_image_by_one_dense_layer(self):
        config = DiscriminatorConfig(kind="cnn", filters=8)
        model = build_discriminator(config)
        assert discriminator_layers(config) == [(8, 4, 2), (16, 4, 2), (32, 4, 2)]
        assert model.get_layer("logit").kernel.shape == (4 * 4 * 32, 1)

    @pytest.mark.parametrize(("size", "depth"), [(24, 4), (33, 1), (16, 5)])
    def test_a_size_that_cannot_be_halved_is_refused(self, size, depth):
        with pytest.raises(ConfigError, match=f"multiple of {2**depth}, not {size}"):
            build_discriminator(DiscriminatorConfig(depth=depth), size)


class TestColorSpaceAndLightnessScale:
    def test_the_report_has_neither_layer(self):
        names = {
            layer.name for m in (build_generator(), build_discriminator()) for layer in m.layers
        }
        assert not names & {"rescale", "rgb_to_chroma"}
        assert (
            color_generator(generator := build_generator(GeneratorConfig(filters=2))) is generator
        )

    @pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
    def test_rescaled_lightness_is_the_same_network_fed_from_minus_one_to_one(self, precision):
        config = GeneratorConfig(depth=2, filters=4)
        plain, unit = (
            build_generator(config, 8, lightness_scale=scale, seed=3, precision=precision)
            for scale in ("report", "unit")
        )
        lightness = np.random.default_rng(0).uniform(0, 100, (2, 8, 8, 1)).astype(np.float32)
        tolerance = 1e-6 if precision == "float32" else 1e-2
        expected = plain(lightness / 50 - 1)
        np.testing.assert_allclose(unit(lightness), expected, atol=tolerance)
        assert np.abs(plain(lightness) - expected).max() > 5 * tolerance
        assert np.ptp(unit.get_layer("rescale")(np.float32([0, 50, 100]))) == 2

    def test_the_discriminator_rescales_lightness_and_leaves_colors(self):
        config = DiscriminatorConfig(depth=1, filters=4)
        for space, channels in (("lab", 3), ("rgb", 4)):
            plain, unit = (
                build_discriminator(config, 8, color_space=space, lightness_scale=scale, seed=3)
                for scale in ("report", "unit")
            )
            assert unit.input_shape == (None, 8, 8, channels)
            image = np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, channels)).astype(np.float32)
            rescaled = image.copy()
            image[..., 0] = 50 * image[..., 0] + 50
            np.testing.assert_allclose(unit(image), plain(rescaled), atol=1e-4)

    @pytest.mark.parametrize(("space", "channels"), [("lab", 2), ("rgb", 3)])
    @pytest.mark.parametrize("matmul_gradients", [False, True])
    def test_an_unconditional_discriminator_sees_colors_alone(
        self, space, channels, matmul_gradients
    ):
        model = build_discriminator(
            DiscriminatorConfig(depth=1, filters=4, conditional=False),
            8,
            color_space=space,
            lightness_scale="unit",
            matmul_gradients=matmul_gradients,
        )
        assert model.input_shape == (None, 8, 8, channels)
        assert_trains(model, 4, 8, 8, channels)

    @pytest.mark.parametrize("matmul_gradients", [False, True])
    def test_a_generator_of_rgb_still_gives_the_chroma_of_what_it_predicts(self, matmul_gradients):
        generator = build_generator(
            GeneratorConfig(depth=2, filters=4),
            8,
            color_space="rgb",
            lightness_scale="unit",
            matmul_gradients=matmul_gradients,
            seed=0,
        )
        lightness = np.random.default_rng(0).uniform(0, 100, (2, 8, 8, 1)).astype(np.float32)
        rgb = color_generator(generator)(lightness).numpy()
        assert rgb.shape == (2, 8, 8, 3)
        assert rgb.min() >= -1
        assert rgb.max() <= 1
        expected = skimage.color.rgb2lab((rgb + 1) / 2)[..., 1:] / 128
        np.testing.assert_allclose(generator(lightness), expected, atol=1e-4)
        assert np.abs(expected).max() > 0.01
        assert_trains(color_generator(generator), 4, 8, 8, 1)


class TestReceptiveField:
    @pytest.mark.parametrize("depth", [0, 1, 2, 3])
    def test_is_what_a_logit_of_the_middle_sees(self, depth):
        config = DiscriminatorConfig(depth=depth, filters=2, max_filters=4, normalization="none")
        size = 128 if depth == 3 else 64
        model = build_discriminator(config, size, seed=0)
        for layer in model.layers:
            if hasattr(layer, "kernel"):  # no weight may hide a pixel, no activation stop one
                layer.kernel.assign(np.ones(layer.kernel.shape))
        image = tf.ones([1, size, size, 3])
        with tf.GradientTape() as tape:
            tape.watch(image)
            logits = model(image)
            middle = logits[0, logits.shape[1] // 2, logits.shape[2] // 2, 0]
        seen = np.abs(tape.gradient(middle, image)[0]).max(axis=-1) > 0
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        field = receptive_field(config, size)
        assert field < size
        assert np.ptp(rows) + 1 == np.ptp(columns) + 1 == field
        assert seen[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()

    def test_known_ones(self):
        # Isola et al. 2017: 1 (PixelGAN), 16, 70 and 286 pixels.
        fields = [receptive_field(DiscriminatorConfig(depth=d)) for d in (0, 1, 3, 5)]
        assert fields == [1, 16, 70, 286]
        assert receptive_field(DiscriminatorConfig(kind="cnn"), 64) == 64


class TestSeeds:
    def weights(self, seed):
        models = (
            build_generator(GeneratorConfig(depth=2, filters=8), seed=seed),
            build_discriminator(DiscriminatorConfig(depth=1, filters=8), seed=seed),
        )
        return [w for model in models for w in model.get_weights()]

    def test_decide_the_weights_whatever_the_global_ones(self):
        keras.utils.set_random_seed(1)
        first = self.weights(3)
        keras.utils.set_random_seed(2)
        for one, other in zip(first, self.weights(3), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_another_seed_gives_other_weights(self):
        kernels = [w for w in self.weights(3) if w.ndim == 4]
        others = [w for w in self.weights(4) if w.ndim == 4]
        assert all(np.abs(a - b).max() > 0 for a, b in zip(kernels, others, strict=True))

    def test_without_one_the_weights_differ(self):
        assert np.abs(self.weights(None)[0] - self.weights(None)[0]).max() > 0

    def test_no_two_layers_start_equal(self):
        model = build_discriminator(
            DiscriminatorConfig(depth=3, filters=8, max_filters=8, normalization="none"), seed=0
        )
        kernels = [layer.kernel.numpy() for layer in model.layers[2:7] if hasattr(layer, "kernel")]
        for one, other in itertools.combinations(kernels, 2):
            assert one.shape == other.shape and np.abs(one - other).max() > 0


class TestPrecision:
    @pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
    def test_computes_low_keeps_weights_and_outputs_float32(self, precision):
        models = (
            (build_generator(GeneratorConfig(filters=8, dropout=0.5), precision=precision), 1),
            (build_discriminator(DiscriminatorConfig(filters=8), precision=precision), 3),
        )
        low = precision.removeprefix("mixed_")
        for model, channels in models:
            assert {v.dtype for v in model.weights} == {"float32"}
            assert model(tf.zeros([1, 32, 32, channels])).dtype == tf.float32
            computed = {x.name for x in model.layers[1:] if x.compute_dtype != low}
            assert computed == {"tanh" if channels == 1 else "float32"}


def outputs_and_gradients(layer, x, weights_of_outputs):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
        loss = tf.reduce_sum(tf.cast(y, tf.float32) * weights_of_outputs)
    return [y, *tape.gradient(loss, [x, *[v.value for v in layer.trainable_variables]])]


def as_float(tensors):
    return [tf.cast(t, tf.float32).numpy() for t in tensors]


class TestFusedBatchNormalization:
    @pytest.mark.parametrize(("precision", "tolerance"), [("float32", 2e-5), ("bfloat16", 2e-2)])
    @pytest.mark.parametrize("shape", [(16, 8, 8, 6), (64, 1, 1, 6), (2, 1, 1, 6)])
    def test_equals_keras_own(self, shape, precision, tolerance):
        policy = precision if precision == "float32" else "mixed_bfloat16"
        rng = np.random.default_rng(0)
        layers = [
            kind(dtype=policy, epsilon=1e-3)
            for kind in (keras.layers.BatchNormalization, FusedBatchNormalization)
        ]
        start = [rng.uniform(0.5, 2, 6).astype(np.float32) for _ in range(4)]
        for layer in layers:
            layer.build(shape)
            layer.set_weights(start)
        x = tf.cast(rng.normal(3, 2, shape), precision)
        weights = tf.constant(rng.normal(0, 1, shape), tf.float32)
        # The oracle sees the same rounded input, but computes in float32.
        layers[0].dtype_policy = keras.DTypePolicy("float32")
        expected = as_float(outputs_and_gradients(layers[0], tf.cast(x, tf.float32), weights))
        found = outputs_and_gradients(layers[1], x, weights)
        assert found[0].dtype == x.dtype
        for one, other in zip(as_float(found), expected, strict=True):
            scale = max(1.0, np.abs(other).max())
            np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * scale)
        for one, other in zip(layers[1].get_weights(), layers[0].get_weights(), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3 if precision == "bfloat16" else 1e-5)
        for one, before in zip(layers[1].get_weights()[2:], start[2:], strict=True):
            assert np.abs(one - before).max() > 0

    def test_inference_uses_the_moving_statistics(self):
        layer = FusedBatchNormalization(epsilon=0.0)
        layer.build((None, 4, 4, 1))
        layer.set_weights([np.array([2.0]), np.array([1.0]), np.array([5.0]), np.array([4.0])])
        np.testing.assert_allclose(layer(tf.fill([1, 4, 4, 1], 9.0)), np.full((1, 4, 4, 1), 5.0))

    def test_a_frozen_one_does_not_learn(self):
        layer = FusedBatchNormalization()
        layer.build((None, 4, 4, 2))
        layer.trainable = False
        layer(tf.random.stateless_normal([8, 4, 4, 2], [0, 1]) + 7, training=True)
        np.testing.assert_array_equal(layer.moving_mean, [0, 0])

    def test_networks_with_it_and_without_it_are_the_same_function(self):
        config = GeneratorConfig(filters=8)
        fused, plain = (build_generator(config, fused_batch_norm=f, seed=0) for f in (True, False))
        images = np.random.default_rng(0).uniform(0, 100, (4, 32, 32, 1)).astype(np.float32)
        np.testing.assert_allclose(
            fused(images, training=True), plain(images, training=True), atol=1e-4
        )
        assert [w.shape for w in fused.get_weights()] == [w.shape for w in plain.get_weights()]


class TestMatmulGradients:
    def test_networks_with_them_have_the_same_weights_and_outputs(self):
        images = np.random.default_rng(0).uniform(0, 1, (2, 32, 32, 3)).astype(np.float32)
        for build, config, x in (
            (build_generator, GeneratorConfig(filters=8), images[..., :1]),
            (build_discriminator, DiscriminatorConfig(filters=8), images),
        ):
            fast, plain = (build(config, matmul_gradients=m, seed=0) for m in (True, False))
            assert [v.path for v in fast.weights] == [v.path for v in plain.weights]
            np.testing.assert_allclose(fast(x), plain(x), atol=1e-4)
