"""Scores models and baselines in one pass over the images."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from .. import color, metrics
from ..classifier import Classifier
from ..data import ImageDataset
from ..errors import EvaluationError
from .baselines import Reference, baseline_chroma, measure_reference, with_other_images
from .images import digest
from .preparation import check_input, choose_classifier, default_reference
from .protocol import BASELINES, REAL
from .results import Evaluation
from .totals import chroma_distances, feature_distances, summarize

__all__ = ["evaluate"]

_BLOCK_PIXELS = 2**18  # scored at a time: 256 images of CIFAR-10
_COMPILED_FROM = 16  # blocks; compiling takes as long as scoring a dozen
_DIGEST = 16  # hexadecimal digits that distinguish images


def evaluate(
    generator: keras.Model | Mapping[str, keras.Model],
    dataset: ImageDataset,
    *,
    baselines: bool = True,
    reference: ImageDataset | None = None,
    classifier: Classifier | str | None = "auto",
    batch_size: int = 256,
    progress: bool = True,
) -> Evaluation:
    """Scores a generator on every image of a data set, beside baselines that need no model.

    Args:
        generator: from lightness (batch, size, size, 1) to chroma (batch, size, size, 2); or
            several by their names. A single one is named "model".
        dataset: the images, of the generator's size.
        baselines: score `protocol.BASELINES` too.
        reference: the images that determine the mean chroma and the class rebalancing; the
            default is the train split of the same data.
        classifier: `"auto"` uses the shipped evaluation classifier if it fits the images; `None`
            leaves out the scores that need one (semantic accuracy and FCD).
        batch_size: number of images that a generator sees at a time. It affects the scores only
            of a generator that normalizes with the statistics of its batch.
        progress: show a progress bar.

    Returns:
        The scores of every image, and of all images together with intervals.

    Raises:
        EvaluationError: (a ValueError) there is no image, or a generator's input or output does
            not have the shape of the data set's images, or its output is not finite.
    """
    models = dict(generator) if isinstance(generator, Mapping) else {"model": generator}
    size = check_input(models, dataset, baselines, batch_size)
    reference = reference or default_reference(dataset)
    if reference.count < 1:
        raise EvaluationError(f"The reference {reference.name} ({reference.split}) has no image.")
    measured = measure_reference(reference)
    chosen, left_out = choose_classifier(classifier, dataset, size)
    names = list(BASELINES) if baselines else []
    if baselines and dataset.count == 1:
        names.remove("other_chroma")
        left_out["other_chroma"] = "there is only one image"
    scorer = _Scorer(models, names, measured, chosen, batch_size, dataset.count)
    # Blocks of whole batches, so that every generator sees batches of exactly this size.
    block = batch_size * max(1, _BLOCK_PIXELS // size**2 // batch_size)
    with tqdm(total=dataset.count, desc="evaluate", unit="image", disable=not progress) as bar:
        for images, others in with_other_images(dataset).batch(block).prefetch(2):
            scorer.add(images, others)
            bar.update(len(images))
    return scorer.evaluation(dataset, left_out)


def _histogram(lab: tf.Tensor) -> tf.Tensor:
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
        "colorfulness": metrics.colorfulness(color.to_float(images)),
        "rebalancing_weight": tf.reduce_sum(weights, axis=[1, 2]),
    }
    return lab, weights, scores, _histogram(lab)


@tf.function(input_signature=[_IMAGES, _LAB, _PER_PIXEL, _CHROMA], autograph=False)
def _score_fake(
    images: tf.Tensor, lab: tf.Tensor, weights: tf.Tensor, chroma: tf.Tensor
) -> tuple[tf.Tensor, dict[str, tf.Tensor], tf.Tensor]:
    """Returns colorized uint8 images, their scores and ab histograms.

    The image is scored as delivered: clipped to sRGB.
    """
    real, fake = color.to_float(images), color.merge(lab[..., :1], chroma)
    delivered, fake_lab = color.to_uint8(fake), color.rgb_to_lab(fake)
    scores = {
        "psnr": metrics.psnr(real, fake),
        "ssim": metrics.ssim(real, fake),
        "mae_rgb": metrics.mae_rgb(real, fake),
        "mae_ab": metrics.mae_ab(lab, fake_lab),
        "ciede2000": metrics.ciede2000(lab, fake_lab),
        "chroma_auc": metrics.chroma_auc(lab, fake_lab),
        "chroma_auc_rebalanced": metrics.chroma_auc(lab, fake_lab, pixel_weights=weights),
        "accuracy_2": metrics.nazeri_accuracy(lab, fake_lab, epsilon=0.02),
        "accuracy_5": metrics.nazeri_accuracy(lab, fake_lab, epsilon=0.05),
        "colorfulness": metrics.colorfulness(fake),
        "report_psnr": metrics.report_psnr(images, delivered),
        "report_ssim": metrics.report_ssim(images, delivered),
    }
    return delivered, scores, _histogram(fake_lab)


# Takes a quarter of the time, but is compiled again for every size of block.
_score_fake_compiled = tf.function(
    _score_fake.python_function,
    input_signature=[_IMAGES, _LAB, _PER_PIXEL, _CHROMA],
    autograph=False,
    jit_compile=True,
)


class _Scorer:
    """Collects the scores of every predictor, a block of images at a time."""

    def __init__(
        self,
        models: dict[str, keras.Model],
        baselines: list[str],
        reference: Reference,
        classifier: Classifier | None,
        batch_size: int,
        count: int,
    ) -> None:
        self.baselines, self.reference = baselines, reference
        self.batch_size, self.count = batch_size, count
        options = {"autograph": False, "reduce_retracing": True}
        self.predict = {
            name: tf.function(functools.partial(model, training=False), **options)
            for name, model in models.items()
        }
        self.classify = classifier and tf.function(classifier, **options)
        self.digests: list[str] = []
        self.columns: dict[str, dict[str, list[np.ndarray]]] = {
            name: defaultdict(list) for name in (*models, *baselines, REAL)
        }
        self.histograms: dict[str, list[np.ndarray]] = defaultdict(list)
        self.classes: dict[str, list[np.ndarray]] = defaultdict(list)
        self.features: dict[str, list[np.ndarray]] = defaultdict(list)

    def add(self, images: tf.Tensor, others: tf.Tensor) -> None:
        """Scores a block of images; `others` are those whose chroma a baseline borrows."""
        self.digests += [digest(image)[:_DIGEST] for image in images.numpy()]
        lightness, _ = color.split(images)
        chroma = {name: self._predict(name, lightness) for name in self.predict}
        if self.baselines:
            chroma |= baseline_chroma(images, others, self.reference.mean_chroma)
        # Scoring takes more memory than predicting: fewer images at a time if they are large.
        step = max(1, _BLOCK_PIXELS // int(np.prod(images.shape[1:3])))
        for start in range(0, len(images), step):
            part = slice(start, start + step)
            values = {name: chroma[name][part] for name in chroma if name in self.columns}
            compiled = self.count >= _COMPILED_FROM * step and start + step <= len(images)
            self._score(images[part], values, _score_fake_compiled if compiled else _score_fake)

    def _predict(self, name: str, lightness: tf.Tensor) -> tf.Tensor:
        parts = [
            self.predict[name](lightness[start : start + self.batch_size])
            for start in range(0, len(lightness), self.batch_size)
        ]
        chroma = tf.cast(tf.concat(parts, axis=0), tf.float32)
        if not np.isfinite(chroma.numpy()).all():
            raise EvaluationError(f"The generator {name!r} predicts values that are not finite.")
        return chroma

    def _score(self, images: tf.Tensor, chroma: dict[str, tf.Tensor], score: Callable) -> None:
        lab, weights, scores, histograms = _score_real(images, self.reference.bin_weights)
        self._keep(REAL, images, scores, histograms)
        for name, values in chroma.items():
            self._keep(name, *score(images, lab, weights, values))

    def _keep(
        self, name: str, images: tf.Tensor, scores: dict[str, tf.Tensor], histograms: tf.Tensor
    ) -> None:
        for score, values in scores.items():
            self.columns[name][score].append(values.numpy().astype(np.float64))
        narrow = np.min_scalar_type(int(np.prod(images.shape[1:3])))  # the most a bin can hold
        self.histograms[name].append(histograms.numpy().astype(narrow))
        if self.classify is not None:
            logits, features = self.classify(images)
            self.classes[name].append(np.argmax(logits.numpy(), axis=-1))
            self.features[name].append(features.numpy())

    def evaluation(self, dataset: ImageDataset, left_out: dict[str, str]) -> Evaluation:
        """Returns what was collected, with the scores of the whole set."""
        if len(self.digests) != dataset.count:
            raise EvaluationError(
                f"{dataset.name} ({dataset.split}) should have {dataset.count} images but has "
                f"{len(self.digests)}."
            )
        per_image = {name: _joined(series) for name, series in self.columns.items()}
        if self.classes and "semantic_accuracy" not in left_out:
            for name, classes in _joined(self.classes).items():
                per_image[name]["recognized"] = (classes == dataset.labels).astype(np.float64)
        scores, intervals = summarize(per_image)
        if not np.any(per_image[REAL]["colorfulness"]):
            left_out["colorfulness_ratio"] = "the real images have no color"
            for part in (*scores.values(), *intervals.values()):
                part.pop("colorfulness_ratio", None)
        distances = {"chroma_distance": chroma_distances(_joined(self.histograms))}
        if self.features and "fcd" not in left_out:
            distances["fcd"] = feature_distances(_joined(self.features))
        for score, found in distances.items():
            for name, (value, interval) in found.items():
                scores[name][score], intervals[name][score] = value, interval
        return Evaluation(
            dataset.name,
            dataset.split,
            tuple(self.digests),
            dataset.labels,
            per_image,
            scores,
            intervals,
            left_out,
            self.reference.described(),
        )


def _joined(parts: dict[str, list[np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate(blocks) for name, blocks in parts.items()}
