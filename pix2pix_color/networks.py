"""The two networks: a U-Net generator and a PatchGAN (or plain CNN) discriminator.

Each builder is a function from a configuration to a Keras functional model. With the
defaults they are Figure 1 (6,268,610 parameters) and Figure 2 (2,768,577) of the report.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import keras
from keras import layers

from .config import ConfigError, DiscriminatorConfig, GeneratorConfig
from .layers import (
    FusedBatchNormalization,
    MatmulGradientConv2D,
    MatmulGradientConv2DTranspose,
    RGBToChroma,
)

__all__ = [
    "build_discriminator",
    "build_generator",
    "color_generator",
    "discriminator_layers",
    "receptive_field",
]

_COLOR_CHANNELS = {"lab": 2, "rgb": 3}
_UNIT_SCALE, _UNIT_OFFSET = 1 / 50, -1.0  # from L in [0, 100] to [-1, 1]


class _Layers:
    """Makes the layers of one network: its precision, seeds and normalization in one place."""

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

    def convolution(
        self, filters: int, *, stride: int, kernel: int, name: str, transposed: bool = False
    ) -> layers.Layer:
        if self.matmul_gradients:
            kind = MatmulGradientConv2DTranspose if transposed else MatmulGradientConv2D
        else:
            kind = layers.Conv2DTranspose if transposed else layers.Conv2D
        return kind(
            filters,
            kernel,
            strides=stride,
            padding="same",
            kernel_initializer=keras.initializers.GlorotUniform(seed=next(self._seeds)),
            dtype=self.precision,
            name=name,
        )

    def normalize(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        kind = self.config.normalization
        if kind == "none" or (kind == "instance" and tuple(x.shape[1:3]) == (1, 1)):
            return x  # an instance norm over a single pixel would erase it
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

    def leaky_relu(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return layers.LeakyReLU(self.config.negative_slope, dtype=self.precision, name=name)(x)


def build_generator(
    config: GeneratorConfig | None = None,
    image_size: int | None = 32,
    *,
    color_space: str = "lab",
    lightness_scale: str = "report",
    precision: str = "float32",
    fused_batch_norm: bool = False,
    matmul_gradients: bool = False,
    synchronized: bool = False,
    seed: int | None = None,
) -> keras.Model:
    """Builds the U-Net of report section 3.1 (Figure 1).

    Args:
        config: its shape; the default is Figure 1.
        image_size: height and width in pixels; `None` accepts any multiple of 2**depth.
        color_space, lightness_scale: as in `DataConfig`; inputs and outputs stay the same.
        precision: Keras dtype policy of the layers; the output is always float32.
        fused_batch_norm: use `FusedBatchNormalization`, for training.
        matmul_gradients: use `MatmulGradientConv2D`, for bfloat16 training on a CPU.
        synchronized: share batch statistics between the replicas of a strategy.
        seed: of the initial weights and the dropout; `None` draws one.

    Returns:
        A model from lightness (batch, size, size, 1), L in [0, 100], to chroma
        (batch, size, size, 2), (a, b) / 128 in [-1, 1].

    Raises:
        ConfigError: the depth does not divide the image size.
    """
    config = config or GeneratorConfig()
    if image_size is not None and image_size % 2**config.depth:
        raise ConfigError(
            f"A generator of depth {config.depth} needs an image size that is a multiple of "
            f"{2**config.depth}, not {image_size}."
        )
    make = _Layers(config, precision, fused_batch_norm, matmul_gradients, synchronized, seed)
    kernel, skip_levels = config.kernel_size, config.skip_levels()

    lightness = keras.Input((image_size, image_size, 1), name="lightness")
    x, skips = lightness, {}
    if lightness_scale == "unit":
        x = layers.Rescaling(_UNIT_SCALE, _UNIT_OFFSET, dtype="float32", name="rescale")(x)
    for level in range(1, config.depth + 1):  # level n has size / 2**n pixels a side
        x = _down(make, x, config.filters * 2 ** (level - 1), kernel, f"down{level}")
        skips[level] = x
    for level in range(config.depth - 1, 0, -1):
        x = _up(make, x, config.filters * 2 ** (level - 1), kernel, f"up{level}")
        x = make.normalize(x, f"up{level}_norm")
        if config.depth - 1 - level < 3:
            x = make.dropout(x, f"up{level}_dropout")
        x = layers.ReLU(dtype=precision, name=f"up{level}_relu")(x)
        if level in skip_levels:
            x = layers.Concatenate(dtype=precision, name=f"skip{level}")([x, skips[level]])
    x = _up(make, x, _COLOR_CHANNELS[color_space], kernel, "chroma")
    chroma = layers.Activation("tanh", dtype="float32", name="tanh")(x)
    if color_space == "rgb":
        chroma = RGBToChroma(dtype="float32", name="rgb_to_chroma")(chroma)
    return keras.Model(lightness, chroma, name="generator")


def color_generator(generator: keras.Model) -> keras.Model:
    """Returns the generator up to what it predicts itself, sharing its weights.

    That is chroma, and the generator as it is, or RGB in [-1, 1] before its conversion.
    """
    if not isinstance(generator.layers[-1], RGBToChroma):
        return generator
    return keras.Model(generator.input, generator.get_layer("tanh").output, name="generator")


def _down(make: _Layers, x, filters: int, kernel: int, name: str):
    """Halves the size: by the stride, or by the stronger of every 2x2 pixels."""
    pooling = getattr(make.config, "downsampling", "strided") == "pooling"
    x = make.convolution(filters, stride=1 if pooling else 2, kernel=kernel, name=f"{name}_conv")(x)
    x = make.normalize(x, f"{name}_norm")
    x = make.leaky_relu(x, f"{name}_leaky_relu")
    return layers.MaxPooling2D(dtype=make.precision, name=f"{name}_pool")(x) if pooling else x


def _up(make: _Layers, x, filters: int, kernel: int, name: str):
    """Doubles the size: by a transposed convolution, or by repetition and a convolution."""
    transposed = make.config.upsampling == "transposed"
    if not transposed:
        x = layers.UpSampling2D(dtype=make.precision, name=f"{name}_resize")(x)
    stride = 2 if transposed else 1
    return make.convolution(
        filters, stride=stride, kernel=kernel, name=f"{name}_conv", transposed=transposed
    )(x)


def discriminator_layers(config: DiscriminatorConfig) -> list[tuple[int, int, int]]:
    """Returns (filters, kernel size, stride) of each convolution, first to last.

    Isola et al. 2017: `depth` stride-2 convolutions with doubling channels, one with
    stride 1, and one to a logit; a PixelGAN (depth 0) is all 1x1. A CNN has no last two.
    """

    def filters(i: int) -> int:
        return min(config.filters * 2**i, config.max_filters)

    if config.depth == 0:
        return [(filters(0), 1, 1), (filters(1), 1, 1), (1, 1, 1)]
    strided = [(filters(i), config.kernel_size, 2) for i in range(config.depth)]
    if config.kind == "cnn":
        return strided
    flat = [(filters(config.depth), config.kernel_size, 1), (1, config.kernel_size, 1)]
    return strided + flat


def receptive_field(config: DiscriminatorConfig, image_size: int = 32) -> int:
    """Returns the side, in pixels, of the patch that one logit judges.

    The theoretical one: it may exceed the image, and Figure 2's does (70 pixels on 32). A
    CNN's logit sees the whole image.
    """
    if config.kind == "cnn":
        return image_size
    field = 1
    for _, kernel, stride in reversed(discriminator_layers(config)):
        field = (field - 1) * stride + kernel
    return field


def build_discriminator(
    config: DiscriminatorConfig | None = None,
    image_size: int = 32,
    *,
    color_space: str = "lab",
    lightness_scale: str = "report",
    precision: str = "float32",
    fused_batch_norm: bool = False,
    matmul_gradients: bool = False,
    synchronized: bool = False,
    seed: int | None = None,
) -> keras.Model:
    """Builds the PatchGAN of report section 3.2 (Figure 2), or a CNN with one output.

    Args:
        config: its shape; the default is Figure 2.
        image_size: height and width in pixels; a multiple of 2**depth.
        color_space, lightness_scale: as in `DataConfig`.
        precision, fused_batch_norm, matmul_gradients, synchronized, seed: as in `build_generator`.

    Returns:
        A model from an image (batch, size, size, 3), L and (a, b) / 128 concatenated, to
        float32 logits: (batch, rows, columns, 1), one a patch, or (batch, 1) of a CNN. Of RGB
        the image has 4 channels, L and RGB in [-1, 1]; unconditional, it has no L.
        Figure 2's final sigmoid is left to the losses, which work on logits.

    Raises:
        ConfigError: the depth does not divide the image size.
    """
    config = config or DiscriminatorConfig()
    if image_size % 2**config.depth:
        raise ConfigError(
            f"A discriminator of depth {config.depth} needs an image size that is a multiple of "
            f"{2**config.depth}, not {image_size}."
        )
    make = _Layers(config, precision, fused_batch_norm, matmul_gradients, synchronized, seed)
    colors = _COLOR_CHANNELS[color_space]
    image = keras.Input((image_size, image_size, config.conditional + colors), name="image")
    x = image
    if config.conditional and lightness_scale == "unit":
        scale, offset = [_UNIT_SCALE, *[1.0] * colors], [_UNIT_OFFSET, *[0.0] * colors]
        x = layers.Rescaling(scale, offset, dtype="float32", name="rescale")(x)
    specification = discriminator_layers(config)
    hidden = specification if config.kind == "cnn" else specification[:-1]
    for number, (filters, kernel, stride) in enumerate(hidden, start=1):
        x = make.convolution(filters, stride=stride, kernel=kernel, name=f"conv{number}")(x)
        x = make.normalize(x, f"conv{number}_norm")
        x = make.leaky_relu(x, f"conv{number}_leaky_relu")
        x = make.dropout(x, f"conv{number}_dropout")
    if config.kind == "cnn":
        x = layers.Flatten(dtype=precision, name="flatten")(x)
        x = layers.Dense(
            1,
            kernel_initializer=keras.initializers.GlorotUniform(seed=next(make._seeds)),
            dtype=precision,
            name="logit",
        )(x)
    else:
        _, kernel, stride = specification[-1]
        x = make.convolution(1, stride=stride, kernel=kernel, name="logits")(x)
    logits = layers.Activation("linear", dtype="float32", name="float32")(x)
    return keras.Model(image, logits, name="discriminator")
