"""The generator of report section 3.1: from lightness to chroma."""

from __future__ import annotations

import functools

import keras
from keras import layers

from ..config import GeneratorConfig
from ..errors import ConfigError
from .layer_maker import COLOR_CHANNELS, DISTRIBUTION_BINS, LayerMaker
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

__all__ = ["build_generator", "color_generator", "distribution_generator"]


def build_generator(
    config: GeneratorConfig | None = None,
    image_size: int | None = 32,
    *,
    guide: keras.Model | None = None,
    color_space: str = "lab",
    lightness_scale: str = "report",
    precision: str = "float32",
    fused_batch_norm: bool = False,
    matmul_gradients: bool = False,
    synchronized: bool = False,
    seed: int | None = None,
) -> keras.Model:
    """Builds the U-Net of report section 3.1 (Figure 1), or a residual one.

    Args:
        config: its shape; the default is Figure 1.
        image_size: height and width in pixels; `None` accepts any multiple of 2**depth.
        guide: the network of the classifier that `config.guide` names; its layers up to
            `features` are copied, frozen.
        color_space, lightness_scale: as in `DataConfig`; inputs and outputs stay the same.
        precision: Keras dtype policy of the layers; the output is always float32.
        fused_batch_norm: use `FusedBatchNormalization`, for training.
        matmul_gradients: use `MatmulGradientConv2D`, for bfloat16 training on a CPU.
        synchronized: share batch statistics between the replicas of a strategy.
        seed: of the initial weights and the dropout; `None` is random.

    Returns:
        A model from lightness (batch, size, size, 1), L in [0, 100], to chroma
        (batch, size, size, 2), (a, b) / 128 in [-1, 1].

    Raises:
        ConfigError: the depth does not divide the image size, or the guide is missing.
    """
    config = config or GeneratorConfig()
    if image_size is not None and image_size % 2**config.depth:
        raise ConfigError(
            f"A generator of depth {config.depth} needs an image size that is a multiple of "
            f"{2**config.depth}, not {image_size}."
        )
    if config.guide and guide is None:
        raise ConfigError(f"generator.guide={config.guide} needs the classifier's network.")
    make = LayerMaker(config, precision, fused_batch_norm, matmul_gradients, synchronized, seed)
    lightness = x = keras.Input((image_size, image_size, 1), name="lightness")
    if config.self_ensemble:
        x = WithMirrored(dtype="float32", name="with_mirrored")(x)
    features = _guide_features(x, guide, precision) if config.guide else None
    body = functools.partial(residual_unet, guide=features) if config.kind == "residual" else unet
    x = make.rescale_lightness(x) if lightness_scale == "unit" else x
    if color_space == "distribution":
        logits = body(make, x, DISTRIBUTION_BINS)
        chroma = AnnealedMean(dtype="float32", name="annealed_mean")(logits)
        return keras.Model(lightness, chroma, name="generator")
    x = body(make, x, COLOR_CHANNELS[color_space])
    chroma = layers.Activation("tanh", dtype="float32", name="tanh")(x)
    if config.self_ensemble:
        chroma = MirroredMean(dtype="float32", name="mirrored_mean")(chroma)
    if color_space == "rgb":
        chroma = RGBToChroma(dtype="float32", name="rgb_to_chroma")(chroma)
    return keras.Model(lightness, chroma, name="generator")


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
    """Returns a model of the generator's own prediction, sharing its weights.

    That is chroma (the generator itself), or RGB in [-1, 1] before its conversion to chroma.
    """
    if not isinstance(generator.layers[-1], RGBToChroma):
        return generator
    return keras.Model(generator.input, generator.get_layer("tanh").output, name="generator")


def distribution_generator(generator: keras.Model) -> keras.Model:
    """Returns a model with two outputs, the logits of the color distribution and chroma."""
    mean = generator.get_layer("annealed_mean")
    return keras.Model(generator.input, [mean.input, mean.output], name="generator")
