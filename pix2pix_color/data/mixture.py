"""Mixtures: how their names are read, and which images each part contributes to an epoch.

A part is a pair (count, share): its number of images and its share of every epoch; the shares sum
to one.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

__all__ = ["draw", "parse_name", "portions"]


def parse_name(name: str) -> dict[str, float]:
    """Parses `"NAME=WEIGHT,NAME=WEIGHT,..."`.

    Returns:
        The weight of each part, as given, in the given order.

    Raises:
        ValueError: a weight is missing or not above zero, a part occurs twice, or there are
            fewer than two parts.
    """
    weights: dict[str, float] = {}
    known = set()
    for piece in name.split(","):
        part, _, number = (text.strip() for text in piece.rpartition("="))
        if not part:
            raise ValueError(f"{piece.strip()!r} is not NAME=WEIGHT.")
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        if not 0 < weight < math.inf:
            raise ValueError(f"The weight of {part!r} must be a number above 0, not {number!r}.")
        # One folder can be written in several ways, and cifar10 is tfds:cifar10.
        same = os.path.realpath(part) if os.path.isdir(part) else part.removeprefix("tfds:")
        if same in known:
            raise ValueError(f"{part!r} occurs twice.")
        known.add(same)
        weights[part] = weight
    if len(weights) < 2:
        raise ValueError(f"{next(iter(weights))!r} alone is not a mixture.")
    return weights


def portions(shares: Sequence[float], total: int) -> list[int]:
    """Divides `total` images; each portion is off by less than one image, and they sum exactly."""
    ends = np.rint(total * np.cumsum(shares)).astype(int)
    return np.diff(ends, prepend=0).tolist()


def draw(parts: Sequence[tuple[int, float]], seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """Returns the image numbers of an epoch, part by part: int32 (sum of the counts,).

    Each part continues where it stopped in the previous epoch. Its images come in a random order,
    a new one whenever all have been used, so that no image is ever used more than once more often
    than another of its part.

    Args:
        parts: (count, share) of each part; images are numbered through all parts.
        seed: random seed of the orders.
        epoch: int64 scalar, counted from 0.
    """
    total, first, drawn = sum(count for count, _ in parts), 0, []
    sizes = portions([share for _, share in parts], total)
    for number, ((count, _), portion) in enumerate(zip(parts, sizes, strict=True)):
        used = epoch * portion
        lap, start = used // count, used % count
        orders = _orders(count, [seed, number], lap, 1 + math.ceil(portion / count))
        drawn.append(first + orders[start : start + portion])
        first += count
    return tf.ensure_shape(tf.concat(drawn, 0), [total])


def _orders(count: int, seed: list[int], lap: tf.Tensor, laps: int) -> tf.Tensor:
    """Returns `laps` successive orders of all images of a part, the first of them number `lap`."""

    def order(lap: tf.Tensor) -> tf.Tensor:
        # Folded in: otherwise a part's seed could equal that of the flips or order of an epoch.
        folded = tf.random.experimental.stateless_fold_in(seed, lap)
        return tf.random.experimental.stateless_shuffle(tf.range(count), seed=folded)

    numbers = lap + tf.range(laps, dtype=tf.int64)
    return tf.reshape(tf.map_fn(order, numbers, fn_output_signature=tf.int32), [-1])
