"""From images on disk to batches of (lightness, chroma), all in the tf.data graph.

`load_dataset` reads and filters; `ImageDataset` serves batches. Nothing falls back silently:
a data set that is not there is an error that says how to get it.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from . import color, mixture
from .config import nearest

__all__ = [
    "DataError",
    "ImageDataset",
    "is_gray",
    "load_dataset",
    "photographs",
]

NAMES = ("cifar10", "photographs")
SPLITS = ("train", "test")
FITS = ("crop", "resize")
EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_IN_GRAPH = r"(?i).*\.(gif|jpe?g|png)$"  # what TensorFlow decodes itself, and rightly
_TEST_SHARE = 0.1  # of an image folder that has no train/ and test/ of its own


class DataError(RuntimeError):
    """A data set that is not there, or a file in it that cannot be read."""


def is_gray(image: tf.Tensor) -> tf.Tensor:
    """Returns whether R == G == B at every pixel of an image (..., height, width, 3)."""
    first = image[..., :1]
    return tf.reduce_all(tf.equal(image, first), axis=[-3, -2, -1])


# Compiled into one pass over the pixels: three times as fast as operation by operation.
_split = tf.function(color.split, jit_compile=True, reduce_retracing=True)

_PREFETCHED = 4  # batches made ahead of the training step


@dataclasses.dataclass(frozen=True)
class ImageDataset:
    """Images of one split, read once, gray ones left out, kept in memory.

    Attributes:
        name: what `load_dataset` was asked for: shown beside every result.
        split: `"train"` or `"test"`.
        images: uint8 (size, size, 3) RGB, in a fixed order.
        count: number of images.
        gray_count: number of gray images that were left out.
        labels: int64 (count,), what each image shows, or `None` where nobody has said (the
            report does not use labels; the reference classifier does).
        class_names: the meaning of each label.
        load_split: reads another split of the same data in the same way.
        parts: of a mixture, whose images are in the order of its parts, the number of images
            of each and its share of every training epoch; the shares sum to one.
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

    def __post_init__(self) -> None:
        # Fewer images under the same parts would draw from the wrong ones.
        if self.parts and sum(count for count, _ in self.parts) != self.count:
            raise DataError(
                f"{self.name} is a mixture, which cannot be cut to {self.count} images: use one "
                "of its parts."
            )

    def other_split(self, split: str) -> ImageDataset:
        """Returns another split, read with the same options, without a limit.

        Raises:
            DataError: it cannot be read, or this data set was made by hand.
        """
        if self.load_split is None:
            raise DataError(f"{self.name} was not read by load_dataset: it has no other split.")
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
        # One element that holds every image in Lab, cached. Shuffling and flipping must come
        # after the cache, or every epoch would see the same ones.
        return self.batches(256).unbatch().batch(self.count).cache()

    def steps_per_epoch(self, batch_size: int, drop_remainder: bool = False) -> int:
        """Returns batches an epoch: 773 for the report's 49,438 images in batches of 64."""
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
        """Returns endless shuffled (lightness, chroma) batches from step `start_step` on.

        Every epoch is a new order of all images; of a mixture, of as many, each part's share
        drawn as `mixture.draw` says. Order, flips and shifts depend on `seed` and the step
        alone, so a run that resumes at a step sees what an uninterrupted one would.

        Args:
            batch_size: images a (global) batch.
            seed: of order, flips and shifts.
            start_step: batches already used, over all epochs.
            flip: mirror each image left to right with probability one half.
            shift: move each image by up to so many pixels in each direction, below its size;
                what comes in at the border is mirrored.
            drop_remainder: leave out an epoch's last, smaller batch.

        Raises:
            DataError: fewer images than one batch, or a part of a mixture without any.
        """
        steps = self.steps_per_epoch(batch_size, drop_remainder)
        if steps == 0 or self.count == 0:
            raise DataError(
                f"{self.name} ({self.split}) has {self.count} images, fewer than one batch of "
                f"{batch_size}: choose a smaller training.batch_size."
            )
        if self.parts and 0 in mixture.portions([share for _, share in self.parts], self.count):
            raise DataError(
                f"A part of {self.name} has a weight so low that it gives no image to an epoch of "
                f"{self.count}: leave it out or raise its weight."
            )
        start_epoch, start_batch = divmod(start_step, steps)

        def one_epoch(epoch: tf.Tensor, examples: tuple[tf.Tensor, tf.Tensor]) -> tf.data.Dataset:
            # Stateless operations: an epoch's order and flips are functions of its number,
            # which a resumed run knows, whatever else has drawn random numbers.
            order = tf.random.experimental.stateless_shuffle(
                tf.range(self.count), seed=[seed, 2 * epoch]
            )
            drawn = mixture.draw(self.parts, seed, epoch) if self.parts else None
            mirrored = tf.random.stateless_uniform([self.count], seed=[seed, 2 * epoch + 1]) < 0.5
            moves = tf.random.stateless_uniform(
                [self.count, 2], [seed, -1 - epoch], -shift, shift + 1, tf.int32
            )

            def take(chosen: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                # An image that an epoch draws twice is flipped and moved anew each time.
                numbers = chosen if drawn is None else tf.gather(drawn, chosen)
                batch = tuple(tf.gather(part, numbers) for part in examples)
                # Both parts of an image must face the same way, and stay on each other.
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
        # Several workers must share out the batches: of the files each would have a part only.
        options = tf.data.Options()
        by_data = tf.data.experimental.AutoShardPolicy.DATA
        options.experimental_distribute.auto_shard_policy = by_data
        # The end of an iterator waits for the autotuner, which sleeps for up to a minute.
        options.autotune.enabled = False
        return both.flat_map(one_epoch).prefetch(_PREFETCHED).with_options(options)


def _shifted(images: tf.Tensor, moves: tf.Tensor) -> tf.Tensor:
    """Returns images (batch, size, size, channels), each moved by its (rows, columns)."""
    size = images.shape[1]
    for axis in (1, 2):
        places = tf.range(size) + moves[:, axis - 1, None]
        places = size - 1 - tf.abs(size - 1 - tf.abs(places))  # mirrored at either border
        images = tf.gather(images, places, axis=axis, batch_dims=1)
    return images


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
        dataset: `"cifar10"` (through TFDS, which honours `TFDS_DATA_DIR` and downloads the
            data where there is a network), `"photographs"` (32x32 crops of the colour
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
        images, labels, class_names = _tfds(name.removeprefix("tfds:"), split)
    elif os.path.isdir(name):
        files = _list_images(Path(name), split)
        images = _decode(files)
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
        raise DataError(_explain(error, files)) from error
    total = int(images.cardinality())
    if len(kept) == 0:
        raise DataError(f"{name} ({split}) has no colour image: {total} read, all of them gray.")
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
    """Returns a uint8 image (size, size, 3), by cropping the centre or by resizing."""
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


def _tfds(name: str, split: str) -> tuple[tf.data.Dataset, np.ndarray | None, tuple[str, ...]]:
    """Returns the uint8 RGB images of a TFDS data set, their labels and the classes' names."""
    import tensorflow_datasets as tfds

    try:
        # All splits: which there are is known once the data are here.
        examples, info = tfds.load(name, shuffle_files=False, with_info=True)
        split = _tfds_split(name, split, examples)
        features = dict(info.features.items())
        image, label = features.get("image"), features.get("label")
        if not isinstance(image, tfds.features.Image):
            raise DataError(
                f"tfds:{name} has no images in a feature named image, but {', '.join(features)}."
            )
        dtype = tf.as_dtype(image.dtype)
        if dtype != tf.uint8 or image.shape[-1] not in (1, 3):
            raise DataError(
                f"The images of tfds:{name} are {dtype.name} of shape {image.shape}: only "
                "uint8 of 1 or 3 channels can be read."
            )
        images = examples[split].map(lambda example: example["image"])
        if image.shape[-1] == 1:
            images = images.map(tf.image.grayscale_to_rgb)
        if not isinstance(label, tfds.features.ClassLabel):
            return images, None, ()
        # A label is a byte beside an image to decode: read apart, it skips the decoding.
        encoded = tfds.load(
            name,
            split=split,
            shuffle_files=False,
            decoders=tfds.decode.PartialDecoding({"label": True}),
        )
        batches = encoded.map(lambda example: example["label"]).batch(1_024)
        labels = np.concatenate(list(batches.as_numpy_iterator()))
        if np.any(labels < 0):  # what TFDS gives a test split whose labels are kept secret
            return images, None, ()
        return images, labels, tuple(label.names)
    except DataError:
        raise
    except tfds.core.DatasetNotFoundError as error:
        known = tfds.list_builders(with_community_datasets=False)
        close = difflib.get_close_matches(name.partition("/")[0], known, n=1)
        hint = f"did you mean 'tfds:{close[0]}'? " if close else ""
        raise DataError(
            f"TensorFlow Datasets has no {name!r}: {hint}Look it up in "
            "https://www.tensorflow.org/datasets/catalog, or set TFDS_DATA_DIR to a folder that "
            "holds it."
        ) from error
    except Exception as error:  # TFDS lets whatever its downloader met escape
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise DataError(
            f"{name} is not on this machine and could not be downloaded "
            f"({type(error).__name__}: {reason[:200]}). Set TFDS_DATA_DIR to a folder that holds "
            "it, connect to a network, or use --dataset photographs."
        ) from error


def _tfds_split(name: str, split: str, splits: Collection[str]) -> str:
    wanted = ("test", "validation") if split == "test" else (split,)
    for candidate in wanted:
        if candidate in splits:
            return candidate
    raise DataError(
        f"tfds:{name} has no split named {' or '.join(wanted)}, but {', '.join(splits)}."
    )


@functools.cache
def photographs(split: str = "train") -> np.ndarray:
    """Cuts 32x32 crops, at three scales, out of scikit-image's own colour photographs.

    The left three quarters of each photograph are the train split, the rest is the test
    split, so no pixel is in both.

    Returns:
        uint8 (count, 32, 32, 3).
    """
    import skimage.data
    from skimage.transform import downscale_local_mean

    crops = []
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        photograph = getattr(skimage.data, name)()
        edge = photograph.shape[1] * 3 // 4
        part = photograph[:, :edge] if split == "train" else photograph[:, edge:]
        for scale in (1, 2, 4):
            small = downscale_local_mean(part, (scale, scale, 1)).round().astype(np.uint8)
            crops.extend(_tiles(small, 32))
    return np.stack(crops)


def _tiles(image: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for top in range(0, image.shape[0] - size + 1, size):
        for left in range(0, image.shape[1] - size + 1, size):
            yield image[top : top + size, left : left + size]


def _list_images(folder: Path, split: str) -> list[str]:
    own = folder / split
    has_splits = all((folder / name).is_dir() for name in SPLITS)
    root = own if has_splits else folder
    found = sorted(
        str(path)
        for path in root.rglob("*")
        if path.suffix.lower() in EXTENSIONS and path.is_file()
    )
    if not found:
        raise DataError(f"No image in {root}: looked for {', '.join(EXTENSIONS)} at any depth.")
    if has_splits:
        return found
    every = round(1 / _TEST_SHARE)
    chosen = [f for i, f in enumerate(found) if (i % every == every - 1) == (split == "test")]
    if not chosen:
        raise DataError(f"{folder} has {len(found)} images: too few for a {split} split.")
    return chosen


def _decode(files: list[str]) -> tf.data.Dataset:
    paths = tf.data.Dataset.from_tensor_slices(files)
    return paths.map(_decode_file, num_parallel_calls=tf.data.AUTOTUNE)


def _decode_file(path: tf.Tensor) -> tf.Tensor:
    """Decodes with TensorFlow what it can decode, and with Pillow the rest (TIFF, WebP, BMP).

    TensorFlow takes the palette numbers of a BMP for gray levels.
    """

    def pillow(path: bytes) -> np.ndarray:
        from PIL import Image

        with Image.open(path.decode()) as image:
            return np.asarray(image.convert("RGB"))

    image = tf.cond(
        tf.strings.regex_full_match(path, _IN_GRAPH),
        lambda: tf.io.decode_image(tf.io.read_file(path), 3, expand_animations=False),
        lambda: tf.numpy_function(pillow, [path], tf.uint8, stateful=False),
    )
    return tf.ensure_shape(image, [None, None, 3])


def _explain(error: Exception, files: list[str] | None) -> str:
    """Names the files that cannot be read: TensorFlow's own message does not."""
    bad = []
    for file in files or []:
        try:
            _decode_file(tf.constant(file))
        except Exception as reason:  # any failure to read is what is being looked for
            message = getattr(reason, "message", "") or str(reason)
            bad.append(f"{file} ({message.splitlines()[0][:200]})")
    if not bad:
        return f"The images could not be read: {str(error).splitlines()[0]}"
    more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
    return f"Cannot read {'; '.join(bad[:3])}{more}. Remove or replace these files."
