"""Images found by the hash of their pixels: the report's Figure 3, and uncurated samples."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np

from ..data import ImageDataset

__all__ = ["FIGURE_3", "digest", "find_image", "images_at", "sample_images"]


@dataclasses.dataclass(frozen=True)
class ReportImage:
    """One of the four images of the report's Figure 3.

    Attributes:
        split: of CIFAR-10; two of the four images were used for training.
        file_name: in the original archive.
        sha256: of its 3,072 RGB bytes, row-major, channels last.
        report_psnr, report_ssim: as printed in the report.
        recomputed: PSNR in dB and SSIM under the report's protocol, from the pictures that the
            report prints. The picture of the first row is probably not the one that was scored.
        true: true PSNR and SSIM of the same pictures.
        no_color: true PSNR and SSIM of no color at all (L of the real image, a = b = 0).
    """

    split: str
    file_name: str
    sha256: str
    report_psnr: float
    report_ssim: float
    recomputed: tuple[float, float]
    true: tuple[float, float]
    no_color: tuple[float, float]


FIGURE_3 = (
    ReportImage(
        "test",
        "cargo_ship_s_000801.png",
        "d447964af50f67bdfe52e3928b9389b2d1cc9a881171084402491525fcc7c4a0",
        30.9472,
        0.9927,
        (30.9017, 0.9984),
        (25.201, 0.9218),
        (26.795, 0.958),
    ),
    ReportImage(
        "test",
        "lippizaner_s_000258.png",
        "e1e3bda642dde1f7126a30262d64b8e133ffec09a66bbe14c7d2b126f04487d1",
        31.0698,
        0.9972,
        (31.0698, 0.9973),
        (23.862, 0.8614),
        (19.892, 0.8825),
    ),
    ReportImage(
        "train",
        "felis_domesticus_s_000548.png",
        "f31f0f328034a60d4cd41509a9483327462b450a2bb0e670ade6c16cb7febb28",
        32.6258,
        0.9997,
        (32.6259, 0.9997),
        (29.972, 0.9748),
        (25.814, 0.9689),
    ),
    ReportImage(
        "train",
        "garbage_truck_s_001056.png",
        "190c2eab1132d0b7b1a227eb4215ed8622c562245a3eaef6b190f2c0c1efdb0a",
        31.1765,
        0.9981,
        (31.1765, 0.9982),
        (26.884, 0.9457),
        (24.411, 0.9542),
    ),
)
"""The rows of the report's Figure 3."""


def digest(image: np.ndarray) -> str:
    """Returns the SHA-256 of an image's bytes, row-major, channels last."""
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()


def find_image(dataset: ImageDataset, sha256: str) -> np.ndarray | None:
    """Returns the image whose RGB bytes have this SHA-256, uint8 (size, size, 3), or None."""
    images = dataset.images.as_numpy_iterator()
    return next((image for image in images if digest(image) == sha256), None)


def sample_images(dataset: ImageDataset, count: int) -> np.ndarray:
    """Returns the images with the smallest SHA-256, fixed and uncurated: (count, size, size, 3)."""
    return np.stack(sorted(dataset.images.as_numpy_iterator(), key=digest)[:count])


def images_at(dataset: ImageDataset, indices: Sequence[int]) -> np.ndarray:
    """Returns the images with these indices, in the given order, (count, size, size, 3)."""
    wanted = set(map(int, indices))
    images = enumerate(dataset.images.as_numpy_iterator())
    found = {number: image for number, image in images if number in wanted}
    return np.stack([found[int(number)] for number in indices])
