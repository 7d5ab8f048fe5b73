"""How well the discriminator tells real from fake."""

from __future__ import annotations

import tensorflow as tf

__all__ = ["discriminator_accuracy"]


def discriminator_accuracy(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """Mean of the share of real patches with p >= 0.5 and of fake ones with p < 0.5.

    Args:
        real_logits, fake_logits: float logits, (batch, ...).

    Returns:
        (batch,) in [0, 1]; the report's Figure 5.
    """
    real_logits, fake_logits = map(tf.convert_to_tensor, (real_logits, fake_logits))
    axes = list(range(1, real_logits.shape.rank))
    real = tf.reduce_mean(tf.cast(real_logits >= 0.0, tf.float32), axis=axes)
    fake = tf.reduce_mean(tf.cast(fake_logits < 0.0, tf.float32), axis=axes)
    return (real + fake) / 2.0
