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
from ..classifier import load_classifier
from ..config import CHROMA_STRIDE, Config
from ..data import ImageDataset
from ..errors import TrainingError
from ..files import shipped_folder
from ..networks import color_generator, split_generator
from ..networks.layers import RGBToChroma, copy_at_precision

__all__ = ["Examples", "Predict", "Term", "generator_terms", "load_perceptual_network"]

_REFERENCE = "classifier"  # the one that scores
_STAGES = ("stage1_conv2_relu", "stage2_conv2_relu", "stage3_conv2_relu")


@dataclasses.dataclass(frozen=True)
class Examples:
    """A replica's share of a batch, as the losses see it.

    Attributes:
        lightness, chroma: the real images, (batch, size, size, 1) and (..., 2), at the resolution
            at which colors are predicted.
        real, fake: real and generated colors as the discriminator sees them, (batch, size, size,
            2): (a, b) / 128; or (..., 3): RGB in [-1, 1].
        distribution: logits (batch, size, size, 484) of the color bins, if they are predicted.
        pixel_weights: (batch, size, size), or `None`: all pixels count equally.
        real_outputs, fake_outputs: of the discriminator: the maps of its layers, if they are
            compared, then its logits; empty without an adversarial loss.
    """

    lightness: tf.Tensor
    chroma: tf.Tensor
    real: tf.Tensor
    fake: tf.Tensor
    distribution: Sequence[tf.Tensor] = ()
    pixel_weights: tf.Tensor | None = None
    real_outputs: Sequence[tf.Tensor] = ()
    fake_outputs: Sequence[tf.Tensor] = ()

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


Term = tuple[float, Callable[[Examples], tf.Tensor]]
"""A loss of the generator: its weight, and a function that gives one value per example."""


def generator_terms(config: Config) -> list[Term]:
    """Returns the losses of a run beyond L1 and the adversarial loss.

    Raises:
        TrainingError, ClassifierError: the network of the perceptual loss cannot be used.
    """
    training = config.training
    network = load_perceptual_network(config) if training.perceptual_weight else None

    def perceptual(examples: Examples) -> tf.Tensor:
        rgbs = (examples.real_rgb, examples.fake_rgb)
        return losses.perceptual_loss(*(network(255.0 * rgb, training=False) for rgb in rgbs))

    def distribution(examples: Examples) -> tf.Tensor:
        bins = metrics.chroma_bins(_lab(examples.lightness, examples.chroma))
        return losses.distribution_loss(bins, *examples.distribution, examples.pixel_weights)

    def feature_matching(examples: Examples) -> tf.Tensor:
        real, fake = examples.real_outputs[:-1], examples.fake_outputs[:-1]
        return losses.feature_matching_loss(real, fake)

    terms = [
        (training.rgb_weight, lambda e: losses.rgb_loss(e.real_rgb, e.fake_rgb)),
        (training.perceptual_weight, perceptual),
        (training.distribution_weight, distribution),
        (training.feature_matching_weight, feature_matching),
    ]
    return [(weight, term) for weight, term in terms if weight]


def load_perceptual_network(config: Config) -> keras.Model:
    """Loads a classifier up to the maps that images are compared by, frozen (Johnson et al. 2016).

    Returns:
        A model from RGB (batch, size, size, 3), 0 to 255, to the last map after ReLU of each of
        the three stages. To be called with `training=False`.

    Raises:
        ClassifierError: `training.perceptual_network` is not there or cannot be read.
        TrainingError: it takes images of another size, or is the one that scores.
    """
    name, size = config.training.perceptual_network, config.data.image_size
    classifier = load_classifier(name)
    if name != _REFERENCE and classifier.folder.samefile(shipped_folder() / _REFERENCE):
        # By another name it would score what it taught, and no model card would say so.
        raise TrainingError(
            f"training.perceptual_network={name} is the classifier that scores: call it "
            f"{_REFERENCE}."
        )
    if classifier.image_size != size:
        raise TrainingError(
            f"training.perceptual_weight needs images of {classifier.image_size} pixels, on which "
            f"the classifier was trained: data.image_size is {size}."
        )
    network = classifier.network()
    features = keras.Model(network.input, [network.get_layer(x).output for x in _STAGES])
    at_precision = functools.partial(copy_at_precision, precision=config.training.precision)
    frozen = keras.models.clone_model(features, clone_function=at_precision)
    frozen.set_weights(features.get_weights())
    frozen.trainable = False
    return frozen


