"""Where images come from: scikit-image's photographs, a folder of files, TensorFlow Datasets."""

from __future__ import annotations

import difflib
import functools
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import tensorflow as tf

from ..errors import DataError

__all__ = ["SPLITS", "decode_files", "explain", "list_images", "load_tfds", "photographs"]

SPLITS = ("train", "test")
_EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_DECODED_IN_GRAPH = r"(?i).*\.(gif|jpe?g|png)$"
_TEST_EVERY = 10  # every tenth file of a folder without train/ and test/ is a test image


@functools.cache
def photographs(split: str = "train") -> np.ndarray:
    """Cuts 32x32 crops, at three scales, from the color photographs inside scikit-image.

    The left three quarters of each photograph are the train split and the rest is the test
    split, so that no pixel is in both. Nothing is downloaded.

    Returns:
        uint8 (count, 32, 32, 3).
    """
    import skimage.data
    from skimage.transform import downscale_local_mean
    from skimage.util import view_as_blocks

    crops = []
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        photograph = getattr(skimage.data, name)()
        edge = photograph.shape[1] * 3 // 4
        part = photograph[:, :edge] if split == "train" else photograph[:, edge:]
        for scale in (1, 2, 4):
            small = downscale_local_mean(part, (scale, scale, 1)).round().astype(np.uint8)
            height, width = (side // 32 * 32 for side in small.shape[:2])
            blocks = view_as_blocks(small[:height, :width], (32, 32, 3))
            crops.append(blocks.reshape(-1, 32, 32, 3))
    return np.concatenate(crops)


# A folder of image files --------------------------------------------------------------------


def list_images(folder: Path, split: str) -> list[str]:
    """Returns the image files of a split in sorted order; `load_dataset` explains the splits.

    Raises:
        DataError: there are no images, or too few for two splits.
    """
    has_splits = all((folder / name).is_dir() for name in SPLITS)
    root = folder / split if has_splits else folder
    found = sorted(
        str(path)
        for path in root.rglob("*")
        if path.suffix.lower() in _EXTENSIONS and path.is_file()
    )
    if not found:
        raise DataError(f"No image in {root}: looked for {', '.join(_EXTENSIONS)} at any depth.")
    if has_splits:
        return found
    last = _TEST_EVERY - 1
    chosen = [f for i, f in enumerate(found) if (i % _TEST_EVERY == last) == (split == "test")]
    if not chosen:
        raise DataError(f"{folder} has {len(found)} images, too few for a {split} split.")
    return chosen


def decode_files(files: list[str]) -> tf.data.Dataset:
    """Returns the images of files, uint8 RGB (height, width, 3), each of its own size."""
    paths = tf.data.Dataset.from_tensor_slices(files)
    return paths.map(_decode_file, num_parallel_calls=tf.data.AUTOTUNE)


def _decode_file(path: tf.Tensor) -> tf.Tensor:
    """Decodes GIF, JPEG and PNG with TensorFlow and the rest (TIFF, WebP, BMP) with Pillow.

    TensorFlow would take the palette indices of a BMP for gray levels.
    """

    def pillow(path: bytes) -> np.ndarray:
        from PIL import Image

        with Image.open(path.decode()) as image:
            return np.asarray(image.convert("RGB"))

    image = tf.cond(
        tf.strings.regex_full_match(path, _DECODED_IN_GRAPH),
        lambda: tf.io.decode_image(tf.io.read_file(path), 3, expand_animations=False),
        lambda: tf.numpy_function(pillow, [path], tf.uint8, stateful=False),
    )
    return tf.ensure_shape(image, [None, None, 3])


def explain(error: Exception, files: list[str] | None) -> str:
    """Returns a message that names the unreadable files, which TensorFlow's own does not."""
    unreadable = []
    for file in files or []:
        try:
            _decode_file(tf.constant(file))
        except Exception as reason:  # any failure to read a file is reported
            unreadable.append(f"{file} ({_first_line(reason)})")
    if not unreadable:
        return f"The images could not be read: {_first_line(error)}"
    more = f" and {len(unreadable) - 3} more" if len(unreadable) > 3 else ""
    return f"Cannot read {'; '.join(unreadable[:3])}{more}. Remove or replace these files."


def _first_line(error: Exception) -> str:
    text = (getattr(error, "message", "") or str(error)).strip() or repr(error)
    return text.splitlines()[0][:200]


# TensorFlow Datasets ------------------------------------------------------------------------


def load_tfds(name: str, split: str) -> tuple[tf.data.Dataset, np.ndarray | None, tuple[str, ...]]:
    """Loads a split of a data set of TensorFlow Datasets (TFDS), downloading it if necessary.

    Returns:
        The uint8 RGB images, their labels or None, and the names of the classes.

    Raises:
        DataError: TFDS cannot be imported, the data set or the split does not exist or cannot be
            downloaded, or its images are not 8-bit images.
    """
    tfds = _import_tfds()
    try:
        # All splits: which ones exist is known only once the data set is prepared.
        examples, info = tfds.load(name, shuffle_files=False, with_info=True)
        wanted = ("test", "validation") if split == "test" else (split,)
        split = next((candidate for candidate in wanted if candidate in examples), "")
        if not split:
            raise DataError(
                f"tfds:{name} has no split named {' or '.join(wanted)}; it has "
                f"{', '.join(examples)}."
            )
        features = dict(info.features.items())
        image, label = features.get("image"), features.get("label")
        if not isinstance(image, tfds.features.Image):
            raise DataError(
                f"tfds:{name} has no images in a feature named image; its features are "
                f"{', '.join(features)}."
            )
        dtype = tf.as_dtype(image.np_dtype)
        if dtype != tf.uint8 or image.shape[-1] not in (1, 3):
            raise DataError(
                f"The images of tfds:{name} are {dtype.name} of shape {image.shape}; only uint8 "
                "images of 1 or 3 channels can be read."
            )
        images = examples[split].map(lambda example: example["image"])
        if image.shape[-1] == 1:
            images = images.map(tf.image.grayscale_to_rgb)
        if not isinstance(label, tfds.features.ClassLabel):
            return images, None, ()
        # Labels are read in a second pass that does not decode the images.
        decoders = {"image": tfds.decode.SkipDecoding()}
        encoded = tfds.load(name, split=split, shuffle_files=False, decoders=decoders)
        batches = encoded.map(lambda example: example["label"]).batch(1_024)
        labels = np.concatenate(list(batches.as_numpy_iterator()))
        if np.any(labels < 0):  # TFDS's placeholder where the labels of a test split are secret
            return images, None, ()
        return images, labels, tuple(label.names)
    except DataError:
        raise
    except tfds.core.DatasetNotFoundError as error:
        known = tfds.list_builders(with_community_datasets=False)
        close = difflib.get_close_matches(name.partition("/")[0], known, n=1)
        hint = f"did you mean 'tfds:{close[0]}'? " if close else ""
        raise DataError(
            f"TensorFlow Datasets has no {name!r}: {hint}Look it up at "
            "https://www.tensorflow.org/datasets/catalog, or set TFDS_DATA_DIR to a folder that "
            "contains it."
        ) from error
    except Exception as error:  # TFDS passes on whatever its downloader raised
        raise DataError(
            f"{name} is not on this machine and could not be downloaded "
            f"({type(error).__name__}: {_first_line(error)}). Set TFDS_DATA_DIR to a folder that "
            "contains it, connect to a network, or use --dataset photographs."
        ) from error


def _import_tfds() -> ModuleType:
    """Imports TFDS, which is slow to import and depends on more packages than the rest."""
    try:
        import tensorflow_datasets as tfds
    except Exception as error:  # protobuf's VersionError is not an ImportError
        # Newer versions of tensorflow-metadata need a newer protobuf than TensorFlow 2.19 allows.
        is_protobuf = "protobuf" in str(error).lower()
        package = "tensorflow-metadata<1.18" if is_protobuf else "tensorflow-datasets>=4.9.6"
        raise DataError(
            f"TensorFlow Datasets cannot be imported ({_first_line(error)}). Run "
            f'pip install "{package}", or use --dataset photographs.'
        ) from error
    if not sys.stderr.isatty():  # in a notebook or a log a progress bar is only noise
        tfds.disable_progress_bar()
    return tfds
