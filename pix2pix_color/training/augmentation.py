"""Differentiable augmentation of what the discriminator sees (Zhao et al. 2020).

Of theirs, translation and cutout: they leave colors alone, which are all that a colorization
can be wrong in. Lightness and colors move together, real and fake images alike.
"""

from __future__ import annotations

import tensorflow as tf

__all__ = ["augment", "draw_places"]

_SHIFT = 1 / 8  # of the side, at most
_CUTOUT = 1 / 2  # of the side


def draw_places(count: int | tf.Tensor, seed: int, step: int | tf.Tensor) -> tf.Tensor:
    """Returns where the images of a global batch move to, and where they are blanked.

    Args:
        count: of images.
        seed, step: decide the numbers, so that a resumed run draws the same.

    Returns:
        float32 (count, 4) in [0, 1): shift down and right, row and column of the square.
    """
    # Not the shuffling's seeds, which begin with `seed` itself, a whole number from 0 on.
    return tf.random.stateless_uniform([count, 4], [-1 - seed, tf.cast(step, tf.int64)])


def augment(images: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Shifts each image by up to an eighth, and blanks a square of half its side.

    Args:
        images: (batch, size, size, channels), of which 0 is what comes in at the border.
        places: (batch, 4), from `draw_places`.

    Returns:
        The same shape. The square may lie partly outside of the image.
    """
    size = images.shape[1]
    shift, side = int(size * _SHIFT), int(size * _CUTOUT)
    moves = tf.cast(tf.floor(places[:, :2] * (2 * shift + 1)), tf.int32) - shift
    # From wholly outside but for a line to the same at the other end.
    corners = tf.cast(tf.floor(places[:, 2:] * (size + side - 1)), tf.int32) - side + 1
    line = tf.range(size)[None, :]
    kept = tf.ones([1, 1, 1], tf.bool)
    blank = tf.ones([1, 1, 1], tf.bool)
    for axis in (1, 2):
        source = line - moves[:, axis - 1, None]
        images = tf.gather(images, tf.clip_by_value(source, 0, size - 1), axis=axis, batch_dims=1)
        inside = (source >= 0) & (source < size)
        corner = corners[:, axis - 1, None]
        hidden = (line >= corner) & (line < corner + side)
        kept &= tf.expand_dims(inside, 3 - axis)
        blank &= tf.expand_dims(hidden, 3 - axis)
    return tf.where((kept & ~blank)[..., None], images, tf.zeros([], images.dtype))
