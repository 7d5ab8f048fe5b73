"""How colorful a single image looks."""

from __future__ import annotations

import tensorflow as tf

from ._checks import rgb_batch

__all__ = ["colorfulness"]


def colorfulness(rgb: tf.Tensor) -> tf.Tensor:
    """Colorfulness M3 of Hasler and Suesstrunk 2003.

    With rg = R - G and yb = (R + G) / 2 - B, it is the norm of their standard deviations plus 0.3
    times the norm of their means, on the scale of 8-bit RGB.

    Args:
        rgb: float32 RGB in [0, 1], (batch, height, width, 3).

    Returns:
        float32 (batch,), 0 for a gray image; the paper's observers called 15 slightly, 45
        averagely and 82 highly colorful.

    Raises:
        ValueError: dtype or shape is wrong, or, outside a graph, values are outside [0, 1].
    """
    red, green, blue = tf.unstack(rgb_batch(rgb, "rgb"), axis=-1)
    opponents = tf.stack([red - green, 0.5 * (red + green) - blue], axis=1)
    means = tf.reduce_mean(opponents, axis=[2, 3], keepdims=True)
    variances = tf.reduce_mean(tf.square(opponents - means), axis=[2, 3])
    spread = tf.sqrt(tf.reduce_sum(variances, axis=1))
    shift = tf.sqrt(tf.reduce_sum(tf.square(means), axis=[1, 2, 3]))
    return 255.0 * (spread + 0.3 * shift)
