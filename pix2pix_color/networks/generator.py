"""The generator of report section 3.1: from lightness to chroma."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from ..color import CHROMA_BIN, CHROMA_LIMIT
from ..config import GeneratorConfig
from ..errors import ConfigError
from .encoder_unet import encoder_unet
from .layer_maker import LayerMaker, rescale_lightness
from .layers import (
    AnnealedMean,
    LightnessToGray,
    MirroredMean,
    RGBToChroma,
    WithMirrored,
    copy_at_precision,
)
from .residual import residual_unet
from .unet import unet

__all__ = ["build_generator", "color_generator"]

_OUTPUTS = {"lab": 2, "rgb": 3, "distribution": (2 * CHROMA_LIMIT // CHROMA_BIN) ** 2}


def build_generator(
    config: GeneratorConfig | None = None,
    image_size: int | None = 32,
    *,
    pretrained: keras.Model | None = None,
    color_space: str = "lab",
    lightness_scale: str = "report",
    **options: Any,
) -> keras.Model:
    """Builds the U-Net of report section 3.1 (Figure 1), a residual one, or one on an encoder.

    Args:
        config: its shape; the default is Figure 1.
        image_size: height and width in pixels, a multiple of 2**depth; `None` accepts any.
        pretrained: the network of the classifier that `config.guide` names, whose layers up to
            `features` are copied, frozen; or the encoder that `config.encoder` names.
        color_space, lightness_scale: as in `DataConfig`; inputs and outputs stay the same.
        **options: `seed`, `precision` and the further ones of `LayerMaker`.

    Returns:
        A model from lightness (batch, size, size, 1), L in [0, 100], to chroma
        (batch, size, size, 2), (a, b) / 128 in [-1, 1].

    Raises:
        ConfigError: the pretrained network is missing.
    """
    config = config or GeneratorConfig()
    if config.pretrained and pretrained is None:
        raise ConfigError(f"generator.{config.pretrained} needs that network.")
    make, features = LayerMaker(config, **options), None
    lightness = x = keras.Input((image_size, image_size, 1), name="lightness")
    if config.kind == "pretrained":
        return keras.Model(lightness, encoder_unet(make, lightness, pretrained), name="generator")
    if config.self_ensemble:
        x = WithMirrored(dtype="float32", name="with_mirrored")(x)
    if config.guide:
        features = _guide_features(x, pretrained, make.precision)
    if lightness_scale == "unit":
        x = rescale_lightness(x)
    with make.in_precision():
        if config.kind == "residual":
            x = residual_unet(make, x, _OUTPUTS[color_space], features)
        else:
            x = unet(make, x, _OUTPUTS[color_space])
    if color_space == "distribution":
        x = AnnealedMean(dtype="float32", name="annealed_mean")(x)
    else:
        x = layers.Activation("tanh", dtype="float32", name="tanh")(x)
    if config.self_ensemble:
        x = MirroredMean(dtype="float32", name="mirrored_mean")(x)
    if color_space == "rgb":
        x = RGBToChroma(dtype="float32", name="rgb_to_chroma")(x)
    return keras.Model(lightness, x, name="generator")


def _guide_features(
    lightness: keras.KerasTensor, classifier: keras.Model, precision: str
) -> keras.KerasTensor:
    """Returns a classifier's features (batch, n) of the gray image, by frozen copies of its layers.

    Global features as in Iizuka et al. 2016 ("Let there be Color!", section 3.2), except that
    these were learned from labels beforehand.
    """
    size = classifier.input_shape[1]
    x = LightnessToGray(size, dtype="float32", name="guide_gray")(lightness)
    for layer in classifier.layers[1:]:
        frozen = copy_at_precision(layer, precision, name=f"guide_{layer.name}", trainable=False)
        x = frozen(x)
        frozen.set_weights(layer.get_weights())
        if layer.name == "features":
            break
    return x


def color_generator(generator: keras.Model) -> keras.Model:
    """Returns a model of what the generator itself predicts, sharing its weights.

    That is chroma (the generator itself), RGB in [-1, 1] before its conversion to chroma, or a
    list: chroma, and the logits of the color distribution of which it is the mean.
    """
    last = generator.layers[-1]
    if isinstance(last, RGBToChroma):
        return keras.Model(generator.input, last.input, name="generator")
    if isinstance(last, AnnealedMean):
        return keras.Model(generator.input, [last.output, last.input], name="generator")
    return generator
