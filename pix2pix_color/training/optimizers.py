"""The optimizer of each network: schedule, weight decay, loss scaling."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from ..config import TrainingConfig

__all__ = ["Schedule", "apply_gradients", "has_schedule", "make_optimizer"]


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up, then a constant rate or a cosine decay to zero at `steps`."""

    def __init__(self, peak: float, kind: str, warmup_steps: int, steps: int) -> None:
        self.peak, self.kind, self.warmup_steps, self.steps = peak, kind, warmup_steps, steps

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        factor = tf.ones_like(step)
        if self.kind == "cosine":
            span = max(1, self.steps - self.warmup_steps)
            done = tf.clip_by_value((step - self.warmup_steps) / span, 0.0, 1.0)
            factor = 0.5 * (1.0 + tf.cos(math.pi * done))
        if self.warmup_steps:
            factor *= tf.minimum(1.0, (step + 1.0) / self.warmup_steps)
        return self.peak * factor

    def get_config(self) -> dict:
        return {
            "peak": self.peak,
            "kind": self.kind,
            "warmup_steps": self.warmup_steps,
            "steps": self.steps,
        }


def has_schedule(training: TrainingConfig) -> bool:
    """Returns whether the learning rates change with the step."""
    return training.learning_rate_schedule != "constant" or training.warmup_steps > 0


def make_optimizer(
    training: TrainingConfig, learning_rate: float, ema_momentum: float = 0.0
) -> keras.optimizers.Optimizer:
    """Returns the Adam optimizer of one network (report section 3.3), unbuilt.

    Args:
        training: betas, decay, schedule and precision.
        learning_rate: constant, or the peak of the schedule.
        ema_momentum: of a moving average of the weights, kept by the optimizer; 0 is off.
    """
    rate: float | Schedule = learning_rate
    if has_schedule(training):
        rate = Schedule(
            learning_rate, training.learning_rate_schedule, training.warmup_steps, training.steps
        )
    optimizer = keras.optimizers.Adam(
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
        return keras.mixed_precision.LossScaleOptimizer(optimizer)
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
