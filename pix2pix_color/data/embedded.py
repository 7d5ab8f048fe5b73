"""The photographs inside scikit-image, cut small: data that need no download."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

__all__ = ["photographs"]


@functools.cache
def photographs(split: str = "train") -> np.ndarray:
    """Cuts 32x32 crops, at three scales, out of scikit-image's own color photographs.

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
