"""Where images come from: scikit-image's photographs, a folder of files, TensorFlow Datasets."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import hashlib
import os
import socket
import sys
import unicodedata
import urllib.parse
import urllib.request
from pathlib import Path
from types import ModuleType

import numpy as np
import tensorflow as tf

from ..errors import DataError, ImageFileError, one_line
from ..image_files import SUFFIXES, find_images, in_numbers, read_image_file

__all__ = ["SPLITS", "ImageFiles", "list_images", "load_tfds", "photographs"]

SPLITS = ("train", "test")
_TEST_FOLDERS = ("test", "val", "valid", "validation")  # in any case, the first that exists
_HOST = ("storage.googleapis.com", 443)  # where TFDS looks for every data set first
_SECONDS = 5
_TEST_EVERY = 10  # one file in ten of a folder without such folders is a test image


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


@dataclasses.dataclass(frozen=True)
class ImageFiles:
    """The image files of a split.

    Attributes:
        paths: in sorted order.
        notes: what to tell the user: what the split is, and what was left out.
    """

    paths: tuple[Path, ...]
    notes: tuple[str, ...]

    def read(self) -> tf.data.Dataset:
        """Returns the images, uint8 RGB (height, width, 3), each of its own size.

        An image that cannot be read is 1x1 and black, and `check` raises after the pass.
        """

        def read(path: bytes) -> np.ndarray:
            try:
                return _as_rgb(read_image_file(os.fsdecode(path)).pixels)
            except ImageFileError as error:
                self._unreadable[path] = one_line(error)
                return np.zeros((1, 1, 3), np.uint8)

        def decode(path: tf.Tensor) -> tf.Tensor:
            image = tf.numpy_function(read, [path], tf.uint8, stateful=False)
            return tf.ensure_shape(image, [None, None, 3])

        paths = tf.data.Dataset.from_tensor_slices([os.fsencode(path) for path in self.paths])
        return paths.map(decode, num_parallel_calls=tf.data.AUTOTUNE)

    @functools.cached_property
    def _unreadable(self) -> dict[bytes, str]:
        return {}

    def check(self) -> None:
        """Raises a `DataError` that names the files that could not be read."""
        reasons = [reason for _, reason in sorted(self._unreadable.items())]
        if reasons:
            more = f" And {len(reasons) - 3:,} more." if len(reasons) > 3 else ""
            which = "this file" if len(reasons) == 1 else "these files"
            raise DataError(f"{' '.join(reasons[:3])}{more} Remove or replace {which}.")

    def fingerprint(self, top: Path) -> str:
        """Returns a hash of the files' names and sizes."""
        lines = [f"{_name_in(top, path)} {path.stat().st_size}" for path in self.paths]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def list_images(folder: Path, split: str) -> ImageFiles:
    """Returns the image files of a split; `load_dataset` explains the splits.

    Raises:
        DataError: a subfolder cannot be read, or the split has no image.
    """
    subfolders: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            other = subfolders.setdefault(path.name.lower(), path)
            if other != path and path.name.lower() in ("train", *_TEST_FOLDERS):
                raise DataError(f"{folder} has both {other.name} and {path.name}: rename one.")
    test = next((name for name in _TEST_FOLDERS if name in subfolders), None)
    has_splits = test is not None and "train" in subfolders
    root = subfolders["train" if split == "train" else test] if has_splits else folder
    found = find_images(root)
    if found.problems:
        place, reason = found.problems[0]
        raise DataError(f"{place} cannot be searched for images: {reason}.")
    if not found.images:
        raise DataError(f"No image in {root}: looked for {', '.join(SUFFIXES)} at any depth.")
    if has_splits:
        chosen, note = found.images, f"the {split} split is the folder {root.name}"
        unused = [path.name for name, path in subfolders.items() if name not in ("train", test)]
        note += f"; {' and '.join(unused)} not used" if unused else ""
    else:
        chosen = [path for path in found.images if _is_test(folder, path) == (split == "test")]
        note = (
            "there are no folders train and test (or val); one file in ten, chosen by a hash of "
            f"its name, is a test image: {len(chosen):,} of {len(found.images):,} files are in the "
            f"{split} split"
        )
    if not chosen:
        raise DataError(
            f"None of the {len(found.images)} images in {folder} falls into the {split} split, "
            "which a hash of each name decides: add images, or put them into folders train and "
            "test."
        )
    notes = [f"{folder}: {note}."]
    if found.others:
        notes.append(f"Left out, not images: {in_numbers(found.others)}.")
    return ImageFiles(tuple(chosen), tuple(notes))


def _name_in(folder: Path, path: Path) -> str:
    """Returns a file's name in a folder, the same on every system."""
    name = path.relative_to(folder).as_posix()
    printable = name.encode("utf-8", "backslashreplace").decode()  # also if it is not UTF-8
    return unicodedata.normalize("NFC", printable)  # macOS stores decomposed accents


def _is_test(folder: Path, path: Path) -> bool:
    digest = hashlib.sha256(_name_in(folder, path).encode()).digest()
    return int.from_bytes(digest[:8], "big") % _TEST_EVERY == 0


def _as_rgb(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


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
        _check_network(tfds, name)
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
    try:
        socket.create_connection(_HOST, timeout=_SECONDS).close()
    except OSError:
        if not home:
            raise
        socket.create_connection((home, 443), timeout=_SECONDS).close()


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
