"""Scores models and baselines in one pass over the images."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Mapping
from typing import Literal

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from .. import color, metrics
from ..classifier import Classifier, load_classifier
from ..data import ImageDataset
from ..errors import EvaluationError
from .images import digest
from .protocol import BASELINES, REAL, SCORES, Pair
from .results import Evaluation
from .statistics import chroma_distances, feature_distances, summarize

__all__ = ["ab_histogram", "choose_classifier", "evaluate", "with_batch_statistics"]

_BATCH = 256
_BLOCK_PIXELS = 2**18  # scored at a time: 256 images of CIFAR-10
_COMPILED_FROM = 16  # blocks; compiling takes as long as scoring a dozen
_TRACED = {"autograph": False, "reduce_retracing": True}


def evaluate(
    generator: keras.Model | Mapping[str, keras.Model],
    dataset: ImageDataset,
    *,
    baselines: bool = True,
    reference: ImageDataset | None = None,
    classifier: Classifier | Literal["auto"] | None = "auto",
    batch_size: int | None = None,
    progress: bool = True,
) -> Evaluation:
    """Scores a generator on every image of a data set, beside baselines that need no model.

    Args:
        generator: from lightness (batch, size, size, 1) to chroma (batch, size, size, 2); or
            several by their names. A single one is named "model".
        dataset: the images, of the generator's size.
        baselines: score `protocol.BASELINES` too.
        reference: the images that determine the mean chroma and the class rebalancing; the
            default is the train split of the same data, or these images if they have none.
        classifier: for semantic accuracy and FCD, which are left out if it is `None` or does not
            fit the images; `"auto"` is the shipped evaluation classifier.
        batch_size: number of images that a generator sees at a time, which matters only if it
            normalizes with the statistics of its batch; the default depends on the image size.
        progress: show a progress bar.

    Returns:
        The scores of every image, and of all images together with intervals.

    Raises:
        EvaluationError: (a ValueError) images smaller than 7x7, a generator for another image
            size, a reserved name, or predictions that are not finite.
    """
    models = dict(generator) if isinstance(generator, Mapping) else {"model": generator}
    size = dataset.images.element_spec.shape[0]
    _check(models, dataset, size)
    classifier = load_classifier() if classifier == "auto" else classifier
    classifier, left_out = choose_classifier(classifier, dataset, size)
    names = list(BASELINES) if baselines else []
    if baselines and dataset.count == 1:
        names.remove("other_chroma")
        left_out["other_chroma"] = "there is only one image"
    if reference is None:
        is_own = dataset.split == "train" or dataset.load_split is None
        reference = dataset if is_own else dataset.load_split("train")
    at_once = max(1, _BLOCK_PIXELS // size**2)
    batch_size = batch_size or min(_BATCH, at_once)
    scorer = _Scorer(models, names, reference, classifier, batch_size, dataset.count)
    half = dataset.count // 2
    others = dataset.images.skip(half).concatenate(dataset.images.take(half))
    # Blocks of whole batches, so that every generator sees batches of exactly this size.
    block = batch_size * max(1, at_once // batch_size)
    pairs = tf.data.Dataset.zip(dataset.images, others).batch(block).prefetch(2)
    with tqdm(total=dataset.count, desc="evaluate", unit="image", disable=not progress) as bar:
        for images, other_images in pairs:
            scorer.add(images, other_images)
            bar.update(len(images))
    return scorer.evaluation(dataset, reference, left_out)


def _check(models: dict[str, keras.Model], dataset: ImageDataset, size: int) -> None:
    where = f"those of {dataset.name} ({dataset.split}) are {size}x{size}"
    if size < 7:
        raise EvaluationError(f"SSIM needs images of at least 7x7 pixels, but {where}.")
    for name, model in models.items():
        if name in (*BASELINES, REAL):
            raise EvaluationError(f"{name!r} is reserved: choose another name for the model.")
        side = model.input_shape[1]
        if side not in (None, size):
            raise EvaluationError(f"{name!r} colorizes {side}x{side} images, but {where}.")


def choose_classifier(
    classifier: Classifier | None, dataset: ImageDataset, size: int
) -> tuple[Classifier | None, dict[str, str]]:
    """Returns the classifier if a score of these images needs it, and why scores are left out."""
    if classifier is None or classifier.image_size != size:
        why = "no classifier was requested"
        if classifier is not None:
            side = classifier.image_size
            why = f"the classifier takes {side}x{side} images, these are {size}x{size}"
        return None, {"semantic_accuracy": why, "fcd": why}
    left_out = {}
    if dataset.labels is None:
        left_out["semantic_accuracy"] = "the images have no labels"
    elif dataset.class_names != classifier.class_names:
        left_out["semantic_accuracy"] = "the classifier was trained on other classes"
    if dataset.count < 2 * classifier.feature_count:
        left_out["fcd"] = (
            f"{dataset.count} images are fewer than twice the classifier's "
            f"{classifier.feature_count} features"
        )
    return (None if len(left_out) == 2 else classifier), left_out


# Baselines ------------------------------------------------------------------------------------


@tf.function(**_TRACED)
def _chroma_sums(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    lab = color.rgb_to_lab(images)
    total = tf.reduce_sum(tf.cast(lab[..., 1:], tf.float64), axis=[0, 1, 2])
    return total, tf.reduce_sum(metrics.chroma_histogram(lab), axis=0)


def _measure(reference: ImageDataset) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean (a, b) / 128 of all pixels, (2,), and the weight of each ab bin, (484,)."""
    total, histogram, pixels = np.zeros(2), 0.0, 0
    for images in reference.images.batch(_BATCH).prefetch(2):
        sums, counts = _chroma_sums(images)
        total += sums.numpy()
        histogram += counts.numpy().astype(np.float64)
        pixels += int(np.prod(images.shape[:3]))
    mean = (total / pixels / color.CHROMA_SCALE).astype(np.float32)
    return mean, metrics.class_rebalancing(histogram).astype(np.float32)


