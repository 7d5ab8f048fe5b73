"""A classifier as a measure of what images look like (Johnson et al. 2016)."""

from __future__ import annotations

import functools
from pathlib import Path

import keras

from ..classifier import Classifier, load_classifier
from ..errors import ChecksumError, ClassifierError, TrainingError
from ..files import shipped_folder
from ..networks.layers import copy_at_precision

__all__ = ["find_classifier", "load_perceptual_network"]

_REFERENCE = "classifier"  # the one that scores
_STAGES = ("stage1_conv2_relu", "stage2_conv2_relu", "stage3_conv2_relu")


def load_perceptual_network(image_size: int, precision: str, name: str) -> keras.Model:
    """Loads a classifier up to the feature maps that images are compared by, frozen.

    Args:
        image_size: of the training images.
        precision: Keras dtype policy; the standardization of the pixels stays float32.
        name: `training.perceptual_network`: a shipped classifier's name, or a folder.

    Returns:
        A model from RGB (batch, size, size, 3), 0 to 255, to the last map after ReLU of each of
        the three stages. To be called with `training=False`.

    Raises:
        TrainingError: there is no such classifier, or it takes images of another size.
    """
    classifier = find_classifier(name)
    if classifier.image_size != image_size:
        raise TrainingError(
            f"training.perceptual_weight needs images of {classifier.image_size} pixels, on which "
            f"the classifier was trained: data.image_size is {image_size}."
        )
    network = classifier.network()
    features = keras.Model(network.input, [network.get_layer(x).output for x in _STAGES])
    at_precision = functools.partial(copy_at_precision, precision=precision)
    frozen = keras.models.clone_model(features, clone_function=at_precision)
    frozen.set_weights(features.get_weights())
    frozen.trainable = False
    return frozen


def find_classifier(name: str) -> Classifier:
    """Loads the classifier that `training.perceptual_network` names.

    Args:
        name: a shipped classifier, or a folder that `train_classifier` wrote.

    Raises:
        TrainingError: it is not there, cannot be read, or is a copy of the one that scores.
    """
    try:
        classifier = load_classifier(name)
    except (ClassifierError, ChecksumError) as error:
        raise TrainingError(
            f"training.perceptual_network={name} is not a classifier. {error} Valid: classifier, "
            "gray_classifier, or a folder written by pix2pix-color train-classifier --output."
        ) from error
    if name != _REFERENCE and _sums(classifier.folder) == _sums(shipped_folder() / _REFERENCE):
        # Under another name it would score what it taught, and no model card would say so.
        raise TrainingError(
            f"training.perceptual_network={name} is the classifier that scores: call it "
            f"{_REFERENCE}."
        )
    return classifier


def _sums(folder: Path) -> str:
    path = folder / "SHA256SUMS"
    return path.read_text(encoding="utf-8") if path.is_file() else ""
