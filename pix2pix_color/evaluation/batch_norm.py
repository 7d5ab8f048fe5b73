"""A generator as many pix2pix implementations run it at test time: with batch statistics."""

from __future__ import annotations

import keras

from ..errors import EvaluationError

__all__ = ["with_batch_statistics"]


class _BatchStatisticsNormalization(keras.layers.BatchNormalization):
    """Always normalizes with the current batch."""

    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, training=True, mask=mask)


def with_batch_statistics(generator: keras.Model) -> keras.Model:
    """Returns a copy whose batch normalization uses the statistics of the current batch.

    Isola et al. 2017 (section 3.4) test this way, with batches of one. The prediction of such a
    model for an image depends on the other images in the batch. The shipped models use moving
    statistics, so theirs does not; this copy only serves to score both side by side:

        evaluate({"moving statistics": generator,
                  "batch statistics": with_batch_statistics(generator)}, images, batch_size=1)

    Args:
        generator: with batch normalization. It is not changed; dropout stays off in the copy.

    Raises:
        EvaluationError: the generator has no batch normalization.
    """
    kind = keras.layers.BatchNormalization

    def is_own(layer: keras.layers.Layer) -> bool:  # not those of a guide, which is frozen
        return isinstance(layer, kind) and layer.trainable

    if not any(map(is_own, generator.layers)):
        raise EvaluationError("The generator has no batch normalization: nothing would change.")

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        if is_own(layer):
            # A momentum of 1 leaves the moving statistics as they are.
            config = {**layer.get_config(), "momentum": 1.0}
            return _BatchStatisticsNormalization.from_config(config)
        return layer.__class__.from_config(layer.get_config())

    copy = keras.models.clone_model(generator, clone_function=clone)
    copy.set_weights(generator.get_weights())
    return copy