def _baseline_chroma(
    images: tf.Tensor, others: tf.Tensor, mean_chroma: np.ndarray
) -> dict[str, tf.Tensor]:
    """Returns the chroma of every baseline, (a, b) / 128, (batch, height, width, 2)."""
    _, chroma = color.split(images)
    own = tf.reduce_mean(chroma, axis=[1, 2], keepdims=True)
    return {
        "no_color": tf.zeros_like(chroma),
        "mean_chroma": tf.zeros_like(chroma) + mean_chroma,
        "own_mean_chroma": tf.zeros_like(chroma) + own,
        "other_chroma": color.split(others)[1],
    }


# Scores ---------------------------------------------------------------------------------------


def ab_histogram(lab: tf.Tensor) -> tf.Tensor:
    """Returns the ab histograms, with gray in the middle of a bin.

    At the corner of four bins, rounding would pick one of them for each pixel without color.
    """
    half = metrics.CHROMA_BIN / 2
    return metrics.chroma_histogram(lab + tf.constant([0.0, half, half]))


# One trace for batches and images of all sizes: tracing takes longer than some evaluations.
_IMAGES = tf.TensorSpec([None, None, None, 3], tf.uint8)
_LAB = tf.TensorSpec([None, None, None, 3], tf.float32)
_CHROMA = tf.TensorSpec([None, None, None, 2], tf.float32)
_PER_PIXEL = tf.TensorSpec([None, None, None], tf.float32)
_PER_BIN = tf.TensorSpec([484], tf.float32)  # bins of metrics.chroma_histogram


@tf.function(input_signature=[_IMAGES, _PER_BIN], autograph=False)
def _score_real(
    images: tf.Tensor, bin_weights: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor], tf.Tensor]:
    """Returns Lab, pixel weights, scores and ab histograms of uint8 images."""
    lab = color.rgb_to_lab(images)
    weights = metrics.pixel_weights(lab, bin_weights)
    scores = {
        "blotches": metrics.blotches(lab, lab),
        "colorfulness": metrics.colorfulness(color.to_float(images)),
        "rebalancing_weight": tf.reduce_sum(weights, axis=[1, 2]),
    }
    return lab, weights, scores, ab_histogram(lab)


def _score_fake(
    images: tf.Tensor, lab: tf.Tensor, weights: tf.Tensor, chroma: tf.Tensor
) -> tuple[tf.Tensor, dict[str, tf.Tensor], tf.Tensor]:
    """Returns colorized uint8 images, their scores and ab histograms.

    The image is scored as delivered: clipped to sRGB.
    """
    real, fake = color.to_float(images), color.merge(lab[..., :1], chroma)
    delivered, fake_lab = color.to_uint8(fake), color.rgb_to_lab(fake)
    pair = Pair((real, fake), (lab, fake_lab), (images, delivered), weights)
    scores = {name: score.of(pair) for name, score in SCORES.items() if score.of is not None}
    return delivered, scores, ab_histogram(fake_lab)


# Compiled, it takes a quarter of the time, but it is compiled again for every size of block.
_FAKE = [_IMAGES, _LAB, _PER_PIXEL, _CHROMA]
_SCORE_FAKE = {
    compiled: tf.function(_score_fake, _FAKE, autograph=False, jit_compile=compiled)
    for compiled in (False, True)
}


