"""Reads a split of whatever is named."""

from __future__ import annotations

import dataclasses
import functools
import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ..config import nearest
from ..errors import DataError
from . import mixture
from .dataset import ImageDataset
from .embedded import photographs
from .image_folder import SPLITS, decode, explain, list_images
from .tfds import load_tfds

__all__ = ["is_gray", "load_dataset"]

NAMES = ("cifar10", "photographs")
FITS = ("crop", "resize")


def is_gray(image: tf.Tensor) -> tf.Tensor:
    """Returns whether R == G == B at every pixel of an image (..., height, width, 3)."""
    first = image[..., :1]
    return tf.reduce_all(tf.equal(image, first), axis=[-3, -2, -1])


def load_dataset(
    dataset: str | Path = "cifar10",
    split: str = "train",
    *,
    image_size: int = 32,
    drop_gray: bool = True,
    fit: str = "crop",
    limit: int | None = None,
) -> ImageDataset:
    """Reads one split of a data set.

    Args:
        dataset: `"cifar10"` (through TFDS, which honors `TFDS_DATA_DIR` and downloads the
            data where there is a network), `"photographs"` (32x32 crops of the color
            photographs inside scikit-image: no network, no download), `"tfds:NAME"` (any
            data set of TFDS with an `image` feature, or `"tfds:NAME/CONFIG"`), a folder of
            images, searched to any depth, or a mixture of these, `"NAME=WEIGHT,NAME=WEIGHT"`.
            What exists as a folder is one, whatever its name looks like. The weights of a
            mixture, of any sum, are the parts' shares of every training epoch, which is as long
            as all parts together (see `mixture.draw`); its `images`, which evaluation sees, are
            all images of all parts, part by part, whatever the weights, without labels.
        split: `"train"` or `"test"`. A folder with subfolders of these names uses them;
            any other gives every tenth file, in sorted order, to the test split. Of TFDS,
            `"test"` is `"validation"` where there is no test split.
        image_size: height and width in pixels of what is returned.
        drop_gray: leave out images with R == G == B at every pixel (report section 4.1).
        fit: `"crop"` or `"resize"`, see `DataConfig.fit`; used where an image is not of
            `image_size` already.
        limit: stop after so many images (for quick looks). A mixture's parts stop after their
            shares of it, each after one image at least.

    Returns:
        The images, counted.

    Raises:
        DataError: unknown name, split or fit, a mixture that is none, missing data or split,
            images that are not uint8 gray or RGB, an unreadable file, nothing left.
    """
    if split not in SPLITS:
        raise DataError(f"Unknown split {split!r}: {nearest(split, SPLITS)}")
    if fit not in FITS:
        raise DataError(f"Unknown fit {fit!r}: {nearest(fit, FITS)}")
    name = str(dataset)
    options = {"image_size": image_size, "drop_gray": drop_gray, "fit": fit}
    if {"=", ","} & {*name} and not os.path.exists(name):
        return _mix(name, split, limit, options)
    return _read(name, split, limit, options)


def _mix(name: str, split: str, limit: int | None, options: dict[str, Any]) -> ImageDataset:
    """Reads the parts of a mixture and joins them."""
    try:
        weights = mixture.parse_name(name)
    except ValueError as error:
        raise DataError(
            f"{error} A mixture is NAME=WEIGHT,NAME=WEIGHT,..., and there is no folder named "
            f"{name!r}."
        ) from error
    limits: list[int | None] = [None] * len(weights)
    if limit is not None:
        limits = [max(1, n) for n in mixture.portions(mixture.normalized(weights), limit)]
    parts = [_read(part, split, n, options) for part, n in zip(weights, limits, strict=True)]
    joined = mixture.join(parts, weights)
    load_split = functools.partial(load_dataset, joined.name, **options)
    return dataclasses.replace(joined, load_split=load_split)


def _read(name: str, split: str, limit: int | None, options: dict[str, Any]) -> ImageDataset:
    """Reads what is no mixture."""
    files: list[str] | None = None
    labels, class_names = None, ()
    if name == "photographs":
        images = tf.data.Dataset.from_tensor_slices(photographs(split))
    elif name == "cifar10" or (name.startswith("tfds:") and not os.path.exists(name)):
        images, labels, class_names = load_tfds(name.removeprefix("tfds:"), split)
    elif os.path.isdir(name):
        files = list_images(Path(name), split)
        images = decode(files)
    elif os.path.exists(name):
        raise DataError(
            f"{name} is a file: a data set is {' or '.join(NAMES)}, tfds:NAME, or a folder."
        )
    else:
        raise DataError(
            f"There is no data set or folder named {name!r}: {nearest(name, NAMES)} "
            "Or give tfds:NAME, or the path of a folder of images."
        )
    square = functools.partial(_square, size=options["image_size"], fit=options["fit"])
    images = images.map(square, num_parallel_calls=tf.data.AUTOTUNE)
    if limit is not None:
        images = images.take(limit)
    numbered = images.enumerate()
    if options["drop_gray"]:
        numbered = numbered.filter(lambda _, image: not is_gray(image))
    numbered = numbered.cache()
    try:
        kept = _numbers(numbered)  # which fills the cache
    except tf.errors.OpError as error:
        raise DataError(explain(error, files)) from error
    total = int(images.cardinality())
    if len(kept) == 0:
        raise DataError(f"{name} ({split}) has no color image: {total} read, all of them gray.")
    return ImageDataset(
        name,
        split,
        numbered.map(lambda _, image: image),
        len(kept),
        total - len(kept),
        labels[kept] if labels is not None else None,
        class_names,
        functools.partial(load_dataset, name, **options),
    )


def _numbers(numbered: tf.data.Dataset) -> np.ndarray:
    numbers = numbered.map(lambda number, _: number).batch(1_024)
    return np.concatenate([np.empty(0, np.int64), *numbers.as_numpy_iterator()])


def _square(image: tf.Tensor, *, size: int, fit: str) -> tf.Tensor:
    """Returns a uint8 image (size, size, 3), by cropping the center or by resizing."""
    shape = tf.shape(image)[:2]
    if fit == "crop":
        side = tf.reduce_min(shape)
        top, left = tf.unstack((shape - side) // 2)
        image = image[top : top + side, left : left + side]

    def resized() -> tf.Tensor:
        scaled = tf.image.resize(image, [size, size], method="area")
        return tf.cast(tf.round(scaled), tf.uint8)

    fits = tf.reduce_all(tf.shape(image)[:2] == size)
    return tf.ensure_shape(tf.cond(fits, lambda: image, resized), [size, size, 3])
