"""Loads one split of a named data set, a folder of images, or a mixture of these."""

from __future__ import annotations

import dataclasses
import functools
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ..config import nearest
from ..errors import DataError
from ..image_files import ImageFileWarning
from . import mixture
from .dataset import ImageDataset
from .sources import SPLITS, ImageFiles, list_images, load_tfds, photographs

__all__ = ["is_gray", "load_dataset"]

NAMES = ("cifar10", "photographs")


def is_gray(image: tf.Tensor) -> tf.Tensor:
    """Returns whether R == G == B at every pixel of an image (..., height, width, 3)."""
    return tf.reduce_all(tf.equal(image, image[..., :1]), axis=[-3, -2, -1])


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
            `"NAME=WEIGHT,NAME=WEIGHT"`: a mixture. The weights, of any sum, are the parts'
            shares of every training epoch, which is as long as all parts together (see
            `mixture.draw`). Its `images`, which evaluation uses, are all images of all parts,
            part by part, regardless of the weights, without labels.
        split: `"train"` or `"test"`. A folder with subfolders of these names, in upper or lower
            case, uses them; `val`, `valid` or `validation` stands in for a missing `test`. Of any
            other folder, one file in ten is a test image, chosen by a hash of its name, so that
            a file stays in its split when others are added. A TFDS data set without a test split
            uses its `"validation"` split.
        image_size: height and width in pixels of the returned images; of larger or smaller ones
            the central square is scaled.
        drop_gray: leave out images with R == G == B at every pixel (report section 4.1).
        limit: read only the first `limit` images. The parts of a mixture divide it by their
            weights; each part reads at least one image.

    Returns:
        The images and their number.

    Raises:
        DataError: the name or the split is unknown, the mixture is invalid, the data or the
            split is missing, the images are not uint8 gray or RGB, a file is unreadable, or no
            image is left.
    """
    if split not in SPLITS:
        raise DataError(f"Unknown split {split!r}: {nearest(split, SPLITS)}")
    name = str(dataset)
    options = {"image_size": image_size, "drop_gray": drop_gray}
    if {"=", ","} & {*name} and not os.path.exists(name):
        return _load_mixture(name, split, limit, options)
    return _load_single(name, split, limit, options)


def _load_mixture(
    name: str, split: str, limit: int | None, options: dict[str, Any]
) -> ImageDataset:
    try:
        weights = mixture.parse_name(name)
    except ValueError as error:
        raise DataError(
            f"{error} A mixture is NAME=WEIGHT,NAME=WEIGHT,..., and there is no folder named "
            f"{name!r}."
        ) from error
    total = sum(weights.values())
    shares = [weight / total for weight in weights.values()]
    limits: list[int | None] = [None] * len(weights)
    if limit is not None:
        limits = [max(1, portion) for portion in mixture.portions(shares, limit)]
    parts = [_load_single(part, split, n, options) for part, n in zip(weights, limits, strict=True)]
    name = ",".join(f"{part}={weight:.15g}" for part, weight in weights.items())
    return ImageDataset(
        name,
        split,
        images=functools.reduce(tf.data.Dataset.concatenate, [part.images for part in parts]),
        count=sum(part.count for part in parts),
        gray_count=sum(part.gray_count for part in parts),
        load_split=functools.partial(load_dataset, name, **options),
        parts=tuple((part.count, share) for part, share in zip(parts, shares, strict=True)),
        notes=tuple(note for part in parts for note in part.notes),
        fingerprint=" ".join(part.fingerprint for part in parts).strip(),
    )


def _load_single(name: str, split: str, limit: int | None, options: dict[str, Any]) -> ImageDataset:
    files: ImageFiles | None = None
    labels, class_names = None, ()
    if name == "photographs":
        images = tf.data.Dataset.from_tensor_slices(photographs(split))
    elif name == "cifar10" or (name.startswith("tfds:") and not os.path.exists(name)):
        images, labels, class_names = load_tfds(name.removeprefix("tfds:"), split)
    elif os.path.isdir(name):
        files = list_images(Path(name), split)
        files = dataclasses.replace(files, paths=files.paths[:limit])
        images = files.read()
    elif os.path.exists(name):
        raise DataError(
            f"{name} is a file; a data set is {' or '.join(NAMES)}, tfds:NAME, or a folder."
        )
    else:
        raise DataError(
            f"There is no data set or folder named {name!r}: {nearest(name, NAMES)} "
            "Or use tfds:NAME or the path of a folder of images."
        )
    square = functools.partial(_square, size=options["image_size"])
    images = images.map(square, num_parallel_calls=tf.data.AUTOTUNE)
    if limit is not None:
        images = images.take(limit)
    numbered = images.enumerate()  # so that labels stay with their images
    if options["drop_gray"]:
        numbered = numbered.filter(lambda _, image: not is_gray(image))
    numbered = numbered.cache()
    numbers = numbered.map(lambda number, _: number).batch(1_024)
    with warnings.catch_warnings(record=True) as caught:  # thousands of files may have problems
        warnings.simplefilter("always", ImageFileWarning)
        try:  # one pass reads everything and fills the cache
            kept = np.concatenate([np.empty(0, np.int64), *numbers.as_numpy_iterator()])
        except tf.errors.OpError as error:
            raise DataError(f"The images of {name} could not be read: {error.message}") from error
    notes = []
    if files is not None:
        files.check()
        about_files = [w for w in caught if issubclass(w.category, ImageFileWarning)]
        notes = [*files.notes, *_in_one_line([str(warning.message) for warning in about_files])]
    for w in caught:
        if not issubclass(w.category, ImageFileWarning):
            warnings.warn_explicit(w.message, w.category, w.filename, w.lineno)
    total = int(images.cardinality())
    if len(kept) == 0:
        raise DataError(f"{name} ({split}) has no color image: {total} read, all of them gray.")
    return ImageDataset(
        name,
        split,
        images=numbered.map(lambda _, image: image),
        count=len(kept),
        gray_count=total - len(kept),
        labels=labels[kept] if labels is not None else None,
        class_names=class_names,
        load_split=functools.partial(load_dataset, name, **options),
        notes=tuple(notes),
        fingerprint=files.fingerprint(Path(name)) if files else "",
    )


def _in_one_line(messages: list[str]) -> list[str]:
    if len(messages) < 2:
        return messages
    return [f"{len(messages):,} warnings about image files, such as: {messages[0]}"]


def _square(image: tf.Tensor, *, size: int) -> tf.Tensor:
    """Returns the central square of an image, scaled to uint8 (size, size, 3)."""
    shape = tf.shape(image)[:2]
    side = tf.reduce_min(shape)
    top, left = tf.unstack((shape - side) // 2)
    image = image[top : top + side, left : left + side]

    def resized() -> tf.Tensor:
        scaled = tf.image.resize(image, [size, size], method="area")
        return tf.cast(tf.round(scaled), tf.uint8)

    fits = tf.reduce_all(tf.shape(image)[:2] == size)
    return tf.ensure_shape(tf.cond(fits, lambda: image, resized), [size, size, 3])
