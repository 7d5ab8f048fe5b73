"""What a configuration costs: parameters, and floating-point operations per image."""

from __future__ import annotations

import dataclasses
import functools
import math

import keras
from keras import layers

from ..classifier import load_classifier
from ..config import Config, DiscriminatorConfig, GeneratorConfig
from ..networks import build_discriminator, build_generator

__all__ = ["Cost", "cost_of", "flops_per_image", "forward_flops"]


@dataclasses.dataclass(frozen=True)
class Cost:
    """The size of a network and of one image's forward pass.

    Attributes:
        parameters: all of them, trainable or not.
        flops: operations of the forward pass.
        frozen_flops: those of frozen layers, included in `flops`.
    """

    parameters: int
    flops: int
    frozen_flops: int


def forward_flops(network: keras.Model) -> int:
    """Returns the operations of one image's forward pass: two for every multiplication.

    Only convolutions and dense layers count, with padding as pixels; the rest is well below one
    percent.
    """
    return sum(map(_layer_flops, network.layers))


def _layer_flops(layer: layers.Layer) -> int:
    pixels = 1
    if isinstance(layer, layers.Conv2DTranspose):
        # It is the gradient of a convolution from its output to its input.
        pixels = math.prod(layer.input.shape[1:3])
    elif isinstance(layer, layers.Conv2D):
        pixels = math.prod(layer.output.shape[1:3])
    elif not isinstance(layer, layers.Dense):
        return 0
    return 2 * pixels * math.prod(layer.kernel.shape)


@functools.cache
def _cost(
    network: GeneratorConfig | DiscriminatorConfig, image_size: int, color_space: str
) -> Cost:
    if isinstance(network, GeneratorConfig):
        guide = load_classifier(network.guide).network() if network.guide else None
        model = build_generator(network, image_size, pretrained=guide, color_space=color_space)
    else:
        model = build_discriminator(network, image_size, color_space=color_space)
    frozen = sum(_layer_flops(layer) for layer in model.layers if not layer.trainable)
    return Cost(model.count_params(), forward_flops(model), frozen)


def cost_of(config: Config) -> tuple[Cost, Cost]:
    """Returns the costs of the generator and the discriminator, each built once to count it.

    Raises:
        ConfigError: The networks cannot be built.
        ClassifierError: `generator.guide` does not exist.
    """
    form = config.data.image_size, config.data.color_space
    return _cost(config.generator, *form), _cost(config.discriminator, *form)


def flops_per_image(config: Config) -> int:
    """Returns the operations per image of one training step.

    A backward pass costs one forward pass for the gradients of the inputs and one for those of the
    weights. The generator goes forward and backward once, its frozen layers only forward. The
    discriminator goes forward and backward on real and on fake images, and once more backward to
    the fake input for the generator; without an adversarial loss there is none. The network of the
    perceptual loss goes forward on both images and backward to the fake one.

    Raises:
        ClassifierError: `training.perceptual_network` does not exist.
    """
    (generator, discriminator), training = cost_of(config), config.training
    total = 3 * generator.flops - 2 * generator.frozen_flops
    if training.adversarial_weight:
        total += 7 * discriminator.flops
    if training.perceptual_weight:
        total += 3 * _perceptual_flops(training.perceptual_network)
    return total


@functools.cache
def _perceptual_flops(name: str) -> int:
    """Returns the operations of a perceptual network's forward pass."""
    return forward_flops(load_classifier(name).network())
