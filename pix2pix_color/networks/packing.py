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
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .layers import MirroredMean, WithMirrored

__all__ = ["PackedNetwork", "require_same_network", "unpack_weights"]

_LARGE = 4_096  # values: all smaller ones together are a hundredth of a network

Weights = tuple[list[tf.Tensor], tf.Tensor]
"""The large kernels of a network in float32, and everything else in one vector."""


def _variables(network: keras.Model, *, frozen: bool) -> tuple[list, list]:
    """Returns the large kernels and the rest of the layers that are frozen, or that are not.

    They are in the order of their paths, which no Keras version changes.
    """
    chosen = [v for x in network.layers if x.trainable != frozen for v in x.weights]
    chosen.sort(key=lambda variable: variable.path)
    large = [v for v in chosen if math.prod(v.shape) >= _LARGE]
    return large, [v for v in chosen if math.prod(v.shape) < _LARGE]


def _by_path(network: keras.Model, weights: Weights, *, frozen: bool) -> dict[str, tf.Tensor]:
    """Returns the value of each variable of these layers.

    Raises:
        ValueError: the weights are those of another network.
    """
    kernels, vector = weights
    large, small = _variables(network, frozen=frozen)
    sizes = [math.prod(v.shape) for v in small]
    if sum(sizes) != vector.shape[0]:
        raise ValueError("The stored weights are those of another network.")
    values = {v.path: kernel for v, kernel in zip(large, kernels, strict=True)}
    parts = tf.split(vector, sizes) if small else []
    return values | {v.path: tf.reshape(x, v.shape) for v, x in zip(small, parts, strict=True)}


def _pack(network: keras.Model, *, frozen: bool) -> tf.Module:
    """Returns the weights of these layers: large `kernels`, float16, and the rest in `vectors`."""
    large, small = (
        [keras.ops.convert_to_numpy(v) for v in variables]
        for variables in _variables(network, frozen=frozen)
    )
    pack, vector = tf.Module(), [np.zeros(0, np.float32), *(x.reshape(-1) for x in small)]
    pack.kernels = [tf.Variable(x, trainable=False, dtype=tf.float16) for x in large]
    pack.vectors = tf.Variable(np.concatenate(vector), trainable=False)
    return pack


def _read(pack: tf.Module) -> Weights:
    return [tf.cast(kernel, tf.float32) for kernel in pack.kernels], tf.identity(pack.vectors)


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
        self.learned = _pack(network, frozen=False)
        self.frozen = _pack(network, frozen=True)
        if stable is not None:
            require_same_network(stable, network)
            self.stable = _pack(stable, frozen=False)
        self._call = _caller(network)

    def weights(self, vividness: tf.Tensor | None = None) -> tuple[Weights, Weights]:
        """Returns the learned and the frozen weights in float32.

        Args:
            vividness: float32 (), where the dial stands; `None` without a dial.
        """

        def vivid() -> Weights:
            return _read(self.learned)

        def mixed() -> Weights:
            return tf.nest.map_structure(
                lambda one, other: (1.0 - vividness) * one + vividness * other,
                _read(self.stable),
                vivid(),
            )

        learned = vivid() if vividness is None else tf.cond(vividness == 1.0, vivid, mixed)
        return learned, _read(self.frozen)

    def predict(self, weights: tuple[Weights, Weights], inputs: tf.Tensor) -> tf.Tensor:
        """Returns the network's output, in inference mode.

        Args:
            weights: from `weights`.
            inputs: of a generator lightness (batch, rows, columns, 1), L in [0, 100].
        """
        return self._call(weights, inputs)

    def predict_with(self, part: keras.Model, weights: tuple[Weights, Weights], inputs: Any) -> Any:
        """Returns the output of a part of the network, such as a half of `split_generator`."""
        return self._call(weights, inputs, part)


def _caller(network: keras.Model) -> Callable[..., Any]:
    """Returns a function that runs a network, or a part of it, with weights from outside.

    A closure, so that a SavedModel does not also hold the network's own weights.
    """
    weights = {v.path for v in network.weights}
    # The random state of dropout, which is read before the graph is traced.
    states = {
        v.path: keras.ops.convert_to_numpy(v) for v in network.variables if v.path not in weights
    }

    def call(given: tuple[Weights, Weights], inputs: Any, part: keras.Model = network) -> Any:
        learned, frozen = given
        values = {path: tf.constant(state) for path, state in states.items()}
        values |= _by_path(network, learned, frozen=False)
        values |= _by_path(network, frozen, frozen=True)
        trainable = [values[v.path] for v in part.trainable_variables]
        others = [values[v.path] for v in part.non_trainable_variables]
        return part.stateless_call(trainable, others, inputs, training=False)[0]

    return call


def unpack_weights(loaded: tf.Module, network: keras.Model, *, stable: bool = False) -> None:
    """Gives a Keras network the weights of a loaded `PackedNetwork`.

    Args:
        loaded: the `PackedNetwork` in a loaded SavedModel.
        network: of the same configuration.
        stable: the other end of the dial.

    Raises:
        ValueError: the network has other weights.
    """
    values = _by_path(network, _read(loaded.stable if stable else loaded.learned), frozen=False)
    values |= _by_path(network, _read(loaded.frozen), frozen=True)
    for variable in network.weights:
        variable.assign(values[variable.path])


def require_same_network(one: keras.Model, other: keras.Model) -> None:
    """Raises a `ValueError` unless two generators differ in their weights alone.

    Dropout and flip test-time augmentation, which have no weights, may also differ.
    """

    def described(network: keras.Model) -> set[tuple]:
        without = keras.layers.Dropout | MirroredMean | WithMirrored
        layers = {(x.name,) for x in network.layers if not isinstance(x, without)}
        return layers | {(v.path, tuple(v.shape)) for v in network.weights}

    if differing := sorted(described(one) ^ described(other), key=str):
        raise ValueError(f"Two different generators cannot be mixed: {differing[0][0]} differs.")
