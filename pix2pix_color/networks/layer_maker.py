"""The layers of both networks, in one place: precision, seeds and normalization."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Iterator

import keras
from keras import layers

from ..config import DiscriminatorConfig, GeneratorConfig
from .layers import (
    FusedBatchNormalization,
    MatmulGradientConv2D,
    MatmulGradientConv2DTranspose,
    SpectralConv2D,
)

__all__ = ["LayerMaker", "rescale_lightness"]


@dataclasses.dataclass
class LayerMaker:
    """Applies the layers of one network that depend on its configuration.

    Attributes:
        config: of the network.
        precision: Keras dtype policy of the layers; the outputs of a network are always float32.
        fused_batch_norm: use `FusedBatchNormalization`, for training.
        matmul_gradients: use `MatmulGradientConv2D`, for bfloat16 training on a CPU.
        synchronized: share batch statistics between the replicas of a strategy.
        seed: of the initial weights and the dropout; `None` is random.
    """

    config: GeneratorConfig | DiscriminatorConfig
    precision: str = "float32"
    fused_batch_norm: bool = False
    matmul_gradients: bool = False
    synchronized: bool = False
    seed: int | None = None

    def __post_init__(self) -> None:
        numbers = (
            itertools.repeat(None) if self.seed is None else itertools.count(self.seed * 1_000)
        )
        self._seeds: Iterator[int | None] = numbers

    @contextlib.contextmanager
    def in_precision(self) -> Iterator[None]:
        """Gives the layers that are made inside the network's precision (in this thread only)."""
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.precision)
        try:
            yield
        finally:
            keras.config.set_dtype_policy(before)

    def _initializer(self, gain: float) -> keras.Initializer:
        """Returns a Glorot uniform initializer with the next seed, its variance times `gain`."""
        return keras.initializers.VarianceScaling(
            gain, "fan_avg", "uniform", seed=next(self._seeds)
        )

    def convolution(
        self,
        x: keras.KerasTensor,
        filters: int,
        name: str,
        *,
        stride: int = 1,
        kernel: int | None = None,
        transposed: bool = False,
        gain: float = 1.0,
    ) -> keras.KerasTensor:
        if self.config.normalization == "spectral":
            kind = SpectralConv2D  # computes its filter gradient as MatmulGradientConv2D does
        elif self.matmul_gradients:
            kind = MatmulGradientConv2DTranspose if transposed else MatmulGradientConv2D
        else:
            kind = layers.Conv2DTranspose if transposed else layers.Conv2D
        return kind(
            filters,
            kernel or self.config.kernel_size,
            strides=stride,
            padding="same",
            kernel_initializer=self._initializer(gain),
            name=name,
        )(x)

    def double(self, x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
        """Doubles the size: by a transposed convolution, or by repetition and a convolution."""
        if self.config.upsampling == "transposed":
            return self.convolution(x, filters, f"{name}_conv", stride=2, transposed=True)
        x = layers.UpSampling2D(name=f"{name}_resize")(x)
        return self.convolution(x, filters, f"{name}_conv")

    def dense(
        self,
        x: keras.KerasTensor,
        channels: int,
        name: str,
        *,
        gain: float = 1.0,
        bias: str = "zeros",
    ) -> keras.KerasTensor:
        initializer = self._initializer(gain)
        return layers.Dense(
            channels, kernel_initializer=initializer, bias_initializer=bias, name=name
        )(x)

    def normalize(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        kind = self.config.normalization
        if kind in ("none", "spectral") or (kind == "instance" and tuple(x.shape[1:3]) == (1, 1)):
            return x  # instance normalization of a single pixel would erase it
        if kind == "batch":
            normalization = (
                FusedBatchNormalization if self.fused_batch_norm else layers.BatchNormalization
            )
            return normalization(synchronized=self.synchronized, name=name)(x)
        groups = -1 if kind == "instance" else max(1, x.shape[-1] // 8)
        return layers.GroupNormalization(groups, name=name)(x)

    def leaky_relu(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return layers.LeakyReLU(0.2, name=name)(x)

    def dropout(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        rate = self.config.dropout
        return layers.Dropout(rate, seed=next(self._seeds), name=name)(x) if rate else x


def rescale_lightness(x: keras.KerasTensor, colors: int = 0) -> keras.KerasTensor:
    """Rescales L from [0, 100] to [-1, 1], leaving the `colors` channels after it unchanged."""
    scale, offset = [1 / 50, *[1.0] * colors], [-1.0, *[0.0] * colors]
    return layers.Rescaling(scale, offset, dtype="float32", name="rescale")(x)
