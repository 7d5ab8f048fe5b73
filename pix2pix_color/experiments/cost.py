"""What a configuration costs: parameters, and floating-point operations an image."""

from __future__ import annotations

import dataclasses
import functools

import keras
from keras import layers

from ..classifier import build_classifier
from ..config import Config
from ..networks import build_discriminator, build_generator
from ..training.perceptual import build_vgg16, find_classifier

__all__ = ["Cost", "cost_of", "flops_per_image", "forward_flops"]


@dataclasses.dataclass(frozen=True)
class Cost:
    """The size of both networks and their forward passes.

    Attributes:
        generator_parameters, discriminator_parameters: all of them, trainable or not.
        generator_flops, discriminator_flops: of one image forward.
        frozen_flops: of those of the generator, what its layers take that do not learn.
    """

    generator_parameters: int
    discriminator_parameters: int
    generator_flops: int
    discriminator_flops: int
    frozen_flops: int


def forward_flops(network: keras.Model) -> int:
    """Returns the operations of one image's forward pass: two a multiplication.

    Convolutions, attention and dense layers only, border padding counted as pixels: the rest is
    well below a hundredth of them.
    """
    return sum(map(_layer_flops, network.layers))


def _layer_flops(layer: layers.Layer) -> int:
    if isinstance(layer, layers.Conv2D | layers.Conv2DTranspose):
        # A transposed convolution is the gradient of one from its output to its input.
        backward = isinstance(layer, layers.Conv2DTranspose)
        _, rows, columns, _ = (layer.input if backward else layer.output).shape
        return 2 * rows * columns * _size(layer.kernel)
    if isinstance(layer, layers.MultiHeadAttention):
        _, rows, columns, _ = layer.output.shape
        pixels, channels = rows * columns, layer.num_heads * layer.key_dim
        kernels = sum(_size(v) for v in layer.trainable_variables if v.name == "kernel")
        # Every pixel's scores of all pixels, and then their weighted sum.
        return 2 * pixels * kernels + 4 * pixels**2 * channels
    return 2 * _size(layer.kernel) if isinstance(layer, layers.Dense) else 0


def _size(kernel: keras.Variable) -> int:
    return functools.reduce(int.__mul__, kernel.shape)


@functools.cache
def _cost(generator_config, discriminator_config, image_size: int, color_space: str) -> Cost:
    generator = build_generator(generator_config, image_size, color_space=color_space)
    discriminator = build_discriminator(discriminator_config, image_size, color_space=color_space)
    return Cost(
        generator.count_params(),
        discriminator.count_params(),
        forward_flops(generator),
        forward_flops(discriminator),
        sum(_layer_flops(layer) for layer in generator.layers if not layer.trainable),
    )


def cost_of(config: Config) -> Cost:
    """Returns the cost of a configuration's networks, by building them once."""
    data = config.data
    return _cost(config.generator, config.discriminator, data.image_size, data.color_space)


def flops_per_image(config: Config) -> int:
    """Returns the operations of one image in one training step, on average over the run.

    A backward pass costs a forward pass for the gradients of the inputs and one for those of
    the weights. The generator goes forward and back once, and what guides it forward alone; the
    discriminator goes forward and back on real and on fake, and once more back to the fake
    input, for the generator. R1 takes it forward and back to the real input, and back through
    both. Without an adversarial loss, or before it begins, there is no discriminator. The
    network of the perceptual loss goes forward on both images, and back to the fake one.

    Raises:
        TrainingError: there is no such `training.perceptual_network`.
    """
    cost, training = cost_of(config), config.training
    total = 3 * cost.generator_flops - 2 * cost.frozen_flops
    if training.adversarial_weight:
        passes = 7 + (6 / training.r1_every if training.r1_weight else 0)
        share = max(0.0, 1 - training.adversarial_from / training.steps)
        total += round(passes * share * cost.discriminator_flops)
    if training.perceptual_weight:
        total += 3 * _perceptual_flops(training.perceptual_network, config.data.image_size)
    return total


@functools.cache
def _perceptual_flops(name: str, image_size: int) -> int:
    """Returns the operations of a perceptual network's forward pass; downloads nothing."""
    if name == "vgg16":
        return forward_flops(build_vgg16(image_size, weights=None))
    shipped = name == "classifier"
    return forward_flops(build_classifier() if shipped else find_classifier(name).network())
