"""What an evaluation needs before the first image: input that fits, a reference, a classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from ..data import ImageDataset
from ..errors import EvaluationError
from .protocol import BASELINES, REAL

if TYPE_CHECKING:
    from ..classifier import Classifier

__all__ = ["check_input", "choose_classifier", "default_reference"]

_SMALLEST = 7  # the window of SSIM


def check_input(
    models: dict[str, keras.Model], dataset: ImageDataset, baselines: bool, batch_size: int
) -> int:
    """Refuses what cannot be scored and returns the image size."""
    where, element = f"{dataset.name} ({dataset.split})", dataset.images.element_spec
    if not models and not baselines:
        raise EvaluationError("There is nothing to score: neither a model nor the baselines.")
    for name in {*BASELINES, REAL} & set(models):
        raise EvaluationError(f"{name!r} is the name of a baseline: name the model otherwise.")
    if batch_size < 1:
        raise EvaluationError(f"batch_size must be at least 1, not {batch_size}.")
    if dataset.count < 1:
        raise EvaluationError(f"{where} has no image to score.")
    if dataset.labels is not None and len(dataset.labels) != dataset.count:
        raise EvaluationError(
            f"{where} has {len(dataset.labels)} labels for {dataset.count} images."
        )
    size = element.shape[0] if element.shape.rank == 3 else None
    if element.dtype != tf.uint8 or size is None or element.shape != (size, size, 3):
        raise EvaluationError(
            f"{where} must hold uint8 RGB images of shape (size, size, 3), 0 to 255, not "
            f"{element.dtype.name} of shape {element.shape}."
        )
    if size < _SMALLEST:
        raise EvaluationError(
            f"SSIM needs images of at least 7x7 pixels, {where} has {size}x{size}."
        )
    for name, model in models.items():
        expected, given = tuple(model.input_shape[1:]), tuple(model.output_shape[1:])
        if expected[-1] != 1 or expected[0] not in (None, size):
            raise EvaluationError(
                f"The generator {name!r} takes images of shape {expected}, the data set {where} "
                f"has ({size}, {size}, 1)."
            )
        if given[-1] != 2 or given[0] not in (None, size):
            raise EvaluationError(
                f"The generator {name!r} predicts {given}, not chroma (a, b) of shape "
                f"({size}, {size}, 2): it was made for another color space or size."
            )
    return size


def default_reference(dataset: ImageDataset) -> ImageDataset:
    """Returns the train split of the same data.

    A data set made by hand has no other split: it is its own reference, as the summary says.
    """
    if dataset.split == "train" or dataset.load_split is None:
        return dataset
    return dataset.other_split("train")


def choose_classifier(
    classifier: Classifier | str | None, dataset: ImageDataset, size: int
) -> tuple[Classifier | None, dict[str, str]]:
    """Returns the classifier and why semantic accuracy or fcd is left out."""
    from ..classifier import load_classifier
    from ..errors import ClassifierError

    needed, asked = ("semantic_accuracy", "fcd"), not isinstance(classifier, str | None)
    if classifier is None:
        return None, dict.fromkeys(needed, "no classifier was asked for")
    try:
        judge = (
            classifier
            if asked
            else load_classifier("classifier" if classifier == "auto" else classifier)
        )
    except ClassifierError as error:
        if classifier != "auto":
            raise
        return None, dict.fromkeys(needed, str(error))
    if size != judge.image_size:
        side = judge.image_size
        reason = f"the classifier takes {side}x{side} images, these are {size}x{size}"
        if classifier != "auto":
            raise EvaluationError(f"{dataset.name} cannot be judged: {reason}.")
        return None, dict.fromkeys(needed, reason)
    left_out = {}
    if dataset.labels is None:
        left_out["semantic_accuracy"] = "the images have no labels"
    elif tuple(dataset.class_names) != tuple(judge.class_names):
        left_out["semantic_accuracy"] = "the labels mean other classes than the classifier's"
    if dataset.count < 2 * judge.feature_count:
        left_out["fcd"] = (
            f"{dataset.count} images are fewer than twice the classifier's "
            f"{judge.feature_count} features"
        )
    return (None if len(left_out) == len(needed) else judge), left_out
