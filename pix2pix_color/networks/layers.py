"""Keras layers that Keras does not have.

`FusedBatchNormalization` and the `MatmulGradient...` layers train faster on a CPU than Keras's
own, with the same variables and results. They appear in training graphs only: a generator for
inference is built from plain Keras layers, which take the same weights.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from .. import color

__all__ = [
    "AnnealedMean",
    "FusedBatchNormalization",
    "LightnessToGray",
    "MatmulGradientConv2D",
    "MatmulGradientConv2DTranspose",
    "MirroredMean",
    "RGBToChroma",
    "SpectralConv2D",
    "WithMirrored",
    "copy_at_precision",
]

_LARGEST_MAP = 4  # above 4x4 outputs the convolution's own filter gradient is as fast
_TEMPERATURE = 0.38  # of Zhang et al. 2016; 1 would be the mean, and toward 0 the most likely bin


def copy_at_precision(
    layer: keras.layers.Layer, precision: str, **changes: object
) -> keras.layers.Layer:
    """Returns a copy of a layer of a trained network, without its weights.

    Args:
        layer: the layer.
        precision: Keras dtype policy of the copy; a `Rescaling`, which handles pixels, keeps its
            own.
        **changes: to the layer's configuration.
    """
    config = layer.get_config() | changes
    if not isinstance(layer, keras.layers.Rescaling):
        config["dtype"] = precision
    return type(layer).from_config(config)


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalization through TensorFlow's fused operation.

    Same variables, same results to rounding (the moving variance too: TensorFlow's
    Bessel-corrected batch variance is uncorrected, since Keras does not correct it). Keras 3
    composes the operation from elementary ones, which costs 3.7 times as much on a CPU.
    """

    def call(self, inputs, training=None, mask=None):
        if not (training and self.trainable) or self.synchronized or mask is not None:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            tf.cast(self.gamma, tf.float32),
            tf.cast(self.beta, tf.float32),
            epsilon=self.epsilon,
            is_training=True,
        )
        count = tf.cast(tf.size(inputs) / tf.shape(inputs)[-1], tf.float32)
        variance *= (count - 1.0) / count
        keep = self.momentum
        self.moving_mean.assign(self.moving_mean * keep + mean * (1.0 - keep))
        self.moving_variance.assign(self.moving_variance * keep + variance * (1.0 - keep))
        return outputs


def _filter_gradient(x: tf.Tensor, dy: tf.Tensor, kernel: int, stride: int) -> tf.Tensor:
    """Returns the filter gradient of a 'same' convolution from x to y as a matrix product.

    oneDNN's bfloat16 filter gradient of a small map runs at a third of its matrix product.
    """
    if dy.shape[1] is None or dy.shape[1] > _LARGEST_MAP:
        return tf.raw_ops.Conv2DBackpropFilter(
            input=x,
            filter_sizes=[kernel, kernel, x.shape[-1], dy.shape[-1]],
            out_backprop=dy,
            strides=[1, stride, stride, 1],
            padding="SAME",
        )
    patches = tf.image.extract_patches(
        x, [1, kernel, kernel, 1], [1, stride, stride, 1], [1, 1, 1, 1], "SAME"
    )
    product = tf.matmul(
        tf.reshape(patches, [-1, kernel * kernel * x.shape[-1]]),
        tf.reshape(dy, [-1, dy.shape[-1]]),
        transpose_a=True,
    )
    return tf.reshape(product, [kernel, kernel, x.shape[-1], dy.shape[-1]])


def _with_filter_gradient(
    y: tf.Tensor, kernel: tf.Tensor, gradient: Callable[[tf.Tensor], tf.Tensor]
) -> tf.Tensor:
    """Returns y, which gives the kernel the `gradient` that is a function of its own."""

    @tf.custom_gradient
    def tie(y: tf.Tensor, kernel: tf.Tensor):
        return tf.identity(y), lambda dy: (dy, gradient(dy))

    return tie(y, kernel)


class MatmulGradientConv2D(keras.layers.Conv2D):
    """A square 'same' Conv2D that computes the filter gradient of small maps as a product."""

    def convolution_op(self, inputs, kernel):
        kernel = tf.convert_to_tensor(kernel)
        size, stride = kernel.shape[0], self.strides[0]
        outputs = tf.nn.conv2d(inputs, tf.stop_gradient(kernel), stride, "SAME")
        return _with_filter_gradient(
            outputs, kernel, lambda dy: _filter_gradient(inputs, dy, size, stride)
        )


