"""From images on disk to batches of (lightness, chroma), all in the tf.data graph.

`load_dataset` reads and filters; `ImageDataset` serves batches. There is no silent fallback: a
data set that cannot be found is an error that says how to get it.
"""

from .dataset import ImageDataset, is_gray
from .loading import load_dataset
from .records import RecordDataset
from .sources import find_files, photographs, read_pixels

__all__ = [
    "ImageDataset",
    "RecordDataset",
    "find_files",
    "is_gray",
    "load_dataset",
    "photographs",
    "read_pixels",
]
