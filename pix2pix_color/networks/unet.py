"""The U-Net of report section 3.1 (Figure 1)."""

from __future__ import annotations

import keras
from keras import layers

from .layer_maker import LayerMaker

__all__ = ["unet"]


def unet(make: LayerMaker, x: keras.KerasTensor, colors: int) -> keras.KerasTensor:
    """Returns colors (before the tanh) for (rescaled) lightness."""
    config, skips = make.config, {}
    kernel, skip_levels = config.kernel_size, config.skip_levels()
    for level in range(1, config.depth + 1):  # level n has size / 2**n pixels per side
        x = _down(make, x, config.channels(level), kernel, f"down{level}")
        skips[level] = x
    for level in range(config.depth - 1, 0, -1):
        x = make.double(x, config.channels(level), kernel, f"up{level}")
        x = make.normalize(x, f"up{level}_norm")
        if config.depth - 1 - level < 3:
            x = make.dropout(x, f"up{level}_dropout")
        x = layers.ReLU(dtype=make.precision, name=f"up{level}_relu")(x)
        if level in skip_levels:
            x = make.concatenate(x, skips[level], f"skip{level}")
    return make.double(x, colors, kernel, "chroma")


def _down(make: LayerMaker, x, filters: int, kernel: int, name: str):
    """Halves the size by the stride or by max pooling."""
    pooling = make.config.downsampling == "pooling"
    x = make.convolution(filters, stride=1 if pooling else 2, kernel=kernel, name=f"{name}_conv")(x)
    x = make.normalize(x, f"{name}_norm")
    x = make.leaky_relu(x, f"{name}_leaky_relu")
    return make.max_pooling(x, f"{name}_pool") if pooling else x
