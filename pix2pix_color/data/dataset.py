"""The images of a split, and the batches made from them."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from .. import color
from ..errors import DataError
from . import mixture

__all__ = ["ImageDataset"]

# Compiled into one pass over the pixels: three times as fast as operation by operation.
_split = tf.function(color.split, jit_compile=True, reduce_retracing=True)

_PREFETCHED = 4  # batches prepared ahead of the training step


@dataclasses.dataclass(frozen=True)
class ImageDataset:
    """The images of one split, read once and kept in memory, without the gray ones.

    Attributes:
        name: the argument of `load_dataset`; shown next to every result.
        split: `"train"` or `"test"`.
        images: uint8 RGB (size, size, 3), in a fixed order.
        count: number of images.
        gray_count: number of gray images that were left out.
        labels: int64 (count,), the class of each image, or `None` if the images are not labeled
            (the report does not use labels; the classifier does).
        class_names: name of the class of each label.
        load_split: loads another split of the same data with the same options.
        parts: of a mixture, whose images are in the order of its parts: the number of images of
            each part and its share of every training epoch. The shares sum to one.
        notes: lines for the user: what a folder's split is, what was left out of it, problems.
        fingerprint: a hash of the names and sizes of a folder's files; `""` for other data.
    """

    name: str
    split: str
    images: tf.data.Dataset
    count: int
    gray_count: int
    labels: np.ndarray | None = None
    class_names: tuple[str, ...] = ()
    load_split: Callable[[str], ImageDataset] | None = None
    parts: tuple[tuple[int, float], ...] = ()
    notes: tuple[str, ...] = ()
    fingerprint: str = ""

    def __post_init__(self) -> None:
        # With fewer images, the same parts would draw the wrong ones.
        if self.parts and sum(count for count, _ in self.parts) != self.count:
            raise DataError(
                f"{self.name} is a mixture, which cannot be cut to {self.count} images: use one "
                "of its parts."
            )

    def other_split(self, split: str) -> ImageDataset:
        """Returns another split, loaded with the same options but without a limit.

        Raises:
            DataError: it cannot be loaded, or this data set does not come from `load_dataset`.
        """
        if self.load_split is None:
            raise DataError(f"{self.name} does not come from load_dataset: it has no other split.")
        return self.load_split(split)

    def batches(self, batch_size: int = 256) -> tf.data.Dataset:
        """Returns (lightness, chroma) batches in order, for evaluation; ranges as in `color`."""
        return (
            self.images.batch(batch_size)
            .map(_split, num_parallel_calls=tf.data.AUTOTUNE)
            .prefetch(tf.data.AUTOTUNE)
        )

    @functools.cached_property
    def _examples(self) -> tf.data.Dataset:
        # One cached element that holds every image in Lab. Shuffling and flipping must come after
        # the cache; otherwise every epoch would see the same order and flips.
        return self.batches(256).unbatch().batch(self.count).cache()

    def steps_per_epoch(self, batch_size: int, drop_remainder: bool = False) -> int:
        """Returns the batches per epoch: 773 for the report's 49,438 images in batches of 64."""
        steps = self.count / batch_size
        return math.floor(steps) if drop_remainder else math.ceil(steps)

    def training_batches(
        self,
        batch_size: int,
        *,
        seed: int = 0,
        start_step: int = 0,
        flip: bool = False,
        shift: int = 0,
        drop_remainder: bool = False,
    ) -> tf.data.Dataset:
        """Returns endless shuffled (lightness, chroma) batches, starting at step `start_step`.

        Every epoch contains all images in a new order; of a mixture, equally many images, drawn
        from each part as `mixture.draw` describes. Order, flips and shifts depend only on `seed`
        and the step, so that a resumed run sees the same batches as an uninterrupted one.

        Args:
            batch_size: images per (global) batch.
            seed: random seed of the order, the flips and the shifts.
            start_step: number of batches already used, over all epochs.
            flip: mirror each image left to right with probability one half.
            shift: move each image by up to this many pixels in each direction, less than its
                size; the border is filled by reflection.
            drop_remainder: leave out the last, smaller batch of each epoch.

        Raises:
            DataError: there are fewer images than one batch, or a part of a mixture contributes
                no image to an epoch.
        """
        steps = self.steps_per_epoch(batch_size, drop_remainder)
        if steps == 0 or self.count == 0:
            raise DataError(
                f"{self.name} ({self.split}) has {self.count} images, fewer than one batch of "
                f"{batch_size}: choose a smaller training.batch_size."
            )
        if self.parts and 0 in mixture.portions([share for _, share in self.parts], self.count):
            raise DataError(
                f"A part of {self.name} has so low a weight that it contributes no image to an "
                f"epoch of {self.count}: remove it or raise its weight."
            )
        start_epoch, start_batch = divmod(start_step, steps)

        def one_epoch(epoch: tf.Tensor, examples: tuple[tf.Tensor, tf.Tensor]) -> tf.data.Dataset:
            # Stateless operations: the order and the flips of an epoch are functions of its
            # number, which a resumed run knows, whatever other random numbers have been drawn.
            order = tf.random.experimental.stateless_shuffle(
                tf.range(self.count), seed=[seed, 2 * epoch]
            )
            drawn = mixture.draw(self.parts, seed, epoch) if self.parts else None
            mirrored = tf.random.stateless_uniform([self.count], seed=[seed, 2 * epoch + 1]) < 0.5
            moves = tf.random.stateless_uniform(
                [self.count, 2], [seed, -1 - epoch], -shift, shift + 1, tf.int32
            )

            def take(chosen: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                # An image drawn twice in an epoch is flipped and shifted independently.
                numbers = chosen if drawn is None else tf.gather(drawn, chosen)
                batch = tuple(tf.gather(part, numbers) for part in examples)
                # Lightness and chroma of an image must be flipped and shifted alike.
                if flip:
                    side = tf.gather(mirrored, chosen)[:, None, None, None]
                    batch = tuple(tf.where(side, tf.reverse(part, [2]), part) for part in batch)
                if shift:
                    move = tf.gather(moves, chosen)
                    batch = tuple(_shifted(part, move) for part in batch)
                return batch

            chosen = tf.data.Dataset.from_tensor_slices(order).batch(batch_size, drop_remainder)
            skipped = tf.where(epoch == start_epoch, tf.cast(start_batch, tf.int64), 0)
            return chosen.skip(skipped).map(take)

        epochs = tf.data.Dataset.range(start_epoch, np.iinfo(np.int64).max)
        both = tf.data.Dataset.zip(epochs, self._examples.repeat())
        options = tf.data.Options()
        # Workers must divide each batch; sharded by file, each would see only some of the images.
        by_data = tf.data.experimental.AutoShardPolicy.DATA
        options.experimental_distribute.auto_shard_policy = by_data
        # Closing an iterator waits for the autotuner, which sleeps for up to a minute.
        options.autotune.enabled = False
        return both.flat_map(one_epoch).prefetch(_PREFETCHED).with_options(options)


def _shifted(images: tf.Tensor, moves: tf.Tensor) -> tf.Tensor:
    """Returns images (batch, size, size, channels), each shifted by its (rows, columns)."""
    size = images.shape[1]
    for axis in (1, 2):
        places = tf.range(size) + moves[:, axis - 1, None]
        places = size - 1 - tf.abs(size - 1 - tf.abs(places))  # reflected at either border
        images = tf.gather(images, places, axis=axis, batch_dims=1)
    return images
