"""The images of a split, and the batches made from them."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from .. import color
from ..errors import DataError

__all__ = ["ImageDataset", "central_square", "is_gray", "served", "shifted", "split_compiled"]

# Compiled into one pass over the pixels: three times as fast as operation by operation.
split_compiled = tf.function(color.split, jit_compile=True, reduce_retracing=True)

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
        load_split: loads another split of the same data with the same options but without a
            limit; `None` if the data do not come from `load_dataset`.
        weights: of a mixture, float (count,): how often an epoch has each image, relative to the
            others.
        notes: lines for the user: what the split is, what was left out of a folder, problems.
        files: the size in bytes of each file of a folder, by its name there.
    """

    name: str
    split: str
    images: tf.data.Dataset
    count: int
    gray_count: int
    labels: np.ndarray | None = None
    class_names: tuple[str, ...] = ()
    load_split: Callable[[str], ImageDataset] | None = None
    weights: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    files: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def batches(self, batch_size: int = 256) -> tf.data.Dataset:
        """Returns (lightness, chroma) batches in order, for evaluation; ranges as in `color`."""
        return (
            self.images.batch(batch_size)
            .map(split_compiled, num_parallel_calls=tf.data.AUTOTUNE)
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
        crop: float = 1.0,
        aged: float = 0.0,
        hinted: float = 0.0,
        drop_remainder: bool = False,
    ) -> tf.data.Dataset:
        """Returns endless shuffled (lightness, chroma) batches, starting at step `start_step`.

        Every epoch contains all images in a new order; of a mixture, equally many images, each as
        often as its weight says, rounded up or down. Order, flips and shifts depend only on `seed`
        and the step, so that a resumed run sees the same batches as an uninterrupted one.

        Args:
            batch_size: images per (global) batch.
            seed: random seed of the order, the flips and the shifts.
            start_step: number of batches already used, over all epochs.
            flip: mirror each image left to right with probability one half.
            shift: move each image by up to this many pixels in each direction, less than its
                size; the border is filled by reflection.
            crop, aged, hinted: of records only; see `RecordDataset`.
            drop_remainder: leave out the last, smaller batch of each epoch.

        Raises:
            DataError: there are fewer images than one batch, or an option is of records only.
        """
        if crop < 1 or aged or hinted:
            raise DataError(
                f"data.crop, data.aged and data.hinted need TFRecords of JPEG files, which "
                f"{self.name} is not: leave them at 1, 0 and 0."
            )
        start_epoch, start_batch = self._start(batch_size, start_step, drop_remainder)

        def one_epoch(epoch: tf.Tensor, examples: tuple[tf.Tensor, tf.Tensor]) -> tf.data.Dataset:
            # Stateless operations: the order and the flips of an epoch are functions of its
            # number, which a resumed run knows, whatever other random numbers have been drawn.
            order = tf.random.experimental.stateless_shuffle(
                tf.range(self.count), seed=[seed, 2 * epoch]
            )
            drawn = None if self.weights is None else self._draw(seed, epoch)
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
                    batch = tuple(shifted(part, move) for part in batch)
                return batch

            chosen = tf.data.Dataset.from_tensor_slices(order).batch(batch_size, drop_remainder)
            skipped = tf.where(epoch == start_epoch, tf.cast(start_batch, tf.int64), 0)
            return chosen.skip(skipped).map(take)

        epochs = tf.data.Dataset.range(start_epoch, np.iinfo(np.int64).max)
        both = tf.data.Dataset.zip(epochs, self._examples.repeat())
        return served(both.flat_map(one_epoch))

    def _start(self, batch_size: int, start_step: int, drop_remainder: bool) -> tuple[int, int]:
        """Returns the epoch of a step, and the step's number in it."""
        steps = self.steps_per_epoch(batch_size, drop_remainder)
        if steps == 0:
            raise DataError(
                f"{self.name} ({self.split}) has {self.count} images, fewer than one batch of "
                f"{batch_size}: choose a smaller training.batch_size."
            )
        return divmod(start_step, steps)

    def _draw(self, seed: int, epoch: tf.Tensor) -> tf.Tensor:
        """Returns the numbers of a mixture's images in an epoch, int32 (count,)."""
        # Folded in: otherwise the seed could equal that of the flips or the order of an epoch.
        folded = tf.random.experimental.stateless_fold_in([seed, 0], epoch)
        offset = tf.random.stateless_uniform([], folded, dtype=tf.float64)
        ends = np.cumsum(self.weights[: self.count])
        places = ends[-1] * (tf.range(self.count, dtype=tf.float64) + offset) / self.count
        return tf.searchsorted(ends[:-1], places, side="right")


def served(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Returns training batches, some prepared ahead, ready to be divided among workers."""
    options = tf.data.Options()
    # Workers must divide each batch; sharded by file, each would see only some of the images.
    by_data = tf.data.experimental.AutoShardPolicy.DATA
    options.experimental_distribute.auto_shard_policy = by_data
    # Closing an iterator waits for the autotuner, which sleeps for up to a minute.
    options.autotune.enabled = False
    return batches.prefetch(_PREFETCHED).with_options(options)


def is_gray(image: tf.Tensor) -> tf.Tensor:
    """Returns whether R == G == B at every pixel of an image (..., height, width, 3)."""
    return tf.reduce_all(tf.equal(image, image[..., :1]), axis=[-3, -2, -1])


def central_square(image: tf.Tensor, size: int) -> tf.Tensor:
    """Returns the central square of an image, scaled, in color: uint8 (size, size, 3)."""
    if image.shape != (size, size, 3):
        shape = tf.shape(image)[:2]
        side = tf.reduce_min(shape)
        top, left = tf.unstack((shape - side) // 2)
        image = image[top : top + side, left : left + side]
        image = tf.cast(tf.round(tf.image.resize(image, [size, size], "area")), tf.uint8)
    return tf.broadcast_to(image, [size, size, 3])


def shifted(images: tf.Tensor, moves: tf.Tensor) -> tf.Tensor:
    """Returns images (batch, size, size, channels), each shifted by its (rows, columns)."""
    size = images.shape[1]
    for axis in (1, 2):
        places = tf.range(size) + moves[:, axis - 1, None]
        places = size - 1 - tf.abs(size - 1 - tf.abs(places))  # reflected at either border
        images = tf.gather(images, places, axis=axis, batch_dims=1)
    return images
