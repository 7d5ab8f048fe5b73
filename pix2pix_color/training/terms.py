"""What a training step compares, and the losses beyond the report's two.

To add a loss: write it in `losses`, give it a weight in `TrainingConfig` (and name that in
`_LOSSES` there, which checks the weights), and add a line to `generator_terms`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from .. import color, losses, metrics
from ..config import Config
from ..data import ImageDataset
from ..networks import color_generator, distribution_generator
from ..networks.layers import RGBToChroma

__all__ = ["ColorRebalancing", "Examples", "Predict", "Term", "generator_terms"]


@dataclasses.dataclass(frozen=True)
class Examples:
    """A replica's share of a batch, as the losses see it.

    Attributes:
        lightness, chroma: the real images, (batch, size, size, 1) and (..., 2).
        real, fake: real and generated colors as the discriminator sees them, (batch, size, size,
            2): (a, b) / 128; or (..., 3): RGB in [-1, 1].
        pixel_weights: (batch, size, size), or `None`: all pixels count equally.
        distribution: logits (batch, size, size, 484) of the color bins, or `None`.
        real_logits, fake_logits: of the discriminator; `None` without an adversarial loss.
        real_features, fake_features: of the discriminator's layers, if they are compared.
    """

    lightness: tf.Tensor
    chroma: tf.Tensor
    real: tf.Tensor
    fake: tf.Tensor
    pixel_weights: tf.Tensor | None = None
    distribution: tf.Tensor | None = None
    real_logits: tf.Tensor | None = None
    fake_logits: tf.Tensor | None = None
    real_features: Sequence[tf.Tensor] = ()
    fake_features: Sequence[tf.Tensor] = ()

    @functools.cached_property
    def real_rgb(self) -> tf.Tensor:
        """The real images, RGB in [0, 1]."""
        return color.merge(self.lightness, self.chroma)

    @functools.cached_property
    def fake_rgb(self) -> tf.Tensor:
        """The colorized images, RGB in [0, 1], with a gradient also where clipping ends it."""
        is_rgb = self.fake.shape[-1] == 3
        chroma = RGBToChroma(dtype="float32")(self.fake) if is_rgb else self.fake
        return color.merge(self.lightness, chroma, straight_through=True)

    @functools.cached_property
    def lab(self) -> tf.Tensor:
        """The real images in Lab."""
        return _lab(self.lightness, self.chroma)


Term = tuple[float, Callable[[Examples], tf.Tensor]]
"""A loss of the generator: its weight, and a function that gives one value per example."""


def generator_terms(config: Config, perceptual_network: keras.Model | None = None) -> list[Term]:
    """Returns the losses of a run beyond L1 and the adversarial loss.

    Args:
        config: the run.
        perceptual_network: from RGB, 0 to 255, to a list of feature maps, where
            `training.perceptual_weight` is not 0.
    """

    def perceptual(examples: Examples) -> tf.Tensor:
        real, fake = (
            perceptual_network(255.0 * rgb, training=False)
            for rgb in (examples.real_rgb, examples.fake_rgb)
        )
        return losses.perceptual_loss(real, fake)

    def distribution(examples: Examples) -> tf.Tensor:
        bins = metrics.chroma_bins(examples.lab)
        return losses.distribution_loss(bins, examples.distribution, examples.pixel_weights)

    training = config.training
    terms = [
        (training.rgb_weight, lambda e: losses.rgb_loss(e.real_rgb, e.fake_rgb)),
        (training.perceptual_weight, perceptual),
        (training.distribution_weight, distribution),
        (
            training.feature_matching_weight,
            lambda e: losses.feature_matching_loss(e.real_features, e.fake_features),
        ),
    ]
    return [(weight, term) for weight, term in terms if weight]


class Predict:
    """Runs both networks on a batch, in training mode.

    Args:
        config: the run.
        generator, discriminator: the networks being trained.
        rebalancing: weights the pixels; `None` counts all equally.
    """

    def __init__(
        self,
        config: Config,
        generator: keras.Model,
        discriminator: keras.Model,
        rebalancing: ColorRebalancing | None = None,
    ) -> None:
        self.config, self.rebalancing = config, rebalancing
        self.has_distribution = bool(config.training.distribution_weight)
        make = distribution_generator if self.has_distribution else color_generator
        self.generate = make(generator)
        self.discriminate = discriminator
        if config.training.feature_matching_weight:
            maps = [x.output for x in discriminator.layers if "leaky_relu" in x.name]
            self.discriminate = keras.Model(discriminator.input, [*maps, discriminator.output])

    def __call__(self, lightness: tf.Tensor, chroma: tf.Tensor) -> Examples:
        """Returns what the losses compare."""
        distribution, fake = None, self.generate(lightness, training=True)
        if self.has_distribution:
            distribution, fake = fake
        real = chroma
        if self.config.data.color_space == "rgb":
            real = 2.0 * color.merge(lightness, chroma) - 1.0
        rebalancing = self.rebalancing
        examples = Examples(
            lightness,
            chroma,
            real,
            fake,
            pixel_weights=rebalancing(_lab(lightness, chroma)) if rebalancing else None,
            distribution=distribution,
        )
        if not self.config.training.adversarial_weight:
            return examples
        *real_features, real_logits = self._discriminate(lightness, real)
        *fake_features, fake_logits = self._discriminate(lightness, fake)
        return dataclasses.replace(
            examples,
            real_logits=real_logits,
            fake_logits=fake_logits,
            real_features=real_features,
            fake_features=fake_features,
        )

    def _discriminate(self, lightness: tf.Tensor, colors: tf.Tensor) -> list[tf.Tensor]:
        conditional = self.config.discriminator.conditional
        image = tf.concat([lightness, colors], axis=-1) if conditional else colors
        outputs = self.discriminate(image, training=True)
        return outputs if isinstance(outputs, list) else [outputs]


class ColorRebalancing:
    """Weights each pixel by how rare its color is in the training images (Zhang et al. 2016).

    To be created under the strategy's scope.

    Args:
        share: 0 weights all colors equally, 1 inversely to their frequency.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        bins = metrics.chroma_histogram(tf.zeros([1, 1, 1, 3]))[0]
        self._bin_weights = tf.Variable(tf.ones_like(bins), trainable=False)

    def count(self, dataset: ImageDataset) -> None:
        """Counts the colors of the training images."""
        histogram = 0.0
        for lightness, chroma in dataset.batches():
            counts = metrics.chroma_histogram(_lab(lightness, chroma))
            histogram = histogram + np.sum(counts, 0, np.float64)
        weights = metrics.class_rebalancing(histogram, 1.0 - self.share)
        self._bin_weights.assign(np.float32(weights))

    def __call__(self, lab: tf.Tensor) -> tf.Tensor:
        """Returns the weight of each pixel, (batch, height, width), with a mean of about 1."""
        return metrics.pixel_weights(lab, self._bin_weights)


def _lab(lightness: tf.Tensor, chroma: tf.Tensor) -> tf.Tensor:
    return tf.concat([lightness, chroma * color.CHROMA_SCALE], axis=-1)
