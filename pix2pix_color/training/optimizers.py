"""The optimizer of each network: schedule, weight decay, loss scaling."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from ..config import TrainingConfig

__all__ = ["apply_gradients", "has_schedule", "make_optimizer"]


def has_schedule(training: TrainingConfig) -> bool:
    """Returns whether the learning rates change with the step."""
    return training.learning_rate_schedule != "constant" or training.warmup_steps > 0


class _Adam(keras.optimizers.Adam):
    """Adam with a share of the learning rate for each variable."""

    def __init__(self, shares: Sequence[float], *args, **options) -> None:
        super().__init__(*args, name="adam", **options)
        self._shares = tuple(shares)

    def update_step(self, gradient, variable, learning_rate):
        share = self._shares[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * share)


def make_optimizer(
    training: TrainingConfig,
    network: keras.Model,
    learning_rate: float,
    ema_momentum: float = 0.0,
    encoder_rate: float = 1.0,
) -> keras.optimizers.Optimizer:
    """Returns the Adam optimizer of one network (report section 3.3), built.

    Args:
        training: betas, decay, schedule and precision.
        network: whose variables it is for.
        learning_rate: constant, or the peak of the schedule: a linear warm-up, then constant or a
            cosine decay to zero at the last step.
        ema_momentum: of a moving average of the weights, kept by the optimizer; 0 is off.
        encoder_rate: of the weights of a pretrained encoder, as a share of the learning rate.
    """
    rate, warmup_steps = learning_rate, training.warmup_steps
    if has_schedule(training):
        rate = keras.optimizers.schedules.CosineDecay(
            learning_rate / max(1, warmup_steps),  # so that the first step is one, too
            max(1, training.steps - warmup_steps),
            alpha=0.0 if training.learning_rate_schedule == "cosine" else 1.0,
            warmup_target=learning_rate,
            warmup_steps=warmup_steps,
        )
    encoder = {v.path for x in network.layers if x.name == "encoder" for v in x.weights}
    optimizer = _Adam(
        [encoder_rate if v.path in encoder else 1.0 for v in network.trainable_variables],
        rate,
        beta_1=training.beta_1,
        weight_decay=training.weight_decay or None,
        use_ema=ema_momentum > 0,
        ema_momentum=ema_momentum or 0.99,
    )
    if training.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    if training.precision == "mixed_float16":
        # One each: the two losses differ in scale and would halve each other's.
        optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
    optimizer.build(network.trainable_variables)
    return optimizer


def apply_gradients(
    optimizer: keras.optimizers.Optimizer, gradients: Sequence[tf.Tensor], network: keras.Model
) -> None:
    """Updates a network, in a replica, with the sum of all replicas' (scaled) gradients."""
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    if replicas > 1 and isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer):
        # Keras looks for overflow before it sums over the replicas. Here every replica sees the
        # whole gradient, divided again because Keras sums it.
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, list(gradients))
        gradients = [gradient / replicas for gradient in gradients]
    optimizer.apply(gradients, network.trainable_variables)
