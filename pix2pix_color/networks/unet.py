"""The U-Net of report section 3.1 (Figure 1)."""

from __future__ import annotations

import keras
from keras import layers

from .layer_maker import LayerMaker

__all__ = ["unet"]


def unet(make: LayerMaker, x: keras.KerasTensor, colors: int) -> keras.KerasTensor:
    """Returns colors (before the tanh) for (rescaled) lightness."""
    config, skips = make.config, {}
    for level in range(1, config.depth + 1):  # level n has size / 2**n pixels per side
        x = skips[level] = _down(make, x, config.channels(level), f"down{level}")
    for level in range(config.depth - 1, 0, -1):
        x = make.double(x, config.channels(level), f"up{level}")
        x = make.normalize(x, f"up{level}_norm")
        if config.depth - 1 - level < 3:
            x = make.dropout(x, f"up{level}_dropout")
        x = layers.ReLU(name=f"up{level}_relu")(x)
        if level in config.skip_levels():
            x = layers.Concatenate(name=f"skip{level}")([x, skips[level]])
    return make.double(x, colors, "chroma")


def _down(make: LayerMaker, x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    """Halves the size by the stride or by max pooling."""
    pooling = make.config.downsampling == "pooling"
    x = make.convolution(x, filters, f"{name}_conv", stride=1 if pooling else 2)
    x = make.normalize(x, f"{name}_norm")
    x = make.leaky_relu(x, f"{name}_leaky_relu")
    return layers.MaxPooling2D(name=f"{name}_pool")(x) if pooling else x
