"""The dial of vividness: between two generators, of which one was trained on from the other.

Their weights can be mixed, and the mixture is said to do what lies between (Wang et al. 2019,
"Deep network interpolation for continuous imagery effect transition").
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from .layers import MirroredMean, WithMirrored

__all__ = ["MAX_VIVIDNESS", "VividnessDial", "interpolate_generators"]

MAX_VIVIDNESS = 1.0
"""Beyond the second generator the mixture soon breaks down."""


def interpolate_generators(
    stable: keras.Model, vivid: keras.Model, vividness: float
) -> keras.Model:
    """Returns a generator whose weights are (1 - v) times those of one plus v times another's.

    Args:
        stable: as from `Trainer.inference_generator`.
        vivid: of the same shape, trained on from `stable`.
        vividness: v: 0 gives what `stable` has learned, 1 `vivid`.

    Returns:
        A Keras model of the layers of `vivid`, with weights of its own. So it colorizes the
        mirror image too only where `vivid` does, whatever `stable` does.

    Raises:
        ValueError: the two differ in more than their weights, or v is out of range.
    """
    if not 0.0 <= vividness <= MAX_VIVIDNESS:
        raise ValueError(f"The vividness must be from 0 to {MAX_VIVIDNESS:g}, not {vividness}.")
    _require_one_shape(stable, vivid)
    mixed = keras.models.clone_model(vivid)
    weights = {variable.path: variable for variable in stable.weights}
    for target, other in zip(mixed.weights, vivid.weights, strict=True):
        pair = weights[other.path], other
        one, other = (keras.ops.convert_to_numpy(variable) for variable in pair)
        value = np.float32(1.0 - vividness) * one + np.float32(vividness) * other
        target.assign(value)
    return mixed


class VividnessDial(tf.Module):
    """What `interpolate_generators` gives, for a graph in which the vividness varies.

    The weights of each generator are one long variable: hundreds of small ones, mixed one by one,
    would make a SavedModel slow to load.

    Args:
        stable, vivid: as for `interpolate_generators`; their weights are copied.

    Raises:
        ValueError: the two differ in more than their weights.
    """

    def __init__(self, stable: keras.Model, vivid: keras.Model) -> None:
        super().__init__()
        _require_one_shape(stable, vivid)
        partners = {variable.path: variable for variable in stable.weights}
        network, count = keras.models.clone_model(vivid), len(vivid.trainable_variables)

        def predict(weights: list[tf.Tensor], lightness: tf.Tensor) -> tf.Tensor:
            # In a function, where no SavedModel finds the network's own weights.
            first, rest = weights[:count], weights[count:]
            return network.stateless_call(first, rest, lightness, training=False)[0]

        self._predict = predict
        variables = [*vivid.trainable_variables, *vivid.non_trainable_variables]
        # The rest are the states of dropouts, which rest.
        self._mixed = [keras.backend.is_float_dtype(variable.dtype) for variable in variables]
        mixed = [v for v, is_mixed in zip(variables, self._mixed, strict=True) if is_mixed]
        self._shapes = [tuple(variable.shape) for variable in mixed]
        self.vivid = tf.Variable(_flat(mixed), trainable=False)
        self.stable = tf.Variable(_flat([partners[v.path] for v in mixed]), trainable=False)
        resting = [v for v, is_mixed in zip(variables, self._mixed, strict=True) if not is_mixed]
        self._resting = [keras.ops.convert_to_numpy(variable) for variable in resting]

    def __call__(self, lightness: tf.Tensor, vividness: tf.Tensor) -> tf.Tensor:
        """Returns chroma.

        Args:
            lightness: (batch, rows, columns, 1), L in [0, 100].
            vividness: float32 ().

        Returns:
            (batch, rows, columns, 2), (a, b) / 128.
        """
        flat = tf.cond(  # where nothing is mixed, nothing is calculated
            tf.equal(vividness, 1.0),
            lambda: tf.identity(self.vivid),
            lambda: (1.0 - vividness) * self.stable + vividness * self.vivid,
        )
        parts = tf.split(flat, [int(np.prod(shape)) for shape in self._shapes])
        pairs = zip(parts, self._shapes, strict=True)
        floats = iter([tf.reshape(part, shape) for part, shape in pairs])
        resting = iter(self._resting)
        weights = [next(floats) if mixed else tf.constant(next(resting)) for mixed in self._mixed]
        return self._predict(weights, lightness)


def _flat(variables: list[keras.Variable]) -> np.ndarray:
    return np.concatenate([keras.ops.convert_to_numpy(v).reshape(-1) for v in variables])


def _require_one_shape(stable: keras.Model, vivid: keras.Model) -> None:
    if _shape(stable) != _shape(vivid):
        differing = sorted(_shape(stable) ^ _shape(vivid), key=str)[0]
        raise ValueError(
            f"Two generators of different shapes cannot be mixed: {differing[0]} differs."
        )


def _shape(generator: keras.Model) -> set[tuple]:
    """Returns what must be the same: the layers, where they are, and their variables."""
    layers = {
        (layer.name, type(layer).__name__)
        for layer in generator.layers
        if not isinstance(layer, MirroredMean | WithMirrored)  # which have learned nothing
    }
    return layers | {(variable.path, tuple(variable.shape)) for variable in generator.weights}
