"""The fast layers against the plain Keras layers that they stand in for, and the others."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import skimage.color
import tensorflow as tf

from pix2pix_color.networks.layers import (
    FusedBatchNormalization,
    MatmulGradientConv2D,
    MatmulGradientConv2DTranspose,
    RGBToChroma,
    SpectralConv2D,
)


def outputs_and_gradients(layer: keras.layers.Layer, x: tf.Tensor, weight: tf.Tensor):
    """Returns the outputs and the gradients of x and of each variable, in float32."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
        loss = tf.reduce_sum(tf.cast(y, tf.float32) * weight)
    found = [y, *tape.gradient(loss, [x, *[v.value for v in layer.trainable_variables]])]
    return [tf.cast(t, tf.float32) for t in found]


def assert_near(found, expected, tolerance):
    for one, other in zip(found, expected, strict=True):
        scale = max(1.0, np.abs(other).max())
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(
    ("fast", "plain", "size", "stride"),
    [
        (MatmulGradientConv2D, keras.layers.Conv2D, 4, 1),
        (MatmulGradientConv2D, keras.layers.Conv2D, 2, 2),
        (MatmulGradientConv2D, keras.layers.Conv2D, 16, 2),
        (MatmulGradientConv2DTranspose, keras.layers.Conv2DTranspose, 1, 2),
        (MatmulGradientConv2DTranspose, keras.layers.Conv2DTranspose, 8, 2),
    ],
)
def test_matmul_gradients_are_the_plain_layers(fast, plain, size, stride, precision):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(3, size, size, 5)), tf.float32)
    ours, oracle = (
        kind(7, 4, strides=stride, padding="same", dtype=dtype)
        for kind, dtype in ((fast, precision), (plain, "float32"))
    )
    weight = tf.constant(rng.normal(size=oracle(x).shape), tf.float32)
    ours.build(x.shape)
    oracle.set_weights([w + 0.1 for w in oracle.get_weights()])
    ours.set_weights(oracle.get_weights())
    expected = outputs_and_gradients(oracle, x, weight)
    # y, input, kernel; the bias gradient is TensorFlow's own operation, and coarse in bfloat16.
    last = 4 if precision == "float32" else 3
    for step in (outputs_and_gradients, tf.function(outputs_and_gradients)):
        found = step(ours, x, weight)
        assert_near(found[:last], expected[:last], 1e-5 if precision == "float32" else 2e-2)


class TestFusedBatchNormalization:
    @pytest.mark.parametrize(("precision", "tolerance"), [("float32", 2e-5), ("bfloat16", 2e-2)])
    @pytest.mark.parametrize("shape", [(16, 8, 8, 6), (2, 1, 1, 6)])
    def test_equals_keras_own(self, shape, precision, tolerance):
        rng = np.random.default_rng(0)
        # The oracle sees the same rounded input, but computes in float32.
        plain = keras.layers.BatchNormalization()
        fused = FusedBatchNormalization(dtype=precision.replace("bfloat16", "mixed_bfloat16"))
        start = [rng.uniform(0.5, 2, 6).astype(np.float32) for _ in range(4)]
        for layer in (plain, fused):
            layer.build(shape)
            layer.set_weights(start)
        x = tf.cast(rng.normal(3, 2, shape), precision)
        weights = tf.constant(rng.normal(0, 1, shape), tf.float32)
        expected = outputs_and_gradients(plain, tf.cast(x, tf.float32), weights)
        assert_near(outputs_and_gradients(fused, x, weights), expected, tolerance)
        assert_near(fused.get_weights(), plain.get_weights(), tolerance / 10)
        for one, before in zip(fused.get_weights()[2:], start[2:], strict=True):
            assert np.abs(one - before).max() > 0

    def test_inference_uses_the_moving_statistics_and_a_frozen_one_does_not_learn(self):
        layer = FusedBatchNormalization(epsilon=0.0)
        layer.build((None, 4, 4, 1))
        layer.set_weights([np.array([2.0]), np.array([1.0]), np.array([5.0]), np.array([4.0])])
        x = tf.fill([1, 4, 4, 1], 9.0)
        np.testing.assert_allclose(layer(x), np.full((1, 4, 4, 1), 5.0))
        layer.trainable = False
        np.testing.assert_allclose(layer(x, training=True), np.full((1, 4, 4, 1), 5.0))
        np.testing.assert_array_equal(layer.moving_mean, [5.0])


class TestSpectralConv2D:
    @pytest.fixture
    def x(self):
        return tf.constant(np.random.default_rng(0).normal(size=(2, 8, 8, 5)), tf.float32)

    def make(self, x, precision="float32", calls=0):
        layer = SpectralConv2D(
            6, 3, strides=2, padding="same", dtype=precision,
            kernel_initializer=keras.initializers.RandomNormal(0.0, 2.0, seed=0),
            bias_initializer=keras.initializers.RandomNormal(seed=1),
        )  # fmt: skip
        layer(x)
        for _ in range(calls):
            layer(x, training=True)
        return layer

    def plain(self, layer, x, kernel):
        return tf.nn.conv2d(x, kernel, 2, "SAME") + layer.bias.value

    @pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.03)])
    def test_divides_by_the_largest_singular_value(self, x, precision, tolerance):
        layer = self.make(x, precision.replace("bfloat16", "mixed_bfloat16"), calls=60)
        kernel = layer.kernel.numpy()
        largest = np.linalg.svd(kernel.reshape(-1, 6), compute_uv=False)[0]
        found = tf.cast(layer(x, training=False), tf.float32)
        expected = self.plain(layer, x, kernel / largest)
        np.testing.assert_allclose(found, expected, atol=tolerance)

    def test_takes_one_step_of_power_iteration_a_call_in_training_and_none_otherwise(self, x):
        layer = self.make(x)
        matrix, start = layer.kernel.numpy().reshape(-1, 6), layer.direction.numpy()
        np.testing.assert_allclose(start, np.full(6, 6**-0.5))
        layer(x, training=False)
        np.testing.assert_array_equal(layer.direction, start)
        layer(x, training=True)
        expected = matrix.T @ matrix @ start
        expected /= np.linalg.norm(expected)
        np.testing.assert_allclose(layer.direction, expected, rtol=1e-4, atol=1e-6)

    def test_the_gradient_knows_of_the_division(self, x):
        layer = self.make(x, calls=60)
        weights = tf.constant(np.random.default_rng(1).normal(size=(2, 4, 4, 6)), tf.float32)
        kernel = layer.kernel.value
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(kernel)
            loss = tf.reduce_sum(weights * layer(x, training=True))
            exact = kernel / tf.linalg.svd(tf.reshape(kernel, [-1, 6]), compute_uv=False)[0]
            oracle = tf.reduce_sum(weights * self.plain(layer, x, exact))
        found, expected = (tape.gradient(y, kernel) for y in (loss, oracle))
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_rgb_to_chroma_is_scikit_images_a_and_b():
    rgb = np.random.default_rng(0).uniform(0, 1, (2, 5, 7, 3)).astype(np.float32)
    expected = skimage.color.rgb2lab(rgb)[..., 1:] / 128
    np.testing.assert_allclose(RGBToChroma()(2 * rgb - 1), expected, atol=1e-4)
