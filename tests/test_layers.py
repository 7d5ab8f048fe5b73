"""The fast layers against the plain Keras layers that they stand in for, and the others."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import skimage.color
import tensorflow as tf

from pix2pix_color.networks.layers import (
    MatmulGradientConv2D,
    MatmulGradientConv2DTranspose,
    RGBToChroma,
)


def gradients(layer: keras.layers.Layer, x: tf.Tensor, weight: tf.Tensor):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        loss = tf.reduce_sum(tf.cast(y, tf.float32) * weight)
    return y, tape.gradient(loss, [x, *layer.trainable_variables])


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(
    ("fast", "plain", "size", "stride"),
    [
        (MatmulGradientConv2D, keras.layers.Conv2D, 8, 2),
        (MatmulGradientConv2D, keras.layers.Conv2D, 4, 1),
        (MatmulGradientConv2D, keras.layers.Conv2D, 2, 2),
        (MatmulGradientConv2D, keras.layers.Conv2D, 16, 1),
        (MatmulGradientConv2DTranspose, keras.layers.Conv2DTranspose, 1, 2),
        (MatmulGradientConv2DTranspose, keras.layers.Conv2DTranspose, 4, 2),
        (MatmulGradientConv2DTranspose, keras.layers.Conv2DTranspose, 8, 2),
    ],
)
@pytest.mark.parametrize("in_graph", [False, True])
def test_outputs_and_gradients_are_the_plain_layer_s(
    fast, plain, size, stride, precision, in_graph
):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(3, size, size, 5)), tf.float32)
    ours, oracle = (
        kind(7, 4, strides=stride, padding="same", dtype=precision if kind is fast else "float32")
        for kind in (fast, plain)
    )
    shape = oracle(x).shape
    ours.build(x.shape)
    oracle.set_weights([w + 0.1 for w in oracle.get_weights()])
    ours.set_weights(oracle.get_weights())
    weight = tf.constant(rng.normal(size=shape), tf.float32)
    step = tf.function(gradients, reduce_retracing=True) if in_graph else gradients
    y, found = step(ours, x, weight)
    expected_y, expected = gradients(oracle, x, weight)
    tolerance = 1e-5 if precision == "float32" else 2e-2
    # y, input, kernel; the bias gradient is TensorFlow's own operation, and coarse in bfloat16.
    last = 4 if precision == "float32" else 3
    for one, other in zip([y, *found][:last], [expected_y, *expected][:last], strict=True):
        one, other = np.asarray(tf.cast(one, tf.float32)), np.asarray(other)
        assert np.abs(one - other).max() <= tolerance * np.abs(other).max()


def test_rgb_to_chroma_is_scikit_images_a_and_b():
    rgb = np.random.default_rng(0).uniform(0, 1, (2, 5, 7, 3)).astype(np.float32)
    expected = skimage.color.rgb2lab(rgb)[..., 1:] / 128
    np.testing.assert_allclose(RGBToChroma()(2 * rgb - 1), expected, atol=1e-4)
