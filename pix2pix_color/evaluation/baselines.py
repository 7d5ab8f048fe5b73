"""Baselines: chroma that needs no model, and the reference images that determine it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from .. import color, metrics
from ..data import ImageDataset

__all__ = ["Reference", "baseline_chroma", "measure_reference", "with_other_images"]


@dataclasses.dataclass(frozen=True)
class Reference:
    """What is known about colors before an image is seen.

    Attributes:
        dataset, split, count: the images on which it was measured.
        mean_chroma: float32 (2,), the mean (a, b) / 128 of all pixels.
        bin_weights: float32 (484,), the weight of each ab bin (`metrics.class_rebalancing`).
    """

    dataset: str
    split: str
    count: int
    mean_chroma: np.ndarray
    bin_weights: np.ndarray

    def described(self) -> dict[str, Any]:
        """Returns on which images it was measured, for JSON."""
        return {"dataset": self.dataset, "split": self.split, "count": self.count}


@tf.function(reduce_retracing=True, autograph=False)
def _chroma_sums(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    lab = color.rgb_to_lab(images)
    total = tf.reduce_sum(tf.cast(lab[..., 1:], tf.float64), axis=[0, 1, 2])
    return total, tf.reduce_sum(metrics.chroma_histogram(lab), axis=0)


def measure_reference(dataset: ImageDataset, batch_size: int = 256) -> Reference:
    """Returns the mean chroma of a data set and how rare its colors are."""
    total, histogram, pixels = np.zeros(2), 0.0, 0
    for images in dataset.images.batch(batch_size).prefetch(2):
        sums, counts = _chroma_sums(images)
        total += sums.numpy()
        histogram += counts.numpy().astype(np.float64)
        pixels += int(np.prod(images.shape[:3]))
    return Reference(
        dataset.name,
        dataset.split,
        dataset.count,
        (total / pixels / color.CHROMA_SCALE).astype(np.float32),
        np.asarray(metrics.class_rebalancing(histogram), np.float32),
    )


def with_other_images(dataset: ImageDataset) -> tf.data.Dataset:
    """Returns pairs of an image and the one half the data set away, in order."""
    half = dataset.count // 2
    others = dataset.images.skip(half).concatenate(dataset.images.take(half))
    return tf.data.Dataset.zip(dataset.images, others)


def baseline_chroma(
    images: tf.Tensor, others: tf.Tensor, mean_chroma: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Returns the chroma of every baseline.

    Args:
        images, others: uint8 RGB (batch, height, width, 3); see `with_other_images`.
        mean_chroma: (2,), (a, b) / 128.

    Returns:
        the name of each baseline to (a, b) / 128, (batch, height, width, 2).
    """
    _, chroma = color.split(images)
    own = tf.reduce_mean(chroma, axis=[1, 2], keepdims=True)
    return {
        "no_color": tf.zeros_like(chroma),
        "mean_chroma": tf.zeros_like(chroma) + mean_chroma,
        "own_mean_chroma": tf.zeros_like(chroma) + own,
        "other_chroma": color.split(others)[1],
    }
