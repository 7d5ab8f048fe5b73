"""Networks as they are stored in a SavedModel, and the dial between two generators.

Large kernels are stored in half precision and cast to float32 in the graph. Everything small stays
float32, in one variable, since many small ones load slowly: biases, batch normalization, and the
kernels next to the images, whose rounding an int8 export would multiply.

A generator that was fine-tuned from another has a *vividness dial*: mixing the weights of the two
gives colors in between (Wang et al. 2019, "Deep network interpolation for continuous imagery
effect transition").
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from .layers import MirroredMean, WithMirrored

_LARGE = 4_096  # values: all smaller ones together are a hundredth of a network

__all__ = ["PackedNetwork", "interpolate_generators", "unpack_weights"]

Weights = tuple[list[tf.Tensor], tf.Tensor]
"""The large kernels of a network in float32, and everything else in one vector."""


def _layers(network: keras.Model, frozen: bool) -> list[keras.layers.Layer]:
    return [layer for layer in network.layers if layer.trainable != frozen]


def _sorted_variables(layers: Sequence[keras.layers.Layer]) -> tuple[list, list]:
    """Returns the large kernels and the rest, in the order of their paths.

    No Keras version changes these.
    """
    found = {v.path: v for layer in layers for v in layer.weights if _is_float(v)}
    variables = [found[path] for path in sorted(found)]
    kernels = [v for v in variables if _is_large(v)]
    return kernels, [v for v in variables if not _is_large(v)]


def _is_float(variable: keras.Variable) -> bool:
    return keras.backend.is_float_dtype(variable.dtype)  # a dropout's seed is not


def _is_large(variable: keras.Variable) -> bool:
    return math.prod(variable.shape) >= _LARGE


class _Pack(tf.Module):
    """The weights of some layers: large `kernels`, float16, and the rest in `vectors`, float32."""

    def __init__(self, layers: Sequence[keras.layers.Layer]) -> None:
        super().__init__()
        kernels, vectors = _sorted_variables(layers)
        arrays = [keras.ops.convert_to_numpy(v).reshape(-1) for v in vectors]
        self.kernels = [
            tf.Variable(keras.ops.convert_to_numpy(v), trainable=False, dtype=tf.float16)
            for v in kernels
        ]
        self.vectors = tf.Variable(
            np.concatenate([np.zeros(0, np.float32), *arrays]), trainable=False
        )

    def weights(self) -> Weights:
        return [tf.cast(kernel, tf.float32) for kernel in self.kernels], tf.identity(self.vectors)


class PackedNetwork(tf.Module):
    """A network whose weights are arguments, ready to be saved.

    Args:
        network: a Keras network; its weights are copied.
        stable: the network that it was fine-tuned from; the two share the weights of frozen
            layers. `None` makes a network without a dial.

    Raises:
        ValueError: the two differ in more than their weights.
    """

    def __init__(self, network: keras.Model, stable: keras.Model | None = None) -> None:
        super().__init__()
        self.learned = _Pack(_layers(network, frozen=False))
        self.frozen = _Pack(_layers(network, frozen=True))
        if stable is not None:
            _require_same_layers(stable, network)
            self.stable = _Pack(_layers(stable, frozen=False))
        network = keras.models.clone_model(network)
        places = {}
        for pack in (False, True):
            kernels, vectors = _sorted_variables(_layers(network, frozen=pack))
            places |= {v.path: (0, pack, i) for i, v in enumerate(kernels)}
            places |= {v.path: (1, pack, i) for i, v in enumerate(vectors)}
        shapes = [
            [tuple(v.shape) for v in _sorted_variables(_layers(network, frozen=pack))[1]]
            for pack in (False, True)
        ]

        # The random state of dropout, which is read before the graph is traced.
        states = {
            variable.path: keras.ops.convert_to_numpy(variable)
            for variable in network.variables
            if variable.path not in places
        }

        def place(variable: keras.Variable, parts: tuple) -> tf.Tensor:
            if variable.path in states:
                return tf.constant(states[variable.path])
            kind, pack, index = places[variable.path]
            return parts[pack][kind][index]

        def predict(learned: Weights, frozen: Weights, inputs: tf.Tensor) -> tf.Tensor:
            # A closure, so that the SavedModel does not also hold the network's own weights.
            parts = tuple(
                (kernels, _split(vectors, sizes))
                for (kernels, vectors), sizes in zip((learned, frozen), shapes, strict=True)
            )
            trainable = [place(v, parts) for v in network.trainable_variables]
            others = [place(v, parts) for v in network.non_trainable_variables]
            return network.stateless_call(trainable, others, inputs, training=False)[0]

        self._predict = predict

    def weights(self, vividness: tf.Tensor | None = None) -> tuple[Weights, Weights]:
        """Returns the learned and the frozen weights in float32.

        Args:
            vividness: float32 (), where the dial stands; `None` without a dial.
        """
        if vividness is None:
            return self.learned.weights(), self.frozen.weights()

        def mixed() -> Weights:
            pairs = zip(*map(tf.nest.flatten, (self.stable.weights(), vivid())), strict=True)
            flat = [(1.0 - vividness) * one + vividness * other for one, other in pairs]
            return tf.nest.pack_sequence_as(vivid(), flat)

        vivid = self.learned.weights
        return tf.cond(tf.equal(vividness, 1.0), vivid, mixed), self.frozen.weights()

    def predict(self, weights: tuple[Weights, Weights], inputs: tf.Tensor) -> tf.Tensor:
        """Returns the network's output, in inference mode.

        Args:
            weights: from `weights`.
            inputs: of a generator lightness (batch, rows, columns, 1), L in [0, 100].
        """
        return self._predict(*weights, inputs)


def _split(vectors: tf.Tensor, shapes: list[tuple[int, ...]]) -> list[tf.Tensor]:
    if not shapes:
        return []
    parts = tf.split(vectors, [math.prod(shape) for shape in shapes])
    return [tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]


def unpack_weights(loaded: tf.Module, network: keras.Model, *, stable: bool = False) -> None:
    """Gives a Keras network the weights of a loaded `PackedNetwork`.

    Args:
        loaded: the `PackedNetwork` in a loaded SavedModel.
        network: of the same configuration.
        stable: the other end of the dial.

    Raises:
        ValueError: the network has other weights.
    """
    packs = (loaded.stable if stable else loaded.learned, loaded.frozen)
    for pack, frozen in zip(packs, (False, True), strict=True):
        kernels, vectors = _sorted_variables(_layers(network, frozen=frozen))
        for variable, stored in zip(kernels, pack.kernels, strict=True):
            variable.assign(tf.cast(stored, tf.float32))
        shapes = [tuple(v.shape) for v in vectors]
        if sum(math.prod(shape) for shape in shapes) != pack.vectors.shape[0]:
            raise ValueError("The stored weights are those of another network.")
        for variable, value in zip(vectors, _split(pack.vectors, shapes), strict=True):
            variable.assign(value)


def interpolate_generators(
    stable: keras.Model, vivid: keras.Model, vividness: float
) -> keras.Model:
    """Returns a generator whose weights are (1 - v) times one's plus v times the other's.

    Args:
        stable: a generator.
        vivid: the same network, fine-tuned from `stable`.
        vividness: v in [0, 1]: 0 gives the weights of `stable`, 1 those of `vivid`. Beyond 1
            the mixture soon breaks down.

    Returns:
        A Keras model with the layers of `vivid`, so that flip test-time augmentation is used
        only if `vivid` uses it.

    Raises:
        ValueError: the two differ in more than their weights, or v is out of range.
    """
    if not 0.0 <= vividness <= 1.0:
        raise ValueError(f"The vividness must be from 0 to 1, not {vividness}.")
    _require_same_layers(stable, vivid)
    mixed = keras.models.clone_model(vivid)
    weights = {variable.path: variable for variable in stable.weights}
    for target, other in zip(mixed.weights, vivid.weights, strict=True):
        pair = weights[other.path], other
        one, other = (keras.ops.convert_to_numpy(variable) for variable in pair)
        target.assign(np.float32(1.0 - vividness) * one + np.float32(vividness) * other)
    return mixed


def _require_same_layers(stable: keras.Model, vivid: keras.Model) -> None:
    if differing := sorted(_described(stable) ^ _described(vivid), key=str):
        raise ValueError(f"Two different generators cannot be mixed: {differing[0][0]} differs.")


def _described(generator: keras.Model) -> set[tuple]:
    """Returns what must be equal: the layers with weights or a meaning, and their variables."""
    layers = {
        (layer.name, type(layer).__name__)
        for layer in generator.layers
        if not isinstance(layer, MirroredMean | WithMirrored)  # these have no weights
    }
    return layers | {(variable.path, tuple(variable.shape)) for variable in generator.weights}
