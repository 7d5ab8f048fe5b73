"""Loads one split of a named data set, a folder of images, or a mixture of these."""

from __future__ import annotations

import functools
import glob
import math
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ..config import nearest
from ..errors import DataError
from ..image_files import ImageFileWarning
from .dataset import ImageDataset, central_square, is_gray
from .records import find_records, load_records
from .sources import Source, open_folder, open_photographs, open_tfds

__all__ = ["load_dataset"]

_NAMES = ("cifar10", "photographs")
_SPLITS = ("train", "test")


def load_dataset(
    dataset: str | Path = "cifar10",
    split: str = "train",
    *,
    image_size: int = 32,
    drop_gray: bool = True,
    limit: int | None = None,
) -> ImageDataset:
    """Loads one split of a data set.

    Args:
        dataset: one of
            `"cifar10"`: through TensorFlow Datasets (TFDS), which honors `TFDS_DATA_DIR` and
            downloads the data if necessary;
            `"photographs"`: 32x32 crops of the color photographs inside scikit-image, without a
            download;
            `"tfds:NAME"` or `"tfds:NAME/CONFIG"`: any TFDS data set with an `image` feature;
            a folder of images, searched and read as `colorize` does (an existing folder takes
            precedence over any other reading of its name);
            a folder that holds `*.tfrecord*` files, one such file, or a pattern such as
            `"photos/*.tfrecord"`: records that are JPEG files; training images only, and no part
            of a mixture;
            `"NAME=WEIGHT,NAME=WEIGHT"`: a mixture. The weights, of any sum, are the parts'
            shares of every training epoch, which is as long as all parts together. Its `images`,
            which evaluation uses, are all images of all parts, part by part, regardless of the
            weights, without labels.
        split: `"train"` or `"test"`. A folder with subfolders of these names, in upper or lower
            case, uses them; `val`, `valid` or `validation` stands in for a missing `test`. Of any
            other folder, one file in ten is a test image, chosen by a hash of its name, so that
            a file stays in its split when others are added. A TFDS data set without a test split
            uses its `"validation"` split.
        image_size: height and width in pixels of the returned images; of larger or smaller ones
            the central square is scaled.
        drop_gray: leave out images with R == G == B at every pixel (report section 4.1).
        limit: read only the first `limit` images, of each part of a mixture.

    Returns:
        The images and their number.

    Raises:
        DataError: the name or the split is unknown, the mixture is invalid, the data or the
            split is missing, the images are not uint8 gray or RGB, a file is unreadable, or no
            image is left.
    """
    if split not in _SPLITS:
        raise DataError(f"Unknown split {split!r}: {nearest(split, _SPLITS)}")
    name = os.path.expanduser(dataset)
    options = {"image_size": image_size, "drop_gray": drop_gray}
    if find_records(name):
        return load_records(name, split, limit, **options)
    if {"=", ","} & {*name} and not os.path.exists(name):
        return _load_mixture(name, split, limit, options)
    return _load_single(name, split, limit, options)


def _load_mixture(
    name: str, split: str, limit: int | None, options: dict[str, Any]
) -> ImageDataset:
    weights = _parse_mixture(name)
    parts = [_load_single(part, split, limit, options) for part, _ in weights]
    counts = [part.count for part in parts]
    name = ",".join(f"{part}={weight:.15g}" for part, weight in weights)
    return ImageDataset(
        name,
        split,
        images=functools.reduce(tf.data.Dataset.concatenate, [part.images for part in parts]),
        count=sum(counts),
        gray_count=sum(part.gray_count for part in parts),
        load_split=functools.partial(load_dataset, name, **options),
        weights=np.repeat([w / p.count for p, (_, w) in zip(parts, weights, strict=True)], counts),
        notes=tuple(note for part in parts for note in part.notes),
        files={f"{Path(part.name).name}/{f}": n for part in parts for f, n in part.files.items()},
    )


def _parse_mixture(text: str) -> list[tuple[str, float]]:
    """Returns the name and the weight of each part."""
    parts = []
    for piece in text.split(","):
        name, _, number = (word.strip() for word in piece.rpartition("="))
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        if not (name and 0 < weight < math.inf):
            raise DataError(
                f"{piece.strip()!r} is not NAME=WEIGHT with a weight above 0, as in a mixture "
                f"NAME=WEIGHT,NAME=WEIGHT, and there is no folder named {text!r}."
            )
        parts.append((os.path.expanduser(name), weight))
    return parts


def _load_single(name: str, split: str, limit: int | None, options: dict[str, Any]) -> ImageDataset:
    if find_records(name):
        raise DataError(f"{name} holds TFRecords, which cannot be part of a mixture.")
    source = _open(name, split, limit)
    examples = source.examples if limit is None else source.examples.take(limit)
    total = int(examples.cardinality())

    def prepare(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return central_square(image, options["image_size"]), label

    examples = examples.map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
    if options["drop_gray"]:
        examples = examples.filter(lambda image, _: not is_gray(image))
    examples = examples.cache()
    batches = examples.map(lambda _, label: label).batch(1_024)
    with warnings.catch_warnings(record=True) as caught:  # thousands of files may have problems
        warnings.simplefilter("always", ImageFileWarning)
        try:  # one pass reads everything and fills the cache
            labels = np.concatenate([np.empty(0, np.int64), *batches.as_numpy_iterator()])
        except tf.errors.OpError as error:
            raise DataError(f"The images of {name} could not be read: {error.message}") from error
    if source.unreadable:
        reasons = [reason for _, reason in sorted(source.unreadable.items())]
        more = f" And {len(reasons) - 3:,} more." if len(reasons) > 3 else ""
        raise DataError(f"{' '.join(reasons[:3])}{more} Remove or replace what cannot be read.")
    if len(labels) == 0:
        raise DataError(f"{name} ({split}) has no color image: {total} read, all of them gray.")
    remarks = [str(w.message) for w in caught if issubclass(w.category, ImageFileWarning)]
    if len(remarks) > 1:
        remarks = [f"{len(remarks):,} warnings about image files, such as: {remarks[0]}"]
    labeled = bool((labels >= 0).all())  # TFDS has -1 where the labels of a test split are secret
    return ImageDataset(
        name,
        split,
        images=examples.map(lambda image, _: image),
        count=len(labels),
        gray_count=total - len(labels),
        labels=labels if labeled else None,
        class_names=source.class_names if labeled else (),
        load_split=functools.partial(load_dataset, name, **options),
        notes=(*source.notes, *remarks),
        files=source.files,
    )


def _open(name: str, split: str, limit: int | None) -> Source:
    if name == "photographs":
        return open_photographs(split)
    if name == "cifar10" or (name.startswith("tfds:") and not os.path.exists(name)):
        return open_tfds(name.removeprefix("tfds:"), split)
    if os.path.isdir(name):
        return open_folder(Path(name), split, limit)
    if glob.has_magic(name):
        raise DataError(f"No TFRecord file (*.tfrecord*) matches {name!r}.")
    raise DataError(
        f"There is no data set or folder named {name!r}: {nearest(name, _NAMES)} "
        "Or use tfds:NAME or the path of a folder of images or TFRecords."
    )
