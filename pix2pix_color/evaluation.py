"""Scores a generator against the truth, always beside an image without colour.

Two protocols stand side by side: the true one, and the report's own, whose names begin with
`report_` and which cannot see colour (see `metrics`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from . import color, metrics
from .data import ImageDataset
from .files import write_atomically

__all__ = ["FIGURE_3", "Evaluation", "ReportImage", "evaluate", "find_image", "sample_images"]

PROTOCOL = {
    "psnr": "true PSNR in dB: float RGB in [0, 1], peak 1, over all three channels",
    "ssim": "true SSIM: float RGB, skimage's defaults, channel_axis=-1, data_range=1",
    "report_psnr": "the report's PSNR in dB: uint8 difference squared in uint8, which wraps",
    "report_ssim": "the report's SSIM: of the gray versions of both images, uint8",
    "mean": "mean over images, with the 95 % interval of the mean (normal approximation)",
    "model": "float32, moving statistics of batch normalization, no test-time augmentation",
}
SCORES = ("psnr", "ssim", "report_psnr", "report_ssim")
_TITLES = ("true PSNR (dB)", "true SSIM", "report-protocol PSNR (dB)", "report-protocol SSIM")


@dataclasses.dataclass(frozen=True)
class ReportImage:
    """One of the four images of the report's Figure 3.

    Attributes:
        split: the CIFAR-10 split it is in; two of the four were training images.
        file_name: its name in the original archive.
        sha256: of its 3,072 RGB bytes, row-major, channels last.
        report_psnr, report_ssim: as printed in the report.
    """

    split: str
    file_name: str
    sha256: str
    report_psnr: float
    report_ssim: float


FIGURE_3 = (
    ReportImage(
        "test",
        "cargo_ship_s_000801.png",
        "d447964af50f67bdfe52e3928b9389b2d1cc9a881171084402491525fcc7c4a0",
        30.9472,
        0.9927,
    ),
    ReportImage(
        "test",
        "lippizaner_s_000258.png",
        "e1e3bda642dde1f7126a30262d64b8e133ffec09a66bbe14c7d2b126f04487d1",
        31.0698,
        0.9972,
    ),
    ReportImage(
        "train",
        "felis_domesticus_s_000548.png",
        "f31f0f328034a60d4cd41509a9483327462b450a2bb0e670ade6c16cb7febb28",
        32.6258,
        0.9997,
    ),
    ReportImage(
        "train",
        "garbage_truck_s_001056.png",
        "190c2eab1132d0b7b1a227eb4215ed8622c562245a3eaef6b190f2c0c1efdb0a",
        31.1765,
        0.9981,
    ),
)
"""The rows of the report's Figure 3, found by the hash of their pixels, never by index."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Per-image scores of a model and of no colour at all.

    Attributes:
        dataset, split: what was scored.
        per_image: predictor ("model", "no_colour") -> score -> float64 (count,), in the order
            of the data set.
    """

    dataset: str
    split: str
    per_image: dict[str, dict[str, np.ndarray]]

    @property
    def count(self) -> int:
        """The number of images."""
        return len(self.per_image["model"]["psnr"])

    def summary(self) -> dict[str, Any]:
        """Returns means and 95 % intervals with their protocol, ready for JSON."""
        scores: dict[str, dict[str, float]] = {}
        intervals: dict[str, dict[str, list[float]]] = {}
        for predictor, series in self.per_image.items():
            scores[predictor], intervals[predictor] = {}, {}
            for name, values in series.items():
                mean = float(np.mean(values))
                half = float("inf")  # of a single image nothing is known
                if len(values) > 1:
                    half = 1.96 * float(np.std(values, ddof=1)) / np.sqrt(len(values))
                scores[predictor][name] = round(mean, 4)
                intervals[predictor][name] = [round(mean - half, 4), round(mean + half, 4)]
        return {
            "dataset": self.dataset,
            "split": self.split,
            "count": self.count,
            "protocol": PROTOCOL,
            "scores": scores,
            "intervals": intervals,
        }

    def table(self) -> str:
        """Returns the means as a Markdown table, with the protocol in its head."""
        scores = self.summary()["scores"]
        head = f"| {self.dataset}, {self.split}, {self.count:,} images | " + " | ".join(_TITLES)
        lines = [head + " |", "| --- " * (len(SCORES) + 1) + "|"]
        for predictor, title in (("no_colour", "no colour at all"), ("model", "the model")):
            values = scores[predictor]
            cells = [f"{values[n]:.2f}" if "psnr" in n else f"{values[n]:.3f}" for n in SCORES]
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
        return "\n".join(lines) + "\n"

    def save(self, path: str | Path, **extra: Any) -> Path:
        """Writes the summary, and `extra` fields such as the step, to `path` (metrics.json)."""
        path = Path(path)
        path = path / "metrics.json" if path.is_dir() else path
        write_atomically(path, json.dumps({**extra, **self.summary()}, indent=2) + "\n")
        return path


@tf.function(reduce_retracing=True)
def _score(lightness: tf.Tensor, real: tf.Tensor, chroma: tf.Tensor) -> dict[str, tf.Tensor]:
    fake = color.merge(lightness, chroma)
    real_uint8, fake_uint8 = real, color.to_uint8(fake)
    return {
        "psnr": metrics.psnr(color.to_float(real), fake),
        "ssim": metrics.ssim(color.to_float(real), fake),
        "report_psnr": metrics.report_psnr(real_uint8, fake_uint8),
        "report_ssim": metrics.report_ssim(real_uint8, fake_uint8),
    }


def evaluate(
    generator: keras.Model,
    dataset: ImageDataset,
    *,
    batch_size: int = 256,
    progress: bool = True,
) -> Evaluation:
    """Scores a generator on every image of a data set, beside no colour at all.

    Args:
        generator: from lightness (batch, size, size, 1) to chroma (batch, size, size, 2).
        dataset: the images, of the generator's size.
        batch_size: images at a time; without influence on the scores.
        progress: show a progress bar.

    Returns:
        The scores of every image.

    Raises:
        ValueError: the generator takes other shapes than the data set has, or predicts
            something that is not finite.
    """
    size = dataset.images.element_spec.shape[0]
    expected = tuple(generator.input_shape[1:])
    if expected[-1] != 1 or expected[0] not in (None, size):
        raise ValueError(
            f"The generator takes images of shape {expected}, the data set {dataset.name} has "
            f"({size}, {size}, 1)."
        )
    predict = tf.function(lambda lightness: generator(lightness, training=False))
    collected: dict[str, dict[str, list]] = {
        predictor: {name: [] for name in SCORES} for predictor in ("model", "no_colour")
    }
    batches = dataset.images.batch(batch_size).prefetch(2)
    with tqdm(total=dataset.count, desc="evaluate", unit="image", disable=not progress) as bar:
        for real in batches:
            lightness, _ = color.split(real)
            chroma = predict(lightness)
            if not np.isfinite(chroma.numpy()).all():
                raise ValueError("The generator predicts values that are not finite.")
            for predictor, values in (("model", chroma), ("no_colour", tf.zeros_like(chroma))):
                for name, scores in _score(lightness, real, values).items():
                    collected[predictor][name].append(scores.numpy())
            bar.update(len(real))
    per_image = {
        predictor: {name: np.concatenate(parts) for name, parts in series.items()}
        for predictor, series in collected.items()
    }
    return Evaluation(dataset.name, dataset.split, per_image)


def _digest(image: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()


def find_image(dataset: ImageDataset, sha256: str) -> np.ndarray | None:
    """Returns the image whose RGB bytes have this SHA-256, uint8 (size, size, 3), or None."""
    for image in dataset.images.as_numpy_iterator():
        if _digest(image) == sha256:
            return image
    return None


def sample_images(dataset: ImageDataset, count: int) -> np.ndarray:
    """Returns the images with the smallest SHA-256: a fixed choice that no eye has made.

    Returns:
        uint8 (count, size, size, 3).
    """
    images = sorted(dataset.images.as_numpy_iterator(), key=_digest)[:count]
    return np.stack(images)
