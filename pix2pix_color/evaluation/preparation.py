"""What an evaluation needs before the first image: valid input, a reference, a classifier."""

from __future__ import annotations

import keras
import tensorflow as tf

from ..classifier import Classifier, load_classifier
from ..data import ImageDataset
from ..errors import ClassifierError, EvaluationError
from .protocol import BASELINES, REAL

__all__ = ["check_input", "choose_classifier", "default_reference"]

_SMALLEST = 7  # the window of SSIM


def check_input(
    models: dict[str, keras.Model], dataset: ImageDataset, baselines: bool, batch_size: int
) -> int:
    """Returns the image size, or raises `EvaluationError` for what cannot be scored."""
    where, element = f"{dataset.name} ({dataset.split})", dataset.images.element_spec
    if not models and not baselines:
        raise EvaluationError("There is nothing to score: neither a model nor the baselines.")
    for name in {*BASELINES, REAL} & set(models):
        raise EvaluationError(f"{name!r} is reserved: choose another name for the model.")
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
            f"SSIM needs images of at least 7x7 pixels, but those of {where} are {size}x{size}."
        )
    for name, model in models.items():
        expected, given = tuple(model.input_shape[1:]), tuple(model.output_shape[1:])
        if expected[-1] != 1 or expected[0] not in (None, size):
            raise EvaluationError(
                f"The generator {name!r} takes images of shape {expected}, but those of {where} "
                f"have shape ({size}, {size}, 1)."
            )
        if given[-1] != 2 or given[0] not in (None, size):
            raise EvaluationError(
                f"The generator {name!r} predicts {given}, not chroma (a, b) of shape "
                f"({size}, {size}, 2): it was made for another color space or size."
            )
    return size


def default_reference(dataset: ImageDataset) -> ImageDataset:
    """Returns the train split of the same data.

    A data set built from arrays has no other split and is its own reference.
    """
    if dataset.split == "train" or dataset.load_split is None:
        return dataset
    return dataset.load_split("train")


def choose_classifier(
    classifier: Classifier | str | None, dataset: ImageDataset, size: int
) -> tuple[Classifier | None, dict[str, str]]:
    """Returns the classifier and why semantic accuracy or FCD is left out.

    Args:
        classifier: as in `evaluate`.
        dataset: the images to score.
        size: of the images.

    Raises:
        ClassifierError: a classifier that was asked for by name cannot be loaded.
        EvaluationError: a classifier that was asked for takes images of another size.
    """
    needed = ("semantic_accuracy", "fcd")
    automatic = isinstance(classifier, str) and classifier == "auto"
    if classifier is None:
        return None, dict.fromkeys(needed, "no classifier was requested")
    if isinstance(classifier, str):
        try:
            classifier = load_classifier("classifier" if automatic else classifier)
        except ClassifierError as error:
            if not automatic:
                raise
            return None, dict.fromkeys(needed, str(error))
    side = classifier.image_size
    if side != size:
        reason = f"the classifier takes {side}x{side} images, these are {size}x{size}"
        if not automatic:
            raise EvaluationError(f"{dataset.name} cannot be classified: {reason}.")
        return None, dict.fromkeys(needed, reason)
    left_out = {}
    if dataset.labels is None:
        left_out["semantic_accuracy"] = "the images have no labels"
    elif tuple(dataset.class_names) != tuple(classifier.class_names):
        left_out["semantic_accuracy"] = "the classifier was trained on other classes"
    if dataset.count < 2 * classifier.feature_count:
        left_out["fcd"] = (
            f"{dataset.count} images are fewer than twice the classifier's "
            f"{classifier.feature_count} features"
        )
    return (None if len(left_out) == len(needed) else classifier), left_out
