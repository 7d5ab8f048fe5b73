"""A generator as many pix2pix codes run it at test time: with the statistics of its batch."""

from __future__ import annotations

import keras
import tensorflow as tf

from ..errors import EvaluationError

__all__ = ["with_batch_statistics"]


class _BatchStatisticsNormalization(keras.layers.BatchNormalization):
    """Normalizes with the batch at hand, in training and out of it, and remembers nothing."""

    def call(self, inputs, training=None, mask=None):
        x = tf.cast(inputs, tf.float32)
        axes = [axis for axis in range(x.shape.rank) if axis != self.axis % x.shape.rank]
        mean, variance = tf.nn.moments(x, axes, keepdims=True)
        shape = [-1 if axis not in axes else 1 for axis in range(x.shape.rank)]
        scale = tf.reshape(self.gamma, shape) if self.scale else None
        offset = tf.reshape(self.beta, shape) if self.center else None
        outputs = tf.nn.batch_normalization(x, mean, variance, offset, scale, self.epsilon)
        return tf.cast(outputs, self.compute_dtype)


def with_batch_statistics(generator: keras.Model) -> keras.Model:
    """Returns a copy whose batch normalizations use the statistics of the batch at hand.

    Isola et al. 2017 (section 3.4) test this way, with batches of one. What such a model
    predicts for an image depends on the other images of its batch. The models shipped here use
    moving statistics and do not; this copy is only for scoring the two beside each other:

        evaluate({"moving statistics": generator,
                  "batch statistics": with_batch_statistics(generator)}, images, batch_size=1)

    Args:
        generator: with batch normalization. It stays as it is; dropout stays off in the copy.

    Raises:
        EvaluationError: it has no batch normalization.
    """
    kind = keras.layers.BatchNormalization

    def is_own(layer: keras.layers.Layer) -> bool:  # not of a classifier that guides it
        return isinstance(layer, kind) and layer.trainable

    if not any(map(is_own, generator.layers)):
        raise EvaluationError("The generator has no batch normalization: nothing would change.")

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        if is_own(layer):
            return _BatchStatisticsNormalization.from_config(layer.get_config())
        return layer.__class__.from_config(layer.get_config())

    copy = keras.models.clone_model(generator, clone_function=clone)
    copy.set_weights(generator.get_weights())
    return copy
