"""Data sets of TensorFlow Datasets."""

from __future__ import annotations

import difflib
from collections.abc import Collection

import numpy as np
import tensorflow as tf

from ..errors import DataError

__all__ = ["load_tfds"]


def load_tfds(name: str, split: str) -> tuple[tf.data.Dataset, np.ndarray | None, tuple[str, ...]]:
    """Returns the uint8 RGB images of a data set, their labels and the classes' names.

    Raises:
        DataError: not here and not to be had, no such split, or no images of 8 bits.
    """
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
        dtype = tf.as_dtype(image.np_dtype)
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
            decoders={"image": tfds.decode.SkipDecoding()},
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
