"""Training images in TFRecords: a record is a JPEG file itself, no `tf.train.Example`."""

from __future__ import annotations

import dataclasses
import glob
import os
from pathlib import Path

import tensorflow as tf

from ..errors import DataError, one_line
from .aging import age
from .dataset import ImageDataset, central_square, is_gray, served, shifted, split_compiled
from .hints import draw_hints
from .sources import name_in

__all__ = ["RecordDataset", "find_records", "load_records"]

_AT_ONCE = 2  # images, and batches, that are prepared at the same time


def find_records(name: str) -> list[Path]:
    """Returns the TFRecord files of a folder, a file or a pattern, sorted; none: it is no such."""
    if os.path.isdir(name):
        return sorted(path for path in Path(name).glob("*.tfrecord*") if path.is_file())
    found = [name] if os.path.exists(name) else glob.glob(name, recursive=True)
    return sorted(Path(path) for path in found if ".tfrecord" in os.path.basename(path))


def load_records(
    name: str, split: str, limit: int | None, image_size: int, drop_gray: bool
) -> RecordDataset:
    """Reads and decodes every record once; `load_dataset` has the arguments.

    Raises:
        DataError: the split is not `"train"`, a record is damaged or no JPEG file, or no image is
            left.
    """
    if split != "train":
        raise DataError(
            f"{name} holds TFRecords, which are training images only: use a folder of images for "
            f"the {split} split."
        )
    files, kept, total = find_records(name), [], 0
    for file in files:
        checked = tf.data.TFRecordDataset(str(file)).map(_check, _AT_ONCE, deterministic=True)
        number = 0
        try:
            for record, gray in checked.as_numpy_iterator():
                if limit is not None and total == limit:
                    break
                number, total = number + 1, total + 1
                if not (gray and drop_gray):
                    kept.append(record)
        except tf.errors.DataLossError as error:
            raise DataError(
                f"{file} is damaged or not a TFRecord file: record {number + 1:,} cannot be read."
            ) from error
        except tf.errors.OpError as error:
            raise DataError(
                f"Record {number + 1:,} of {file} is not a JPEG file that can be decoded "
                f"({one_line(error.message)[:100]}). A record must be the bare file, no "
                "tf.train.Example."
            ) from error
    if not kept:
        raise DataError(f"{name} ({split}) has no color image among its {total:,} records.")
    root = Path(os.path.commonpath([file.parent for file in files]))
    records = tf.constant(kept)

    def center(number: tf.Tensor) -> tf.Tensor:
        return central_square(tf.io.decode_jpeg(records[number], channels=3), image_size)

    return RecordDataset(
        name,
        split,
        images=tf.data.Dataset.range(len(kept)).map(center, tf.data.AUTOTUNE),
        count=len(kept),
        gray_count=total - len(kept),
        notes=(
            f"{name}: {total:,} JPEG files in {len(files):,} TFRecord files, kept in memory "
            f"as they are ({sum(map(len, kept)) / 1e6:,.0f} MB).",
        ),
        files={name_in(root, file): file.stat().st_size for file in files},
        records=records,
    )


def _check(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns a record and whether it is gray."""
    tf.debugging.Assert(tf.io.is_jpeg(record), ["other bytes than a JPEG file begins with"])
    return record, is_gray(tf.io.decode_jpeg(record, channels=3))


@dataclasses.dataclass(frozen=True)
class RecordDataset(ImageDataset):
    """JPEG files kept in memory compressed, decoded and cropped at random whenever they are used.

    `images` are the central squares; EXIF orientation is ignored.

    Attributes:
        records: string (count,), the JPEG files.
    """

    records: tf.Tensor | None = None

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
        """Returns endless shuffled batches as `ImageDataset` does, of random crops.

        Everything random depends only on `seed` and the step.

        Args:
            batch_size, seed, start_step, flip, shift, drop_remainder: as in `ImageDataset`.
            crop: the smallest share of an image's shorter side that the side of its crop takes;
                1 is the central square, below it size and place are uniform.
            aged: share of the images whose lightness, not chroma, is that of an old photograph.
            hinted: share of the images that are shown hints.

        Returns:
            (lightness, chroma) batches, and with `hinted` above 0 also what `draw_hints` returns.

        Raises:
            DataError: there are fewer images than one batch.
        """
        start_epoch, start_batch = self._start(batch_size, start_step, drop_remainder)
        size = self.images.element_spec.shape[0]

        def cut(number: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
            image = tf.io.decode_jpeg(self.records[number], channels=3)
            space = tf.cast(tf.shape(image)[:2], tf.float32)
            side = tf.reduce_min(space)
            side = tf.maximum(tf.round(side * (crop + (1.0 - crop) * draws[0])), 1.0)
            place = draws[1:3] if crop < 1 else tf.constant([0.5, 0.5])
            top, left = tf.unstack(tf.cast(place * (space - side + 1.0), tf.int32))
            side = tf.cast(side, tf.int32)
            image = image[top : top + side, left : left + side]
            image = tf.image.resize(image, [size, size], antialias=True) / 255.0
            return tf.reverse(image, [1]) if flip and draws[3] < 0.5 else image

        def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
            order = tf.random.experimental.stateless_shuffle(
                tf.range(self.count), seed=[seed, 2 * epoch]
            )
            draws = tf.random.stateless_uniform([self.count, 4], seed=[seed, 2 * epoch + 1])
            skipped = tf.where(epoch == start_epoch, tf.cast(start_batch * batch_size, tf.int64), 0)
            chosen = tf.data.Dataset.from_tensor_slices((order, draws)).skip(skipped)
            return chosen.map(cut, _AT_ONCE, True).batch(batch_size, drop_remainder)

        def finish(step: tf.Tensor, rgb: tf.Tensor) -> tuple[tf.Tensor, ...]:
            # Folded in: otherwise the seed could equal that of an epoch's order.
            folded = tf.random.experimental.stateless_fold_in([seed, 1], step)
            seeds = tf.unstack(tf.random.split(folded, 4))
            count = tf.shape(rgb)[0]
            if shift:
                moves = tf.random.stateless_uniform(
                    [count, 2], seeds[0], -shift, shift + 1, tf.int32
                )
                rgb = shifted(rgb, moves)
            lightness, chroma = split_compiled(rgb)
            if aged:
                old = tf.where(tf.random.stateless_uniform([count], seeds[1]) < aged)
                lightness = tf.tensor_scatter_nd_update(
                    lightness, old, age(tf.gather(rgb, old[:, 0]), seeds[2])
                )
            hints = draw_hints(count, size, hinted, seeds[3]) if hinted else ()
            return lightness, chroma, *hints

        batches = tf.data.Dataset.range(start_epoch, tf.int64.max).flat_map(one_epoch)
        return served(batches.enumerate(start_step).map(finish, _AT_ONCE, True))