class Predict:
    """Runs both networks on a batch, in training mode. To be made under the strategy's scope."""

    def __init__(self, config: Config, generator: keras.Model, discriminator: keras.Model) -> None:
        self.config = config
        self.encode = self.decode = self.generate = None
        if config.generator.kind == "pretrained":
            self.encode, self.decode = split_generator(generator, enlarged=False)
        else:
            self.generate = color_generator(generator)
        self.discriminate = discriminator
        if config.training.feature_matching_weight:
            maps = [x.output for x in discriminator.layers if "leaky_relu" in x.name]
            self.discriminate = keras.Model(discriminator.input, [*maps, discriminator.output])
        self._bin_weights = None
        if config.training.rebalance:
            bins = metrics.chroma_histogram(tf.zeros([1, 1, 1, 3]))[0]
            self._bin_weights = tf.Variable(tf.ones_like(bins), trainable=False)

    def count_colors(self, dataset: ImageDataset) -> None:
        """Weights each color by how rare it is in the training images (Zhang et al. 2016).

        `training.rebalance` says how much: 0 weights all equally, 1 inversely to their frequency.
        """
        if self._bin_weights is None:
            return
        histogram = 0.0
        for lightness, chroma in dataset.batches():
            counts = metrics.chroma_histogram(_lab(lightness, chroma))
            histogram = histogram + np.sum(counts, 0, np.float64)
        weights = metrics.class_rebalancing(histogram, 1.0 - self.config.training.rebalance)
        self._bin_weights.assign(np.float32(weights))

    def __call__(
        self,
        lightness: tf.Tensor,
        chroma: tf.Tensor,
        revealed: tf.Tensor | None = None,
        palette_shown: tf.Tensor | None = None,
    ) -> Examples:
        """Returns what the losses compare.

        Args:
            lightness, chroma: as in `ImageDataset.training_batches`.
            revealed, palette_shown: as in `RecordDataset.training_batches`: what of the true
                colors the generator is shown.
        """
        distribution = []
        if self.encode is None:
            fake, *distribution = _as_list(self.generate(lightness, training=True))
        else:
            maps = self.encode(lightness, training=True)
            lightness, chroma = (
                tf.nn.avg_pool2d(x, CHROMA_STRIDE, CHROMA_STRIDE, "VALID")
                for x in (lightness, chroma)
            )
            guidance = _guidance(lightness, chroma, revealed, palette_shown)
            fake = self.decode([*maps, *guidance], training=True)
        real = chroma
        if self.config.data.color_space == "rgb":
            real = 2.0 * color.merge(lightness, chroma) - 1.0
        weights, real_outputs, fake_outputs = None, [], []
        if self._bin_weights is not None:
            weights = metrics.pixel_weights(_lab(lightness, chroma), self._bin_weights)
        if self.config.training.adversarial_weight:
            real_outputs = self._discriminate(lightness, real)
            fake_outputs = self._discriminate(lightness, fake)
        return Examples(
            lightness, chroma, real, fake, distribution, weights, real_outputs, fake_outputs
        )

    def _discriminate(self, lightness: tf.Tensor, colors: tf.Tensor) -> list[tf.Tensor]:
        conditional = self.config.discriminator.conditional
        image = tf.concat([lightness, colors], axis=-1) if conditional else colors
        return _as_list(self.discriminate(image, training=True))


def _as_list(outputs: tf.Tensor | list[tf.Tensor]) -> list[tf.Tensor]:
    return outputs if isinstance(outputs, list) else [outputs]


def _guidance(
    lightness: tf.Tensor,
    chroma: tf.Tensor,
    revealed: tf.Tensor | None,
    palette_shown: tf.Tensor | None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns hints and palettes, as `networks.split_generator` describes them."""
    if revealed is None:
        revealed, palette_shown = tf.zeros_like(lightness), tf.zeros_like(lightness[:, 0, 0, 0])
    counts = tf.cast(metrics.chroma_histogram(_lab(lightness, chroma)), tf.float32)
    shares = counts / tf.reduce_sum(counts, axis=-1, keepdims=True)
    palette = tf.pad(shares, [[0, 0], [0, 1]], constant_values=1.0) * palette_shown[:, None]
    return tf.concat([chroma * revealed, revealed], axis=-1), palette


def _lab(lightness: tf.Tensor, chroma: tf.Tensor) -> tf.Tensor:
    return tf.concat([lightness, chroma * color.CHROMA_SCALE], axis=-1)
