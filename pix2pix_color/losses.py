"""The losses of report section 3.3, as plain functions on logits, one value an example.

They return a value per example and leave the average to the training step, which divides
once by the *global* batch. Keras's loss objects divide by the number of replicas and
`tf.reduce_mean` does not: mixing the two would weigh L1 by 800, not 100, on eight replicas.
"""

from __future__ import annotations

import tensorflow as tf

__all__ = ["adversarial_loss", "discriminator_loss", "l1_loss"]


def _mean_per_example(values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(values, axis=list(range(1, values.shape.rank)))


def _binary_cross_entropy(logits: tf.Tensor, label: float) -> tf.Tensor:
    labels = tf.fill(tf.shape(logits), tf.cast(label, logits.dtype))
    return _mean_per_example(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))


def adversarial_loss(fake_logits: tf.Tensor) -> tf.Tensor:
    """Binary cross-entropy of the fake patches against "real" (Goodfellow et al. 2014).

    Args:
        fake_logits: the discriminator's float logits on generated images, (batch, ...).

    Returns:
        (batch,), in nats, at least 0; ln 2 at logits of zero.
    """
    return _binary_cross_entropy(fake_logits, 1.0)


def discriminator_loss(
    real_logits: tf.Tensor, fake_logits: tf.Tensor, real_label: float = 0.9
) -> tf.Tensor:
    """Binary cross-entropy of both kinds of patches, summed and not halved (authors' code).

    Args:
        real_logits, fake_logits: float logits, (batch, ...).
        real_label: target for real patches; 0.9 is the report's one-sided smoothing.

    Returns:
        (batch,), in nats; 2 ln 2 at logits of zero.
    """
    return _binary_cross_entropy(real_logits, real_label) + _binary_cross_entropy(fake_logits, 0.0)


def l1_loss(real_chroma: tf.Tensor, fake_chroma: tf.Tensor) -> tf.Tensor:
    """Mean absolute difference of chroma, (a, b) / 128 (Isola et al. 2017, equation 3).

    Args:
        real_chroma, fake_chroma: (batch, height, width, 2) in about [-1, 1]; or RGB in
            [-1, 1], with 3 channels, where `data.color_space` is "rgb".

    Returns:
        (batch,), 0 to about 2.
    """
    return _mean_per_example(tf.abs(real_chroma - fake_chroma))
