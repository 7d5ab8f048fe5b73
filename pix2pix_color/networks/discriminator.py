"""The discriminator of report section 3.2: from lightness and chroma to patch logits."""

from __future__ import annotations

import keras
from keras import layers

from ..config import DiscriminatorConfig
from ..errors import ConfigError
from .layer_maker import COLOR_CHANNELS, LayerMaker

__all__ = ["build_discriminator", "discriminator_layers", "receptive_field"]

_KERNEL = 4  # Figure 2


def discriminator_layers(config: DiscriminatorConfig) -> list[tuple[int, int, int]]:
    """Returns (filters, kernel size, stride) of each convolution, first to last.

    Isola et al. 2017: `depth` stride-2 convolutions with doubling channels, one with
    stride 1, and one to a logit; a PixelGAN (depth 0) is all 1x1. A CNN lacks the last two.
    """

    def filters(i: int) -> int:
        return min(config.filters * 2**i, config.max_filters)

    if config.depth == 0:
        return [(filters(0), 1, 1), (filters(1), 1, 1), (1, 1, 1)]
    strided = [(filters(i), _KERNEL, 2) for i in range(config.depth)]
    if config.kind == "cnn":
        return strided
    flat = [(filters(config.depth), _KERNEL, 1), (1, _KERNEL, 1)]
    return strided + flat


def receptive_field(config: DiscriminatorConfig, image_size: int = 32) -> int:
    """Returns the side, in pixels, of the patch behind one logit.

    This is the theoretical receptive field; it may exceed the image, as in Figure 2 (70 pixels
    on 32). A CNN's single logit sees the whole image.
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
        float32 logits: (batch, rows, columns, 1), one per patch, or (batch, 1) for a CNN. In
        RGB the image has 4 channels, L and RGB in [-1, 1]; an unconditional discriminator takes
        no L. The losses work on logits and so include the final sigmoid of report section 3.2.

    Raises:
        ConfigError: the depth does not divide the image size.
    """
    config = config or DiscriminatorConfig()
    if image_size % 2**config.depth:
        raise ConfigError(
            f"A discriminator of depth {config.depth} needs an image size that is a multiple of "
            f"{2**config.depth}, not {image_size}."
        )
    make = LayerMaker(config, precision, fused_batch_norm, matmul_gradients, synchronized, seed)
    colors = COLOR_CHANNELS[color_space]
    image = keras.Input((image_size, image_size, config.conditional + colors), name="image")
    x = image
    if config.conditional and lightness_scale == "unit":
        x = make.rescale_lightness(x, colors)
    specification = discriminator_layers(config)
    hidden = specification if config.kind == "cnn" else specification[:-1]
    for number, (filters, kernel, stride) in enumerate(hidden, start=1):
        x = make.convolution(filters, stride=stride, kernel=kernel, name=f"conv{number}")(x)
        x = make.normalize(x, f"conv{number}_norm")
        x = make.leaky_relu(x, f"conv{number}_leaky_relu")
    if config.kind == "cnn":
        x = layers.Flatten(dtype=precision, name="flatten")(x)
        x = layers.Dense(
            1,
            kernel_initializer=make.initializer(),
            dtype=precision,
            name="logit",
        )(x)
    else:
        _, kernel, stride = specification[-1]
        x = make.convolution(1, stride=stride, kernel=kernel, name="logits")(x)
    logits = layers.Activation("linear", dtype="float32", name="float32")(x)
    return keras.Model(image, logits, name="discriminator")
