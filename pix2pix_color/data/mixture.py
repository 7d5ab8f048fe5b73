"""Several data sets in one: what a mixture's name says, and what each part gives to an epoch.

A part is a pair (count, share): its images, and its share of every epoch; shares sum to one.
`loading` reads the parts, and `dataset` serves them.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from .dataset import ImageDataset

__all__ = ["draw", "join", "normalized", "parse_name", "portions"]


def parse_name(name: str) -> dict[str, float]:
    """Reads `"NAME=WEIGHT,NAME=WEIGHT,..."`.

    Returns:
        The weight of each part, as given, in the given order.

    Raises:
        ValueError: no weight, or none above zero, a part twice, fewer than two parts.
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
        # A folder may be written in several ways, and cifar10 is tfds:cifar10.
        same = os.path.realpath(part) if os.path.isdir(part) else part.removeprefix("tfds:")
        if same in known:
            raise ValueError(f"{part!r} is in it twice.")
        known.add(same)
        weights[part] = weight
    if len(weights) < 2:
        raise ValueError(f"{next(iter(weights))!r} alone is not a mixture.")
    return weights


def normalized(weights: Mapping[str, float]) -> list[float]:
    """Returns the weights as shares of one."""
    total = sum(weights.values())
    return [weight / total for weight in weights.values()]


def join(parts: Sequence[ImageDataset], weights: Mapping[str, float]) -> ImageDataset:
    """Returns the parts of a mixture as one data set, its images part by part.

    Args:
        parts: in the order of `weights`, of one split and size.
        weights: of `parse_name`. They are in the name, which is the same however it was written.
    """
    shares = normalized(weights)
    return dataclasses.replace(
        parts[0],
        name=",".join(f"{part}={weight:.15g}" for part, weight in weights.items()),
        images=functools.reduce(tf.data.Dataset.concatenate, [part.images for part in parts]),
        count=sum(part.count for part in parts),
        gray_count=sum(part.gray_count for part in parts),
        labels=None,
        class_names=(),
        load_split=None,
        parts=tuple((part.count, share) for part, share in zip(parts, shares, strict=True)),
    )


def portions(shares: Sequence[float], total: int) -> list[int]:
    """Shares out `total` images; each portion is less than one image off, their sum is exact."""
    ends = np.rint(total * np.cumsum(shares)).astype(int)
    return np.diff(ends, prepend=0).tolist()


def draw(parts: Sequence[tuple[int, float]], seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """Returns the images of an epoch, part by part: int32 (sum of the counts,).

    A part goes on where the epoch before it ended. Its images come in a random order, which is
    new each time that all have been used: at no time was one used twice more than another.

    Args:
        parts: (count, share) of each; images are numbered through all parts.
        seed: of the orders.
        epoch: int64 scalar, from 0 on.
    """
    total, first, drawn = sum(count for count, _ in parts), 0, []
    given = portions([share for _, share in parts], total)
    for number, ((count, _), portion) in enumerate(zip(parts, given, strict=True)):
        used = epoch * portion
        lap, start = used // count, used % count
        orders = _orders(count, [seed, number], lap, 1 + math.ceil(portion / count))
        drawn.append(first + orders[start : start + portion])
        first += count
    return tf.ensure_shape(tf.concat(drawn, 0), [total])


def _orders(count: int, seed: list[int], lap: tf.Tensor, laps: int) -> tf.Tensor:
    """Returns `laps` orders of all images of a part on end, from number `lap` on."""

    def order(lap: tf.Tensor) -> tf.Tensor:
        # Folded in, or a part's seed could be that of the flips or of the order of an epoch.
        folded = tf.random.experimental.stateless_fold_in(seed, lap)
        return tf.random.experimental.stateless_shuffle(tf.range(count), seed=folded)

    numbers = lap + tf.range(laps, dtype=tf.int64)
    return tf.reshape(tf.map_fn(order, numbers, fn_output_signature=tf.int32), [-1])