class _Scorer:
    """Collects the scores of every predictor, a block of images at a time."""

    def __init__(
        self,
        models: dict[str, keras.Model],
        baselines: list[str],
        reference: ImageDataset,
        classifier: Classifier | None,
        batch_size: int,
        count: int,
    ) -> None:
        self.baselines, self.batch_size, self.count = baselines, batch_size, count
        self.mean_chroma, self.bin_weights = _measure(reference)
        self.models = {
            name: tf.function(functools.partial(model, training=False), **_TRACED)
            for name, model in models.items()
        }
        self.classify = classifier and tf.function(classifier, **_TRACED)
        self.digests: list[str] = []
        # Of each predictor the scores of single images, and what those of the set are made of.
        self.columns: dict[str, dict[str, list[np.ndarray]]] = {
            name: defaultdict(list) for name in (*models, *baselines, REAL)
        }

    def add(self, images: tf.Tensor, others: tf.Tensor) -> None:
        """Scores a block of images; `others` are those whose chroma a baseline borrows."""
        self.digests += [digest(image)[:16] for image in images.numpy()]
        lightness, _ = color.split(images)
        chroma = {name: self._predict(name, lightness) for name in self.models}
        if self.baselines:
            borrowed = _baseline_chroma(images, others, self.mean_chroma)
            chroma |= {name: borrowed[name] for name in self.baselines}
        # Scoring takes more memory than predicting: fewer images at a time if they are large.
        step = max(1, _BLOCK_PIXELS // int(np.prod(images.shape[1:3])))
        for start in range(0, len(images), step):
            part = images[start : start + step]
            compiled = self.count >= _COMPILED_FROM * step and len(part) == step
            lab, weights, scores, histograms = _score_real(part, self.bin_weights)
            self._keep(REAL, part, scores, histograms)
            for name, values in chroma.items():
                chosen = values[start : start + step]
                self._keep(name, *_SCORE_FAKE[compiled](part, lab, weights, chosen))

    def _predict(self, name: str, lightness: tf.Tensor) -> tf.Tensor:
        parts = [
            self.models[name](lightness[start : start + self.batch_size])
            for start in range(0, len(lightness), self.batch_size)
        ]
        chroma = tf.cast(tf.concat(parts, axis=0), tf.float32)
        if not np.isfinite(chroma.numpy()).all():
            raise EvaluationError(f"The generator {name!r} predicts values that are not finite.")
        return chroma

    def _keep(
        self, name: str, images: tf.Tensor, scores: dict[str, tf.Tensor], histograms: tf.Tensor
    ) -> None:
        columns = self.columns[name]
        for score, values in scores.items():
            columns[score].append(values.numpy().astype(np.float64))
        narrow = np.min_scalar_type(int(np.prod(images.shape[1:3])))  # the most a bin can hold
        columns["histogram"].append(histograms.numpy().astype(narrow))
        if self.classify is not None:
            logits, features = self.classify(images)
            columns["class"].append(np.argmax(logits.numpy(), axis=-1))
            columns["features"].append(features.numpy())

    def evaluation(
        self, dataset: ImageDataset, reference: ImageDataset, left_out: dict[str, str]
    ) -> Evaluation:
        """Returns what was collected, with the scores of the whole set."""
        per_image = {
            name: {column: np.concatenate(blocks) for column, blocks in columns.items()}
            for name, columns in self.columns.items()
        }

        def taken(column: str) -> dict[str, np.ndarray]:
            return {name: series.pop(column) for name, series in per_image.items()}

        histograms = taken("histogram")
        if self.classify is not None:
            classes, features = taken("class"), taken("features")
            if "semantic_accuracy" not in left_out:
                for name, series in per_image.items():
                    series["recognized"] = (classes[name] == dataset.labels).astype(np.float64)
        values = summarize(per_image)
        for name, value in chroma_distances(histograms).items():
            values[name]["chroma_distance"] = value
        if self.classify is not None and "fcd" not in left_out:
            for name, value in feature_distances(features).items():
                values[name]["fcd"] = value
        measured = {"dataset": reference.name, "split": reference.split, "count": reference.count}
        images, labels = tuple(self.digests), dataset.labels
        return Evaluation(
            dataset.name, dataset.split, images, labels, per_image, values, left_out, measured
        )


# Batch statistics -----------------------------------------------------------------------------


class _BatchStatisticsNormalization(keras.layers.BatchNormalization):
    """Always normalizes with the current batch."""

    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, training=True, mask=mask)


def with_batch_statistics(generator: keras.Model) -> keras.Model:
    """Returns a copy whose batch normalization uses the statistics of the current batch.

    Isola et al. 2017 (section 3.4) test this way, with batches of one. The prediction of such a
    model for an image depends on the other images in the batch. The shipped models use moving
    statistics, so theirs does not; this copy only serves to score both, at some `batch_size`.
    Dropout stays off in the copy, and the frozen layers of a guide stay as they are.
    """

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind, config = layer.__class__, layer.get_config()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
            # A momentum of 1 leaves the moving statistics as they are.
            kind, config = _BatchStatisticsNormalization, {**config, "momentum": 1.0}
        return kind.from_config(config)

    copy = keras.models.clone_model(generator, clone_function=clone)
    copy.set_weights(generator.get_weights())
    return copy
