"""Where images come from: scikit-image's photographs, a folder of files, TensorFlow Datasets."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import os
import socket
import sys
import unicodedata
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import tensorflow as tf

from ..config import nearest
from ..errors import DataError, ImageFileError, one_line
from ..image_files import SUFFIXES, find_images, in_numbers, read_image_file

__all__ = [
    "Source",
    "find_files",
    "name_in",
    "open_folder",
    "open_photographs",
    "open_tfds",
    "photographs",
    "read_pixels",
]

_NO_LABEL = np.int64(-1)
_SPLIT_FOLDERS = {  # in upper or lower case; the first that exists
    "train": ("train",),
    "test": ("test", "val", "valid", "validation"),
}
_TEST_EVERY = 10  # one file in ten of a folder without such folders is a test image
_HOST = "storage.googleapis.com"  # where TFDS looks for every data set first
_SECONDS = 5


@dataclasses.dataclass(frozen=True)
class Source:
    """The images of a split as they are stored.

    Attributes:
        examples: (image, label): uint8 (height, width, 1 or 3), each image of its own size, and
            int64, its class, -1 if it has none.
        unreadable: why files could not be read, by their paths, once all images have been read:
            theirs are black.
        notes, class_names, files: as in `ImageDataset`.
    """

    examples: tf.data.Dataset
    notes: tuple[str, ...]
    class_names: tuple[str, ...] = ()
    files: Mapping[str, int] = dataclasses.field(default_factory=dict)
    unreadable: Mapping[bytes, str] = dataclasses.field(default_factory=dict)


# Photographs inside scikit-image --------------------------------------------------------------


def open_photographs(split: str) -> Source:
    """Returns the crops of `photographs`."""
    images = tf.data.Dataset.from_tensor_slices(photographs(split))
    part = "left three quarters" if split == "train" else "right quarter"
    return Source(
        images.map(lambda image: (image, _NO_LABEL)),
        (f"photographs: the {split} split is the {part} of each photograph.",),
    )


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


# A folder of image files ----------------------------------------------------------------------


def open_folder(folder: Path, split: str, limit: int | None = None) -> Source:
    """Returns the images of a folder, of the first `limit` files; `load_dataset` has the splits.

    Raises:
        DataError: a subfolder cannot be read, or the split has no image.
    """
    paths, notes = find_files(folder, split)
    paths = paths[:limit]
    unreadable: dict[bytes, str] = {}

    def read(path: bytes) -> np.ndarray:
        try:
            return read_pixels(os.fsdecode(path))
        except ImageFileError as error:
            unreadable[path] = one_line(error)
            return np.zeros((1, 1, 3), np.uint8)

    def decode(path: tf.Tensor) -> tuple[tf.Tensor, np.int64]:
        image = tf.numpy_function(read, [path], tf.uint8, stateful=False)
        return tf.ensure_shape(image, [None, None, None]), _NO_LABEL

    encoded = tf.data.Dataset.from_tensor_slices([os.fsencode(path) for path in paths])
    return Source(
        encoded.map(decode, num_parallel_calls=tf.data.AUTOTUNE),
        notes,
        files={name_in(folder, p): p.stat().st_size if p.exists() else 0 for p in paths},
        unreadable=unreadable,
    )


def read_pixels(path: str | Path) -> np.ndarray:
    """Returns the pixels of an image file, uint8 (height, width, 1 or 3); see `read_image_file`."""
    pixels = read_image_file(path).pixels
    if pixels.dtype == np.uint16:
        pixels = (pixels.astype(np.uint32) + 128) // 257
    return pixels.astype(np.uint8)


def find_files(folder: Path, split: str | None = None) -> tuple[list[Path], tuple[str, ...]]:
    """Returns the image files of a split in sorted order, and what to tell the user about it.

    Args:
        folder: an existing folder.
        split: as in `load_dataset`; `None` is all files, or the test split of a folder that has
            folders for both splits.

    Raises:
        DataError: a subfolder cannot be read, the split is unknown, or it has no image.
    """
    if split not in (None, *_SPLIT_FOLDERS):
        raise DataError(f"Unknown split {split!r}: {nearest(split, _SPLIT_FOLDERS)}")
    subfolders = [p for p in sorted(folder.iterdir()) if p.is_dir() and p.name[0] != "."]
    places = {
        name: next((p for n in names for p in subfolders if p.name.lower() == n), None)
        for name, names in _SPLIT_FOLDERS.items()
    }
    missing = [name for name, place in places.items() if place is None]
    root = folder if missing else places[split or "test"]
    found = find_images(root)
    if found.problems:
        place, reason = found.problems[0]
        raise DataError(f"{place} cannot be searched for images: {reason}.")
    chosen = found.images
    if missing and split is None:
        note = f"all {len(chosen):,} images"
    elif missing:
        chosen = [path for path in chosen if _is_test(folder, path) == (split == "test")]
        note = (
            f"there is no folder {' and no folder '.join(missing)}, so one file in ten, chosen by "
            f"a hash of its name, is a test image: {len(chosen):,} of {len(found.images):,} files "
            f"are in the {split} split"
        )
    else:
        unused = [path.name for path in subfolders if path not in places.values()]
        note = f"the {split or 'test'} split is the folder {root.name}"
        note += f"; {' and '.join(unused)} not used" if unused else ""
    if not chosen:
        raise DataError(
            f"No image in {folder} is in the {split or 'test'} split: {note}. Images are files of "
            f"{', '.join(SUFFIXES)}, at any depth."
        )
    left_out = [f"Left out, not images: {in_numbers(found.others)}."] if found.others else []
    return chosen, (f"{folder}: {note}.", *left_out)


def name_in(folder: Path, path: Path) -> str:
    """Returns a file's name in a folder, the same on every system."""
    name = path.relative_to(folder).as_posix()
    printable = name.encode("utf-8", "backslashreplace").decode()  # also if it is not UTF-8
    return unicodedata.normalize("NFC", printable)  # macOS stores decomposed accents


