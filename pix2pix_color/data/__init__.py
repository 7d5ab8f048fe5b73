"""From images on disk to batches of (lightness, chroma), all in the tf.data graph.

`load_dataset` reads and filters; `ImageDataset` serves batches. Nothing falls back silently:
a data set that is not there is an error that says how to get it.
"""

from .dataset import ImageDataset
from .embedded import photographs
from .loading import is_gray, load_dataset

__all__ = [
    "ImageDataset",
    "is_gray",
    "load_dataset",
    "photographs",
]
