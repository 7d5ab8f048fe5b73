"""A U-Net of residual blocks, from the full resolution down."""

from __future__ import annotations

import keras
from keras import layers

from .layer_maker import LayerMaker

__all__ = ["activate", "block", "residual_unet", "to_maps"]

_OUTPUT_GAIN = 0.01  # predictions start nearly gray, as most colors are


def residual_unet(
    make: LayerMaker, x: keras.KerasTensor, colors: int, guide: keras.KerasTensor | None = None
) -> keras.KerasTensor:
    """Returns colors (before the tanh) for (rescaled) lightness.

    Blocks are pre-activation (He et al. 2016, "Identity mappings in deep residual networks").
    Level n has size / 2**n pixels per side; unlike in Figure 1, level 0 (full resolution) has a
    block of its own. Guide features (batch, n) are added to every pixel of the coarsest maps (the
    fusion layer of Iizuka et al. 2016, without its nonlinearity).
    """
    config, skips, style = make.config, {}, None
    x = make.convolution(x, config.channels(0), "stem_conv")
    for level in range(config.depth + 1):
        if level:
            x = _halve(make, x, config.channels(level), f"down{level}")
        x = skips[level] = block(make, x, None, None, f"down{level}_block1")
    if guide is not None:
        projected = to_maps(make.dense(guide, x.shape[-1], "guide_dense"), "guide")
        x = layers.Add(name="guide_add")([x, projected])
    if config.modulation:
        style = activate(make, x, "style_source")
        style = layers.GlobalAveragePooling2D(name="style_mean")(style)
        style = make.dense(style, x.shape[-1], "style_dense")
        style = make.leaky_relu(style, "style_leaky_relu")
    for level in range(config.depth - 1, -1, -1):
        x = make.double(x, config.channels(level), f"up{level}")
        skip = skips[level] if level in config.skip_levels() else None
        x = block(make, x, skip, style, f"up{level}_block1")
    x = activate(make, x, "chroma")
    return make.convolution(x, colors, "chroma_conv", gain=_OUTPUT_GAIN)


def _halve(make: LayerMaker, x, filters: int, name: str):
    """Halves the size by the stride or by max pooling."""
    pooling = make.config.downsampling == "pooling"
    x = make.convolution(x, filters, f"{name}_conv", stride=1 if pooling else 2)
    return layers.MaxPooling2D(name=f"{name}_pool")(x) if pooling else x


def block(make: LayerMaker, x, skip, style, name: str):
    """Adds two convolutions to the identity; the encoder's maps enter the convolutions only.

    A style scales the maps between them, channel by channel, by factors initially about 1.
    """
    filters, branch = x.shape[-1], x
    if skip is not None:
        branch = layers.Concatenate(name=f"{name}_skip")([x, skip])
    branch = activate(make, branch, f"{name}_1")
    branch = make.convolution(branch, filters, f"{name}_1_conv")
    branch = activate(make, branch, f"{name}_2")
    if style is not None:
        scale = make.dense(style, filters, f"{name}_modulate_dense", gain=0.01, bias="ones")
        scale = to_maps(scale, f"{name}_modulate")
        branch = layers.Multiply(name=f"{name}_modulate")([branch, scale])
    branch = make.dropout(branch, f"{name}_dropout")
    branch = make.convolution(branch, filters, f"{name}_2_conv")
    return layers.Add(name=f"{name}_add")([x, branch])


def activate(make: LayerMaker, x, name: str):
    """Normalizes, then applies leaky ReLU."""
    return make.leaky_relu(make.normalize(x, f"{name}_norm"), f"{name}_leaky_relu")


def to_maps(vector, name: str):
    """Returns (batch, channels) as (batch, 1, 1, channels), which broadcasts over all pixels."""
    return layers.Reshape((1, 1, -1), name=f"{name}_reshape")(vector)
