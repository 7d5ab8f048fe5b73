"""The dial of vividness: between two generators, of which one was trained on from the other.

Their weights can be mixed, and the mixture is said to do what lies between (Wang et al. 2019,
"Deep network interpolation for continuous imagery effect transition").
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

__all__ = ["MAX_VIVIDNESS", "interpolate_generators", "vividness_dial"]

MAX_VIVIDNESS = 1.0
"""Beyond the second generator the mixture is of no use: at 1.2 the mean true PSNR of the shipped
pair is 7 dB."""


def interpolate_generators(
    stable: keras.Model, vivid: keras.Model, vividness: float
) -> keras.Model:
    """Returns a generator whose weights are (1 - v) times those of one plus v times another's.

    Args:
        stable: as from `Trainer.inference_generator`.
        vivid: of the same shape, trained on from `stable`.
        vividness: v: 0 gives `stable`, 1 `vivid`.

    Returns:
        A Keras model of the same layers, with weights of its own.

    Raises:
        ValueError: the two differ in more than their weights, or v is out of range.
    """
    if not 0.0 <= vividness <= MAX_VIVIDNESS:
        raise ValueError(f"The vividness must be from 0 to {MAX_VIVIDNESS:g}, not {vividness}.")
    _require_one_shape(stable, vivid)
    mixed = keras.models.clone_model(stable)
    weights = {variable.path: variable for variable in vivid.weights}
    for target, one in zip(mixed.weights, stable.weights, strict=True):
        one, other = (keras.ops.convert_to_numpy(variable) for variable in (one, weights[one.path]))
        value = np.float32(1.0 - vividness) * one + np.float32(vividness) * other
        target.assign(value)
    return mixed


def vividness_dial(
    stable: keras.Model, vivid: keras.Model
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Returns what `interpolate_generators` gives, for a graph in which the vividness varies.

    Args:
        stable, vivid: as for `interpolate_generators`; their variables are used, not copied.

    Returns:
        A function of lightness (batch, rows, columns, 1), L in [0, 100], and of the vividness,
        float32 (), to chroma (batch, rows, columns, 2), (a, b) / 128.

    Raises:
        ValueError: the two differ in more than their weights.
    """
    _require_one_shape(stable, vivid)
    partners = {variable.path: variable for variable in stable.weights}
    trained, others = vivid.trainable_variables, vivid.non_trainable_variables

    def mix(variable: keras.Variable, vividness: tf.Tensor) -> tf.Tensor:
        value = variable.value
        if not value.dtype.is_floating:  # the state of a dropout, which rests
            return tf.identity(value)
        return (1.0 - vividness) * partners[variable.path].value + vividness * value

    def predict(lightness: tf.Tensor, vividness: tf.Tensor) -> tf.Tensor:
        weights = tf.cond(  # where nothing is mixed, nothing is calculated
            tf.equal(vividness, 1.0),
            lambda: [tf.identity(variable.value) for variable in [*trained, *others]],
            lambda: [mix(variable, vividness) for variable in [*trained, *others]],
        )
        first, rest = weights[: len(trained)], weights[len(trained) :]
        return vivid.stateless_call(first, rest, lightness, training=False)[0]

    return predict


def _require_one_shape(stable: keras.Model, vivid: keras.Model) -> None:
    if _shape(stable) != _shape(vivid):
        differing = sorted(_shape(stable) ^ _shape(vivid), key=str)[0]
        raise ValueError(
            f"Two generators of different shapes cannot be mixed: {differing[0]} differs."
        )


def _shape(generator: keras.Model) -> set[tuple]:
    """Returns what must be the same: the layers, where they are, and their variables."""
    layers = {(layer.name, type(layer).__name__) for layer in generator.layers}
    return layers | {(variable.path, tuple(variable.shape)) for variable in generator.weights}
