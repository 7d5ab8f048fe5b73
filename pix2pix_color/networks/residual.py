"""A U-Net of residual blocks, from the full resolution down."""

from __future__ import annotations

import keras

from .layer_maker import LayerMaker

__all__ = ["residual_unet"]

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
    config, skips = make.config, {}
    kernel, skip_levels = config.kernel_size, config.skip_levels()
    x = make.convolution(config.channels(0), stride=1, kernel=kernel, name="stem_conv")(x)
    for level in range(config.depth + 1):
        if level:
            x = _halve(make, x, config.channels(level), f"down{level}")
        x = skips[level] = _block(make, x, None, None, f"down{level}_block1")
    if guide is not None:
        x = make.fuse(x, guide, "guide")
    style = None
    if config.modulation:
        style = make.style(_activate(make, x, "style_source"), x.shape[-1], "style")
    for level in range(config.depth - 1, -1, -1):
        x = make.double(x, config.channels(level), kernel, f"up{level}")
        skip = skips[level] if level in skip_levels else None
        x = _block(make, x, skip, style, f"up{level}_block1")
    x = _activate(make, x, "chroma")
    return make.convolution(colors, stride=1, kernel=kernel, name="chroma_conv", gain=_OUTPUT_GAIN)(
        x
    )


def _halve(make: LayerMaker, x, filters: int, name: str):
    """Halves the size by the stride or by max pooling."""
    pooling, kernel = make.config.downsampling == "pooling", make.config.kernel_size
    x = make.convolution(filters, stride=1 if pooling else 2, kernel=kernel, name=f"{name}_conv")(x)
    return make.max_pooling(x, f"{name}_pool") if pooling else x


def _block(make: LayerMaker, x, skip, style, name: str):
    """Adds two convolutions to the identity; the encoder's maps enter the convolutions only."""
    filters, kernel = x.shape[-1], make.config.kernel_size
    branch = x if skip is None else make.concatenate(x, skip, f"{name}_skip")
    branch = _activate(make, branch, f"{name}_1")
    branch = make.convolution(filters, stride=1, kernel=kernel, name=f"{name}_1_conv")(branch)
    branch = _activate(make, branch, f"{name}_2")
    if style is not None:
        branch = make.modulate(branch, style, f"{name}_modulate")
    branch = make.dropout(branch, f"{name}_dropout")
    branch = make.convolution(filters, stride=1, kernel=kernel, name=f"{name}_2_conv")(branch)
    return make.add(x, branch, f"{name}_add")


def _activate(make: LayerMaker, x, name: str):
    return make.leaky_relu(make.normalize(x, f"{name}_norm"), f"{name}_leaky_relu")
