"""The layers of both networks, in one place: precision, seeds and normalization."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import keras
from keras import layers

from ..color import CHROMA_BIN, CHROMA_LIMIT
from ..config import DiscriminatorConfig, GeneratorConfig
from .layers import (
    FusedBatchNormalization,
    MatmulGradientConv2D,
    MatmulGradientConv2DTranspose,
    SpectralConv2D,
)

__all__ = ["COLOR_CHANNELS", "DISTRIBUTION_BINS", "LayerMaker"]

COLOR_CHANNELS = {"lab": 2, "rgb": 3, "distribution": 2}
"""Color channels of the generator's output and the discriminator's input, by `data.color_space`."""
DISTRIBUTION_BINS = (2 * CHROMA_LIMIT // CHROMA_BIN) ** 2


class LayerMaker:
    """Makes the layers of one network; arguments as in `build_generator`."""

    def __init__(
        self,
        config: GeneratorConfig | DiscriminatorConfig,
        precision: str,
        fused_batch_norm: bool,
        matmul_gradients: bool,
        synchronized: bool,
        seed: int | None,
    ) -> None:
        self.config = config
        self.precision = precision
        self.fused = fused_batch_norm
        self.matmul_gradients = matmul_gradients
        self.synchronized = synchronized
        self._seeds: Iterator[int | None] = (
            itertools.repeat(None) if seed is None else itertools.count(seed * 1_000)
        )

    def initializer(self, gain: float = 1.0) -> keras.Initializer:
        """Returns a Glorot uniform initializer with the next seed, its variance times `gain`."""
        if gain == 1.0:
            return keras.initializers.GlorotUniform(seed=next(self._seeds))
        return keras.initializers.VarianceScaling(
            gain, "fan_avg", "uniform", seed=next(self._seeds)
        )

    def convolution(
        self,
        filters: int,
        *,
        stride: int,
        kernel: int,
        name: str,
        transposed: bool = False,
        gain: float = 1.0,
    ) -> layers.Layer:
        if self.config.normalization == "spectral":
            kind = SpectralConv2D  # computes its filter gradient as MatmulGradientConv2D does
        elif self.matmul_gradients:
            kind = MatmulGradientConv2DTranspose if transposed else MatmulGradientConv2D
        else:
            kind = layers.Conv2DTranspose if transposed else layers.Conv2D
        return kind(
            filters,
            kernel,
            strides=stride,
            padding="same",
            kernel_initializer=self.initializer(gain),
            dtype=self.precision,
            name=name,
        )

    def normalize(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        kind = self.config.normalization
        if kind in ("none", "spectral") or (kind == "instance" and tuple(x.shape[1:3]) == (1, 1)):
            return x  # instance normalization of a single pixel would erase it
        if kind == "batch":
            normalization = FusedBatchNormalization if self.fused else layers.BatchNormalization
            layer = normalization(synchronized=self.synchronized, dtype=self.precision, name=name)
        else:
            groups = -1 if kind == "instance" else max(1, x.shape[-1] // 8)
            layer = layers.GroupNormalization(groups, dtype=self.precision, name=name)
        return layer(x)

    def dropout(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        if not self.config.dropout:
            return x
        return layers.Dropout(
            self.config.dropout, seed=next(self._seeds), dtype=self.precision, name=name
        )(x)

    def style(self, x: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
        """Returns a vector for the whole image: (batch, channels)."""
        x = layers.GlobalAveragePooling2D(dtype=self.precision, name=f"{name}_mean")(x)
        x = self._dense(channels, f"{name}_dense")(x)
        return self.leaky_relu(x, f"{name}_leaky_relu")

    def modulate(
        self, x: keras.KerasTensor, style: keras.KerasTensor, name: str
    ) -> keras.KerasTensor:
        """Scales each channel by a factor computed from the style, initially about 1."""
        scale = self._dense(x.shape[-1], f"{name}_dense", gain=0.01, bias="ones")(style)
        scale = layers.Reshape((1, 1, -1), dtype=self.precision, name=f"{name}_reshape")(scale)
        return layers.Multiply(dtype=self.precision, name=name)([x, scale])

    def fuse(
        self, x: keras.KerasTensor, features: keras.KerasTensor, name: str
    ) -> keras.KerasTensor:
        """Adds a projection of the whole image's features (batch, n) to each pixel."""
        y = self._dense(x.shape[-1], f"{name}_dense")(features)
        y = layers.Reshape((1, 1, -1), dtype=self.precision, name=f"{name}_reshape")(y)
        return self.add(x, y, f"{name}_add")

    def _dense(self, channels: int, name: str, gain: float = 1.0, bias: str = "zeros"):
        initializer = self.initializer(gain)
        return layers.Dense(
            channels,
            kernel_initializer=initializer,
            bias_initializer=bias,
            dtype=self.precision,
            name=name,
        )

    def add(self, x: keras.KerasTensor, y: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return layers.Add(dtype=self.precision, name=name)([x, y])

    def concatenate(
        self, x: keras.KerasTensor, y: keras.KerasTensor, name: str
    ) -> keras.KerasTensor:
        return layers.Concatenate(dtype=self.precision, name=name)([x, y])

    def leaky_relu(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return layers.LeakyReLU(0.2, dtype=self.precision, name=name)(x)

    def max_pooling(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return layers.MaxPooling2D(dtype=self.precision, name=name)(x)

    def double(
        self, x: keras.KerasTensor, filters: int, kernel: int, name: str
    ) -> keras.KerasTensor:
        """Doubles the size: by a transposed convolution, or by repetition and a convolution."""
        transposed = self.config.upsampling == "transposed"
        if not transposed:
            x = layers.UpSampling2D(dtype=self.precision, name=f"{name}_resize")(x)
        stride = 2 if transposed else 1
        return self.convolution(
            filters, stride=stride, kernel=kernel, name=f"{name}_conv", transposed=transposed
        )(x)

    def rescale_lightness(
        self, x: keras.KerasTensor, colors: int = 0, name: str = "rescale"
    ) -> keras.KerasTensor:
        """Rescales L from [0, 100] to [-1, 1], leaving the `colors` channels after it unchanged."""
        scale, offset = 1 / 50, -1.0
        if colors:
            scale, offset = [scale, *[1.0] * colors], [offset, *[0.0] * colors]
        return layers.Rescaling(scale, offset, dtype="float32", name=name)(x)
