"""A folder of image files as a data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from ..errors import DataError

__all__ = ["SPLITS", "decode", "explain", "list_images"]

SPLITS = ("train", "test")
_EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_IN_GRAPH = r"(?i).*\.(gif|jpe?g|png)$"  # what TensorFlow decodes itself, and rightly
_TEST_SHARE = 0.1  # of an image folder that has no train/ and test/ of its own


def list_images(folder: Path, split: str) -> list[str]:
    """Returns the image files of a split, in order; see `load_dataset` for which they are.

    Raises:
        DataError: none, or too few for two splits.
    """
    own = folder / split
    has_splits = all((folder / name).is_dir() for name in SPLITS)
    root = own if has_splits else folder
    found = sorted(
        str(path)
        for path in root.rglob("*")
        if path.suffix.lower() in _EXTENSIONS and path.is_file()
    )
    if not found:
        raise DataError(f"No image in {root}: looked for {', '.join(_EXTENSIONS)} at any depth.")
    if has_splits:
        return found
    every = round(1 / _TEST_SHARE)
    chosen = [f for i, f in enumerate(found) if (i % every == every - 1) == (split == "test")]
    if not chosen:
        raise DataError(f"{folder} has {len(found)} images: too few for a {split} split.")
    return chosen


def decode(files: list[str]) -> tf.data.Dataset:
    """Returns the images of files, uint8 RGB (height, width, 3), each of its own size."""
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


def explain(error: Exception, files: list[str] | None) -> str:
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
