"""The reference classifier as a judge of what images look like (Johnson et al. 2016)."""

from __future__ import annotations

import keras

from ..classifier import load_classifier
from .errors import TrainingError

__all__ = ["perceptual_network"]

_LAYERS = ("stage1_conv2_relu", "stage2_conv2_relu", "stage3_conv2_relu")


def perceptual_network(image_size: int, precision: str) -> keras.Model:
    """Returns the shipped classifier up to the maps of its three stages, frozen.

    Args:
        image_size: of the images that are learned from.
        precision: Keras dtype policy; the standardization of the pixels stays float32.

    Returns:
        A model from RGB, 0 to 255, to a list of maps. To be called with `training=False`.

    Raises:
        TrainingError: the classifier takes images of another size.
        ClassifierError: it is not there.
    """
    classifier = load_classifier()
    if classifier.image_size != image_size:
        raise TrainingError(
            f"training.perceptual_weight needs images of {classifier.image_size} pixels, which "
            f"the classifier learned: data.image_size is {image_size}."
        )
    network = classifier.network()
    judge = keras.Model(network.input, [network.get_layer(name).output for name in _LAYERS])

    def at_precision(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if not isinstance(layer, keras.layers.Rescaling):
            config["dtype"] = precision
        return type(layer).from_config(config)

    frozen = keras.models.clone_model(judge, clone_function=at_precision)
    frozen.set_weights(judge.get_weights())
    frozen.trainable = False
    return frozen
