"""Simulated hints for training: which true colors a user would have given."""

from __future__ import annotations

import math

import tensorflow as tf

from ..config import CHROMA_STRIDE

__all__ = ["draw_hints"]

_MOST_POINTS = 64  # more are drawn for one image in 5,000


def draw_hints(
    count: int | tf.Tensor, size: int, hinted: float, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws what the generator is shown of the true colors (Zhang et al. 2017, section 3.2).

    A hinted image has a geometric number of points (p = 1/8), squares of 1 to 3 cells, placed by a
    Gaussian around its center or, in half of the images, uniformly; 1 in 100 is revealed whole. A
    share of 0.3 of the hinted images is shown its palette, whatever its points.

    Args:
        count: number of images.
        size: their height and width in pixels, a multiple of 4.
        hinted: share of the images that are shown hints.
        seed: int (2,), of everything random.

    Returns:
        float32 (count, size/4, size/4, 1), 1 where the true color of a cell is shown, else 0; and
        (count,), 1 where the palette is shown, else 0.
    """
    cells = size // CHROMA_STRIDE
    seeds = tf.unstack(tf.random.split(seed, 4))
    is_hinted, number, whole, uniform, palette = tf.unstack(
        tf.random.stateless_uniform([5, count], seeds[0])
    )
    is_hinted = is_hinted < hinted
    points = tf.floor(tf.math.log(1.0 - number) / math.log(7 / 8))
    shown = tf.range(float(_MOST_POINTS)) < points[:, None]

    anywhere = tf.random.stateless_uniform([count, _MOST_POINTS, 2], seeds[1])
    central = 0.5 + 0.25 * tf.random.stateless_normal([count, _MOST_POINTS, 2], seeds[2])
    places = tf.where(uniform[:, None, None] < 0.5, anywhere, central)
    middle = tf.clip_by_value(tf.floor(places * cells), 0.0, cells - 1.0)[..., None]
    sides = tf.random.stateless_uniform([count, _MOST_POINTS, 1, 1], seeds[3], 1, 4, tf.int32)
    start = middle - tf.cast((sides - 1) // 2, tf.float32)
    grid = tf.range(float(cells))
    inside = tf.logical_and(grid >= start, grid < start + tf.cast(sides, tf.float32))
    rows, columns = tf.unstack(tf.cast(inside, tf.float32), axis=2)  # (count, points, cells)
    rows *= tf.cast(shown, tf.float32)[..., None]
    revealed = tf.matmul(rows, columns, transpose_a=True) > 0
    revealed = tf.logical_or(revealed, (whole < 0.01)[:, None, None])
    revealed = tf.logical_and(revealed, is_hinted[:, None, None])
    palette_shown = tf.logical_and(is_hinted, palette < 0.3)
    return tf.cast(revealed, tf.float32)[..., None], tf.cast(palette_shown, tf.float32)