class MatmulGradientConv2DTranspose(keras.layers.Conv2DTranspose):
    """The same for a square 'same' Conv2DTranspose: the gradient of a convolution from y to x."""

    def call(self, inputs):
        kernel = tf.convert_to_tensor(self.kernel)  # a custom gradient must not see a variable
        size, stride = kernel.shape[0], self.strides[0]
        outputs = keras.ops.conv_transpose(inputs, tf.stop_gradient(kernel), stride, "same")
        outputs = _with_filter_gradient(
            outputs, kernel, lambda dy: _filter_gradient(dy, inputs, size, stride)
        )
        return outputs + tf.convert_to_tensor(self.bias)


class SpectralConv2D(MatmulGradientConv2D):
    """A square 'same' Conv2D whose kernel is divided by its largest singular value.

    Spectral normalization (Miyato et al. 2018): the kernel as a matrix, with one column per
    output channel, has a spectral norm of 1. Each training call takes one step of power
    iteration, starting from the previous call's vector. Keras's own wrapper overwrites the
    kernel with the quotient and hides the division from its gradient (equation 12).
    """

    def build(self, input_shape):
        super().build(input_shape)
        # All replicas take equal steps: the first one's value is everyone's.
        self.direction = self.add_weight(
            name="direction",
            shape=(self.filters,),
            initializer=keras.initializers.Constant(self.filters**-0.5),
            trainable=False,
            aggregation="only_first_replica",
        )

    def call(self, inputs, training=None):
        kernel = tf.cast(tf.convert_to_tensor(self.kernel), tf.float32)
        matrix = tf.reshape(kernel, [-1, self.filters])
        fixed = tf.stop_gradient(matrix)
        right = tf.cast(tf.convert_to_tensor(self.direction), tf.float32)[:, None]
        left = tf.math.l2_normalize(tf.matmul(fixed, right))
        if training:
            right = tf.math.l2_normalize(tf.matmul(fixed, left, transpose_a=True))
            self.direction.assign(right[:, 0])
        norm = tf.reduce_sum(left * tf.matmul(matrix, right))
        outputs = self.convolution_op(inputs, tf.cast(kernel / norm, inputs.dtype))
        return outputs + tf.cast(tf.convert_to_tensor(self.bias), outputs.dtype)


class RGBToChroma(keras.layers.Layer):
    """Converts RGB in [-1, 1], (..., 3), to chroma, (a, b) / 128, (..., 2), dropping its L."""

    def call(self, inputs):
        _, chroma = color.split((inputs + 1.0) / 2.0)
        return chroma


class LightnessToGray(keras.layers.Layer):
    """Converts L in [0, 100], (batch, rows, columns, 1), to gray RGB, 0 to 255.

    It resizes itself, because Keras's `Resizing` puts the layers after it into training mode
    where the caller does not pass `training`.

    Args:
        size: rows and columns of the result, (batch, size, size, 3); `None` is those of L.
    """

    def __init__(self, size: int | None = None, **options) -> None:
        super().__init__(**options)
        self.size = size

    def call(self, inputs):
        no_color = tf.concat([tf.zeros_like(inputs)] * 2, axis=-1)
        gray = 255.0 * color.merge(inputs, no_color)
        if self.size is None:
            return gray
        # Not antialiased, which ONNX and LiteRT lack; halving the size is exact all the same.
        return tf.image.resize(gray, (self.size, self.size))

    def get_config(self):
        return super().get_config() | {"size": self.size}


class WithMirrored(keras.layers.Layer):
    """Appends the mirror images to a batch (batch, rows, columns, channels), except in training."""

    def call(self, inputs, training=None):
        if training:
            return inputs
        return tf.concat([inputs, tf.reverse(inputs, axis=[2])], axis=0)


class MirroredMean(keras.layers.Layer):
    """Averages each prediction with its mirrored one (see `WithMirrored`), except in training."""

    def call(self, inputs, training=None):
        if training:
            return inputs
        images, mirrored = tf.split(inputs, 2, axis=0)
        return (images + tf.reverse(mirrored, axis=[2])) / 2


class AnnealedMean(keras.layers.Layer):
    """Reduces a color distribution to one color: the mean of the sharpened distribution.

    Zhang, Isola and Efros 2016 (Colorful image colorization, equation 5): between the mean, which
    is desaturated, and the most likely bin, which jumps from pixel to pixel. Takes logits
    (..., 484) for the bins of `metrics.chroma_histogram` and returns chroma, (a, b) / 128,
    (..., 2).
    """

    def call(self, inputs):
        shares = tf.nn.softmax(tf.cast(inputs, tf.float32) / _TEMPERATURE)
        middles = np.arange(-color.CHROMA_LIMIT, color.CHROMA_LIMIT, color.CHROMA_BIN)
        middles = (middles + color.CHROMA_BIN / 2).astype(np.float32)
        centers = np.stack(np.meshgrid(middles, middles, indexing="ij"), axis=-1).reshape(-1, 2)
        return tf.linalg.matmul(shares, tf.constant(centers / np.float32(color.CHROMA_SCALE)))
