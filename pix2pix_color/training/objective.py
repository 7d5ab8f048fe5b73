"""What a step minimizes: the losses of both networks, and their gradients."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from .. import color, losses, metrics
from ..config import Config
from ..data import ImageDataset
from ..networks import color_generator, distribution_generator
from ..networks.layers import RGBToChroma
from .augmentation import augment, draw_places
from .perceptual import perceptual_network

__all__ = ["Objective"]


class Objective:
    """The mathematics of a step in one replica; the updates are left to the optimizers.

    Args:
        config: the run.
        generator, discriminator: the networks being trained.
        generator_optimizer, discriminator_optimizer: theirs, which scale the losses.

    To be made under the scope of the strategy.
    """

    def __init__(
        self,
        config: Config,
        generator: keras.Model,
        discriminator: keras.Model,
        generator_optimizer: keras.optimizers.Optimizer,
        discriminator_optimizer: keras.optimizers.Optimizer,
    ) -> None:
        self.config = config
        self.generator, self.discriminator = generator, discriminator
        self.generator_optimizer = generator_optimizer
        self.discriminator_optimizer = discriminator_optimizer
        self._color_generator = color_generator(generator)
        if config.training.distribution_weight:
            self._distribution_generator = distribution_generator(generator)
        training, size = config.training, config.data.image_size
        self._judge = discriminator
        if training.feature_matching_weight:
            maps = [x.output for x in discriminator.layers if "leaky_relu" in x.name]
            self._judge = keras.Model(discriminator.input, [*maps, discriminator.output])
        if training.perceptual_weight:
            self._perceptual = perceptual_network(
                size, training.precision, training.perceptual_network
            )
        if training.rebalance:
            bins = metrics.chroma_histogram(tf.zeros([1, 1, 1, 3]))[0]
            self._bin_weights = tf.Variable(tf.ones_like(bins), trainable=False)

    def prepare(self, dataset: ImageDataset) -> None:
        """Counts the training images' colors, where their rarity counts."""
        if not self.config.training.rebalance:
            return
        histogram = 0.0
        for lightness, chroma in dataset.batches():
            counts = metrics.chroma_histogram(_lab(lightness, chroma))
            histogram = histogram + np.sum(counts, 0, np.float64)
        uniform = 1.0 - self.config.training.rebalance
        self._bin_weights.assign(np.float32(metrics.class_rebalancing(histogram, uniform)))

    def draw(self, lightness: tf.Tensor, count: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """Returns the random numbers of a replica's images in a step: `places` of a call.

        Drawn for the global batch, so that they do not depend on how it is shared out.
        """
        if not self.config.training.augmentation:
            return tf.zeros([0, 4])
        number = tf.shape(lightness)[0]
        first = tf.distribute.get_replica_context().replica_id_in_sync_group * number
        places = draw_places(tf.cast(count, tf.int32), self.config.training.seed, step)
        return places[first : first + number]

    def __call__(
        self,
        lightness: tf.Tensor,
        chroma: tf.Tensor,
        count: tf.Tensor,
        step: int | tf.Tensor = 0,
        places: tf.Tensor | None = None,
        adversarial: bool = True,
    ) -> tuple[tf.Tensor, list[tf.Tensor], list[tf.Tensor]]:
        """Returns `METRICS` and the (scaled) gradients of the generator and the discriminator.

        Args:
            lightness, chroma: a replica's share of a batch.
            count: images of the global batch.
            step: the number of the step.
            places: from `draw`.
            adversarial: whether the discriminator counts; else it has no gradients.
        """
        training = self.config.training

        def mean(per_example: tf.Tensor) -> tf.Tensor:
            return tf.reduce_sum(per_example) / count  # over the *global* batch, once

        discriminator_loss = accuracy = adversarial_loss = tf.constant(0.0)
        real, weights = self._real_colors(lightness, chroma), self._weights(lightness, chroma)
        with tf.GradientTape() as generator_tape, tf.GradientTape() as discriminator_tape:
            if training.distribution_weight:
                logits, fake = self._distribution_generator(lightness, training=True)
            else:
                fake = self._color_generator(lightness, training=True)
            l1_loss = mean(losses.l1_loss(real, fake, weights))
            generator_loss = training.l1_weight * l1_loss
            if training.l2_weight:
                generator_loss += training.l2_weight * mean(losses.l2_loss(real, fake, weights))
            if training.distribution_weight:
                bins = metrics.chroma_bins(_lab(lightness, chroma))
                surprise = mean(losses.distribution_loss(bins, logits, weights))
                generator_loss += training.distribution_weight * surprise
            if training.rgb_weight or training.perceptual_weight:
                generator_loss += mean(self._rgb_losses(lightness, chroma, fake))
            if adversarial:
                *real_features, real_logits = self.judge(lightness, real, places)
                *fake_features, fake_logits = self.judge(lightness, fake, places)
                kind = training.adversarial_loss
                adversarial_loss = mean(losses.adversarial_loss(fake_logits, real_logits, kind))
                generator_loss += training.adversarial_weight * adversarial_loss
                if training.feature_matching_weight:
                    matching = losses.feature_matching_loss(real_features, fake_features)
                    generator_loss += training.feature_matching_weight * mean(matching)
                discriminator_loss = mean(
                    losses.discriminator_loss(real_logits, fake_logits, training.real_label, kind)
                )
                accuracy = mean(_accuracy(real_logits, fake_logits, kind))
            scaled_generator_loss = self.generator_optimizer.scale_loss(generator_loss)
            scaled_discriminator_loss = self.discriminator_optimizer.scale_loss(discriminator_loss)
        generator_gradients = generator_tape.gradient(
            scaled_generator_loss, self.generator.trainable_variables
        )
        discriminator_gradients = []
        if adversarial:
            discriminator_gradients = discriminator_tape.gradient(
                scaled_discriminator_loss, self.discriminator.trainable_variables
            )
            if training.r1_weight:
                discriminator_gradients = self._with_r1(
                    discriminator_gradients, lightness, real, count, step
                )
        row = [generator_loss, adversarial_loss, l1_loss, discriminator_loss, accuracy]
        return tf.stack(row), generator_gradients, discriminator_gradients

    def judge(
        self,
        lightness: tf.Tensor,
        colors: tf.Tensor,
        places: tf.Tensor | None = None,
        training: bool = True,
    ) -> list[tf.Tensor]:
        """Returns the discriminator's features, if they are matched, and its logits."""
        conditional = self.config.discriminator.conditional
        image = tf.concat([lightness, colors], axis=-1) if conditional else colors
        if self.config.training.augmentation and places is not None:
            image = augment(image, places)
        judgment = self._judge(image, training=training)
        return judgment if isinstance(judgment, list) else [judgment]

    def _real_colors(self, lightness: tf.Tensor, chroma: tf.Tensor) -> tf.Tensor:
        if self.config.data.color_space == "rgb":
            return 2.0 * color.merge(lightness, chroma) - 1.0
        return chroma

    def _weights(self, lightness: tf.Tensor, chroma: tf.Tensor) -> tf.Tensor | None:
        """Returns what each pixel counts in L1, L2 and the distribution's loss."""
        if not self.config.training.rebalance:
            return None
        return metrics.pixel_weights(_lab(lightness, chroma), self._bin_weights)

    def _rgb_losses(self, lightness: tf.Tensor, chroma: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
        """Returns the weighted losses, one an example, of the images as they will be seen."""
        training = self.config.training
        if self.config.data.color_space == "rgb":
            fake = RGBToChroma(dtype="float32")(fake)
        real_rgb = color.merge(lightness, chroma)
        fake_rgb = color.merge(lightness, fake, straight_through=True)
        total = tf.zeros(tf.shape(lightness)[:1])
        if training.rgb_weight:
            total += training.rgb_weight * losses.rgb_loss(real_rgb, fake_rgb)
        if training.perceptual_weight:
            real_maps, fake_maps = (
                self._perceptual(255.0 * rgb, training=False) for rgb in (real_rgb, fake_rgb)
            )
            total += training.perceptual_weight * losses.perceptual_loss(real_maps, fake_maps)
        return total

    def _with_r1(
        self,
        gradients: Sequence[tf.Tensor],
        lightness: tf.Tensor,
        real: tf.Tensor,
        count: tf.Tensor,
        step: int | tf.Tensor,
    ) -> list[tf.Tensor]:
        """Adds the gradients of R1 in every `r1_every`-th step, times as much."""
        training, variables = self.config.training, self.discriminator.trainable_variables

        def penalized() -> list[tf.Tensor]:
            with tf.GradientTape() as tape:
                with tf.GradientTape() as inner:
                    inner.watch(real)
                    # Moving statistics: an image's gradient is then its own. And no variable is
                    # assigned, which a branch in a replica could not do.
                    *_, logits = self.judge(lightness, real, training=False)
                    patches = list(range(1, logits.shape.rank))
                    opinion = tf.reduce_sum(tf.reduce_mean(logits, axis=patches))
                loss = tf.reduce_sum(losses.r1_loss(inner.gradient(opinion, real))) / count
                loss *= training.r1_weight * training.r1_every
                loss = self.discriminator_optimizer.scale_loss(loss)
            added = tape.gradient(loss, variables)
            # A last bias moves no gradient of an image.
            return [
                one if other is None else one + other
                for one, other in zip(gradients, added, strict=True)
            ]

        due = tf.equal(tf.cast(step, tf.int64) % training.r1_every, 0)
        return tf.cond(due, penalized, lambda: [tf.identity(gradient) for gradient in gradients])


def _lab(lightness: tf.Tensor, chroma: tf.Tensor) -> tf.Tensor:
    return tf.concat([lightness, chroma * color.CHROMA_SCALE], axis=-1)


def _accuracy(real_logits: tf.Tensor, fake_logits: tf.Tensor, kind: str) -> tf.Tensor:
    if kind == "relativistic":  # no logit means anything by itself
        real_logits, fake_logits = real_logits - fake_logits, fake_logits - real_logits
    return metrics.discriminator_accuracy(real_logits, fake_logits)