def _is_test(folder: Path, path: Path) -> bool:
    digest = hashlib.sha256(name_in(folder, path).encode()).digest()
    return int.from_bytes(digest[:8], "big") % _TEST_EVERY == 0


# TensorFlow Datasets --------------------------------------------------------------------------


def open_tfds(name: str, split: str) -> Source:
    """Returns the images of a data set of TensorFlow Datasets (TFDS), downloaded if necessary.

    Raises:
        DataError: TFDS cannot be imported, the data set or the split does not exist or cannot be
            downloaded, or its images are not 8-bit images.
    """
    try:  # slow to import, and dependent on more packages than the rest
        import tensorflow_datasets as tfds
    except Exception as error:  # protobuf's VersionError is not an ImportError
        # Newer versions of tensorflow-metadata need a newer protobuf than TensorFlow 2.19 allows.
        raise DataError(
            f"TensorFlow Datasets cannot be imported ({one_line(error)[:200]}). Run pip install "
            '"tensorflow-datasets>=4.9.6" "tensorflow-metadata<1.18", or use --dataset photographs.'
        ) from error
    if not sys.stderr.isatty():  # in a notebook or a log a progress bar is only noise
        tfds.disable_progress_bar()
    try:
        _check_network(tfds, name)
        # All splits: which ones exist is known only once the data set is prepared.
        stored, info = tfds.load(name, shuffle_files=False, with_info=True)
    except Exception as error:  # TFDS passes on whatever its downloader raised
        raise DataError(
            f"{name} is not on this machine and could not be downloaded "
            f"({type(error).__name__}: {one_line(error)[:200]}). Set TFDS_DATA_DIR to a folder "
            "that contains it, connect to a network, or use --dataset photographs."
        ) from error
    wanted = ("test", "validation") if split == "test" else (split,)
    chosen = next((candidate for candidate in wanted if candidate in stored), None)
    if chosen is None:
        raise DataError(
            f"tfds:{name} has no split named {' or '.join(wanted)}; it has {', '.join(stored)}."
        )
    features = dict(info.features.items())
    image, label = features.get("image"), features.get("label")
    is_image = isinstance(image, tfds.features.Image) and image.shape[-1] in (1, 3)
    if not is_image or tf.as_dtype(image.np_dtype) != tf.uint8:
        raise DataError(
            f"tfds:{name} has no uint8 images of 1 or 3 channels in a feature named image; its "
            f"features are {one_line(features)}."
        )
    labeled = isinstance(label, tfds.features.ClassLabel)
    return Source(
        stored[chosen].map(lambda e: (e["image"], e["label"] if labeled else _NO_LABEL)),
        (f"{name}: the {split} split is the split {chosen} of TensorFlow Datasets.",),
        tuple(label.names) if labeled else (),
    )


def _check_network(tfds: ModuleType, name: str) -> None:
    """Raises an `OSError` if a download is needed and would fail; TFDS would retry for minutes."""
    builder = tfds.builder(name)
    # An interrupted download leaves a folder without this file.
    stored = (Path(builder.data_dir) / "dataset_info.json").exists()
    # What was downloaded before, or by hand, may be all that is needed.
    downloads = Path(builder.data_dir_root)
    downloaded = builder.MANUAL_DOWNLOAD_INSTRUCTIONS or any(downloads.glob("downloads/**/*.INFO"))
    if stored or downloaded or urllib.request.getproxies():
        return
    home = urllib.parse.urlsplit(builder.info.homepage).hostname
    with contextlib.suppress(OSError):
        return socket.create_connection((_HOST, 443), timeout=_SECONDS).close()
    socket.create_connection((home or _HOST, 443), timeout=_SECONDS).close()
