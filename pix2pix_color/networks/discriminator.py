"""The discriminator of report section 3.2: from lightness and chroma to patch logits."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from ..config import DiscriminatorConfig
from .layer_maker import LayerMaker, rescale_lightness

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
    **options: Any,
) -> keras.Model:
    """Builds the PatchGAN of report section 3.2 (Figure 2), or a CNN with one output.

    Args:
        config: its shape; the default is Figure 2.
        image_size: height and width in pixels; a multiple of 2**depth.
        color_space, lightness_scale: as in `DataConfig`.
        **options: `seed`, `precision` and the further ones of `LayerMaker`.

    Returns:
        A model from an image (batch, size, size, 3), L and (a, b) / 128 concatenated, to
        float32 logits: (batch, rows, columns, 1), one per patch, or (batch, 1) for a CNN. In
        RGB the image has 4 channels, L and RGB in [-1, 1]; an unconditional discriminator takes
        no L. The losses work on logits and so include the final sigmoid of report section 3.2.
    """
    config = config or DiscriminatorConfig()
    make, colors = LayerMaker(config, **options), 3 if color_space == "rgb" else 2
    image = x = keras.Input((image_size, image_size, config.conditional + colors), name="image")
    if config.conditional and lightness_scale == "unit":
        x = rescale_lightness(x, colors)
    hidden, last = discriminator_layers(config), None
    if config.kind == "patch":
        *hidden, last = hidden
    with make.in_precision():
        for number, (filters, kernel, stride) in enumerate(hidden, start=1):
            x = make.convolution(x, filters, f"conv{number}", stride=stride, kernel=kernel)
            x = make.normalize(x, f"conv{number}_norm")
            x = make.leaky_relu(x, f"conv{number}_leaky_relu")
        if last is None:
            x = make.dense(layers.Flatten(name="flatten")(x), 1, "logit")
        else:
            x = make.convolution(x, 1, "logits", kernel=last[1])
    logits = layers.Activation("linear", dtype="float32", name="float32")(x)
    return keras.Model(image, logits, name="discriminator")
