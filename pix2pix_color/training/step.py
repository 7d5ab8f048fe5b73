"""One training step: report section 3.3 on one screen."""

from __future__ import annotations

import keras
import tensorflow as tf

from .. import losses, metrics
from ..config import Config
from .optimizers import apply_gradients, make_optimizer
from .terms import Predict, generator_terms

__all__ = ["METRICS", "TrainingStep"]

METRICS = (
    "generator_loss",
    "adversarial_loss",
    "l1_loss",
    "discriminator_loss",
    "discriminator_accuracy",
)
"""What a step returns, and the columns of `history.csv` after `step` and `epoch`.

`l1_loss` is not yet weighted.
"""


class TrainingStep:
    """Updates both networks from one forward pass of a replica's share of a batch.

    To be made under the strategy's scope: it makes the optimizers.
    """

    def __init__(self, config: Config, generator: keras.Model, discriminator: keras.Model) -> None:
        training = config.training
        self.config, self.generator, self.discriminator = config, generator, discriminator
        self.generator_optimizer = make_optimizer(
            training,
            generator,
            training.generator_learning_rate,
            training.ema_momentum,
            config.generator.encoder_rate,
        )
        self.discriminator_optimizer = make_optimizer(
            training, discriminator, training.discriminator_learning_rate
        )
        self.predict = Predict(config, generator, discriminator)
        self.terms = generator_terms(config)  # the losses beyond the report's two
        self._compiled = tf.function(self.gradients, jit_compile=True) if training.xla else None

    def __call__(self, lightness: tf.Tensor, chroma: tf.Tensor, *shown: tf.Tensor) -> tf.Tensor:
        """Takes one step in a replica and returns its share of `METRICS`, (5,)."""
        global_batch_size = tf.distribute.get_replica_context().all_reduce(
            tf.distribute.ReduceOp.SUM, tf.cast(tf.shape(lightness)[0], tf.float32)
        )
        gradients = self._compiled or self.gradients
        row, for_generator, for_discriminator = gradients(
            lightness, chroma, global_batch_size, *shown
        )
        apply_gradients(self.generator_optimizer, for_generator, self.generator)
        if self.config.training.adversarial_weight:
            apply_gradients(self.discriminator_optimizer, for_discriminator, self.discriminator)
        return row

    def gradients(
        self,
        lightness: tf.Tensor,
        chroma: tf.Tensor,
        global_batch_size: tf.Tensor,
        *shown: tf.Tensor,
    ) -> tuple[tf.Tensor, list[tf.Tensor], list[tf.Tensor]]:
        """Returns `METRICS` and the (scaled) gradients of the generator and the discriminator.

        Args:
            lightness, chroma: a replica's share of a batch.
            global_batch_size: over all replicas; every loss is divided by it, once, so that the
                replicas' sums are means.
            *shown: what of the true colors a generator that takes hints is shown.
        """
        training = self.config.training
        adversarial_loss = discriminator_loss = accuracy = tf.constant(0.0)

        def mean(per_example: tf.Tensor) -> tf.Tensor:
            return tf.reduce_sum(per_example) / global_batch_size

        with tf.GradientTape() as generator_tape, tf.GradientTape() as discriminator_tape:
            examples = self.predict(lightness, chroma, *shown)
            l1_loss = mean(losses.l1_loss(examples.real, examples.fake, examples.pixel_weights))
            generator_loss = training.l1_weight * l1_loss
            if training.adversarial_weight:
                real_logits, fake_logits = examples.real_outputs[-1], examples.fake_outputs[-1]
                kind = training.adversarial_loss
                adversarial_loss = mean(losses.adversarial_loss(fake_logits, kind))
                generator_loss += training.adversarial_weight * adversarial_loss
                discriminator_loss = mean(
                    losses.discriminator_loss(real_logits, fake_logits, training.real_label, kind)
                )
                accuracy = mean(metrics.discriminator_accuracy(real_logits, fake_logits))
            for weight, term in self.terms:
                generator_loss += weight * mean(term(examples))
            scaled_generator_loss = self.generator_optimizer.scale_loss(generator_loss)
            scaled_discriminator_loss = self.discriminator_optimizer.scale_loss(discriminator_loss)
        row = [generator_loss, adversarial_loss, l1_loss, discriminator_loss, accuracy]
        for_generator = generator_tape.gradient(
            scaled_generator_loss, self.generator.trainable_variables
        )
        if not training.adversarial_weight:
            return tf.stack(row), for_generator, []
        for_discriminator = discriminator_tape.gradient(
            scaled_discriminator_loss, self.discriminator.trainable_variables
        )
        return tf.stack(row), for_generator, for_discriminator
