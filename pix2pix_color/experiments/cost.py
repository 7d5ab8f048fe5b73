"""What a configuration costs: parameters, and floating-point operations per image."""

from __future__ import annotations

import dataclasses
import functools
import math

import keras
from keras import layers

from ..classifier import build_classifier, load_classifier
from ..config import Config, DiscriminatorConfig, GeneratorConfig
from ..networks import build_discriminator, build_generator
from ..training.perceptual import find_classifier

__all__ = ["Cost", "cost_of", "flops_per_image", "forward_flops"]


@dataclasses.dataclass(frozen=True)
class Cost:
    """The size of both networks and of their forward passes.

    Attributes:
        generator_parameters, discriminator_parameters: all of them, trainable or not.
        generator_flops, discriminator_flops: of one image's forward pass.
        frozen_flops: those of the generator's frozen layers, included in `generator_flops`.
    """

    generator_parameters: int
    discriminator_parameters: int
    generator_flops: int
    discriminator_flops: int
    frozen_flops: int


def forward_flops(network: keras.Model) -> int:
    """Returns the operations of one image's forward pass: two for every multiplication.

    Only convolutions and dense layers count, with padding as pixels; the rest is well below one
    percent.
    """
    return sum(map(_layer_flops, network.layers))


def _layer_flops(layer: layers.Layer) -> int:
    if isinstance(layer, layers.Conv2D | layers.Conv2DTranspose):
        # A transposed convolution is the gradient of one from its output to its input.
        backward = isinstance(layer, layers.Conv2DTranspose)
        _, rows, columns, _ = (layer.input if backward else layer.output).shape
        return 2 * rows * columns * _size(layer.kernel)
    return 2 * _size(layer.kernel) if isinstance(layer, layers.Dense) else 0


def _size(kernel: keras.Variable) -> int:
    return math.prod(kernel.shape)


@functools.cache
def _counts(
    network: GeneratorConfig | DiscriminatorConfig, image_size: int, color_space: str
) -> tuple[int, int, int]:
    """Returns a network's parameters, its operations, and those of its frozen layers."""
    if isinstance(network, GeneratorConfig):
        guide = load_classifier(network.guide).network() if network.guide else None
        model = build_generator(network, image_size, guide=guide, color_space=color_space)
    else:
        model = build_discriminator(network, image_size, color_space=color_space)
    frozen = sum(_layer_flops(layer) for layer in model.layers if not layer.trainable)
    return model.count_params(), forward_flops(model), frozen


def cost_of(config: Config) -> Cost:
    """Returns the cost of a configuration's networks, each of which is built once to count it.

    Raises:
        ConfigError: The networks cannot be built.
        ClassifierError: `generator.guide` does not exist.
    """
    form = config.data.image_size, config.data.color_space
    generator_parameters, generator_flops, frozen_flops = _counts(config.generator, *form)
    discriminator_parameters, discriminator_flops, _ = _counts(config.discriminator, *form)
    return Cost(
        generator_parameters=generator_parameters,
        discriminator_parameters=discriminator_parameters,
        generator_flops=generator_flops,
        discriminator_flops=discriminator_flops,
        frozen_flops=frozen_flops,
    )


def flops_per_image(config: Config) -> int:
    """Returns the operations per image of one training step.

    A backward pass costs one forward pass for the gradients of the inputs and one for those of the
    weights. The generator goes forward and backward once, its frozen layers only forward. The
    discriminator goes forward and backward on real and on fake images, and once more backward to
    the fake input for the generator; without an adversarial loss there is none. The network of the
    perceptual loss goes forward on both images and backward to the fake one.

    Raises:
        TrainingError: `training.perceptual_network` does not exist.
    """
    cost, training = cost_of(config), config.training
    total = 3 * cost.generator_flops - 2 * cost.frozen_flops
    if training.adversarial_weight:
        total += 7 * cost.discriminator_flops
    if training.perceptual_weight:
        total += 3 * _perceptual_flops(training.perceptual_network)
    return total


@functools.cache
def _perceptual_flops(name: str) -> int:
    """Returns the operations of a perceptual network's forward pass."""
    shipped = name == "classifier"
    return forward_flops(build_classifier() if shipped else find_classifier(name).network())
