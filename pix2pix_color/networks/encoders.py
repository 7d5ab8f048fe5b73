"""Classifiers of photographs, untrained, whose feature maps a generator can build on."""

from __future__ import annotations

import math
import sys

import keras
from keras import layers

from ..errors import ConfigError

__all__ = ["EFFICIENTNET_LITE", "build_efficientnet_lite", "build_encoder"]

EFFICIENTNET_LITE = {"efficientnet_lite0": (1.0, 1.0), "efficientnet_lite2": (1.1, 1.2)}
"""Factors of the channels and of the repeats (Tan and Le 2019, equation 3)."""

_STRIDES = (2, 4, 8, 16, 32)
_SIZE = 128
# Of each stage: repeats, kernel, expansion, stride, channels (Tan and Le 2019, table 1). The lite
# networks have ReLU6 instead of swish, no squeeze-and-excitation, and an unscaled stem and head.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 6, 2, 24),
    (2, 5, 6, 2, 40),
    (3, 3, 6, 2, 80),
    (3, 5, 6, 1, 112),
    (4, 5, 6, 2, 192),
    (1, 3, 6, 1, 320),
)


def build_encoder(name: str, weights: str | None = None) -> keras.Model:
    """Builds a classifier up to its last maps of the strides 2, 4, 8, 16 and 32.

    Args:
        name: of `EFFICIENTNET_LITE`, or of a network of `keras.applications` such as
            `"MobileNetV2"`.
        weights: `"imagenet"` downloads Keras's own for a network of `keras.applications`.

    Returns:
        A model from RGB (batch, rows, columns, 3), 0 to 255, rows and columns multiples of 32,
        to the list of the five maps.

    Raises:
        ConfigError: there is no such network, or it has no maps of these strides.
    """
    if name in EFFICIENTNET_LITE:
        network = build_efficientnet_lite(name)
        ends = {int(x.name[5]): x for x in network.layers if x.name.startswith("stage")}
        maps = [ends[stage].output for stage in (1, 2, 3, 5, 7)]
        return keras.Model(network.input, maps, name="encoder")
    build = getattr(keras.applications, name, None)
    if not callable(build):
        raise ConfigError(
            f"generator.encoder={name} is not a network of keras.applications, nor "
            f"{' nor '.join(EFFICIENTNET_LITE)}."
        )
    # At a fixed size, the shapes of the maps tell their strides.
    sized = build(include_top=False, weights=None, input_shape=(_SIZE, _SIZE, 3))
    shapes = [getattr(layer.output, "shape", ()) for layer in sized.layers]
    last = {_SIZE // s[1]: i for i, s in enumerate(shapes) if len(s) == 4 and _SIZE % s[1] == 0}
    if not {*_STRIDES} <= last.keys():
        raise ConfigError(f"generator.encoder={name} has no maps of the strides {_STRIDES}.")
    rgb = keras.Input((None, None, 3), name="rgb")
    preprocessed = sys.modules[build.__module__].preprocess_input(rgb)
    network = build(include_top=False, weights=weights, input_tensor=preprocessed)
    first = len(network.layers) - len(sized.layers)  # those of the preprocessing
    maps = [network.layers[first + last[stride]].output for stride in _STRIDES]
    return keras.Model(rgb, maps, name="encoder")


def build_efficientnet_lite(name: str, classes: int = 0) -> keras.Model:
    """Builds an EfficientNet-Lite, its batch normalization folded into the convolutions.

    Args:
        name: of `EFFICIENTNET_LITE`.
        classes: of the classifier; 0 leaves it out.

    Returns:
        A model from RGB (batch, rows, columns, 3), 0 to 255, to the last map; or, with classes,
        to a list: logits (batch, classes), and the 1,280 features that they are made of.
    """
    width, depth = EFFICIENTNET_LITE[name]

    def convolution(x, filters: int, kernel: int, stride: int, label: str):
        return layers.Conv2D(filters, kernel, stride, "same", name=f"{label}_conv")(x)

    def activate(x, label: str):
        return layers.ReLU(6.0, name=f"{label}_relu6")(x)

    rgb = keras.Input((None, None, 3), name="rgb")
    x = layers.Rescaling(1 / 128, -127 / 128, name="rescale")(rgb)
    x = activate(convolution(x, 32, 3, 2, "stem"), "stem")
    for stage, (repeats, kernel, expansion, stride, filters) in enumerate(_STAGES, start=1):
        if 1 < stage < len(_STAGES):
            repeats = math.ceil(repeats * depth)
        filters = _rounded(filters * width)
        for repeat in range(1, repeats + 1):
            label, block = f"stage{stage}_{repeat}", x
            if expansion > 1:
                block = convolution(block, x.shape[-1] * expansion, 1, 1, f"{label}_expand")
                block = activate(block, f"{label}_expand")
            stride = stride if repeat == 1 else 1
            block = layers.DepthwiseConv2D(kernel, stride, "same", name=f"{label}_depthwise")(block)
            block = activate(block, f"{label}_depthwise")
            block = convolution(block, filters, 1, 1, f"{label}_project")
            x = layers.Add(name=f"{label}_add")([x, block]) if repeat > 1 else block
    if classes:
        x = activate(convolution(x, 1280, 1, 1, "head"), "head")
        features = layers.GlobalAveragePooling2D(name="features")(x)
        x = [layers.Dense(classes, name="logits")(features), features]
    return keras.Model(rgb, x, name=name)


def _rounded(channels: float) -> int:
    """Returns the nearest multiple of 8 that is at least nine tenths of the number."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest
