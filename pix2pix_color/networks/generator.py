"""The generator: from lightness to chroma."""

from __future__ import annotations

import functools

import keras
from keras import layers

from ..config import GeneratorConfig
from ..errors import ConfigError
from .guidance import guide_features
from .layer_maker import COLOR_CHANNELS, DISTRIBUTION_BINS, LayerMaker
from .layers import AnnealedMean, MirroredMean, RGBToChroma, WithMirrored
from .residual import residual_unet
from .unet import unet

__all__ = ["build_generator", "color_generator", "distribution_generator"]


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
    """Builds the U-Net of report section 3.1 (Figure 1), or a residual one.

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
        ClassifierError: there is no classifier to guide it as `config` wants.
    """
    config = config or GeneratorConfig()
    if image_size is not None and image_size % 2**config.depth:
        raise ConfigError(
            f"A generator of depth {config.depth} needs an image size that is a multiple of "
            f"{2**config.depth}, not {image_size}."
        )
    make = LayerMaker(config, precision, fused_batch_norm, matmul_gradients, synchronized, seed)
    lightness = x = keras.Input((image_size, image_size, 1), name="lightness")
    if config.self_ensemble:
        x = WithMirrored(dtype="float32", name="with_mirrored")(x)
    guide = guide_features(x, config.guide, precision) if config.guide else None
    body = functools.partial(residual_unet, guide=guide) if config.kind == "residual" else unet
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


def color_generator(generator: keras.Model) -> keras.Model:
    """Returns the generator up to what it predicts itself, sharing its weights.

    That is chroma, and the generator as it is, or RGB in [-1, 1] before its conversion.
    """
    if not isinstance(generator.layers[-1], RGBToChroma):
        return generator
    return keras.Model(generator.input, generator.get_layer("tanh").output, name="generator")


def distribution_generator(generator: keras.Model) -> keras.Model:
    """Returns a generator of distributions with two outputs: their logits, and chroma."""
    mean = generator.get_layer("annealed_mean")
    return keras.Model(generator.input, [mean.input, mean.output], name="generator")
