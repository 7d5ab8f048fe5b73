"""A classifier that tells a generator what it may be looking at."""

from __future__ import annotations

import keras

from .layers import LightnessToGray, copy_at_precision

__all__ = ["guide_features"]


def guide_features(
    lightness: keras.KerasTensor, name_or_path: str, precision: str
) -> keras.KerasTensor:
    """Returns what a trained classifier makes of a gray image, by layers that do not learn.

    Global features, as in Iizuka et al. 2016 ("Let there be color!", section 3.2), whose own
    learn with the colors; these were learned from labels before.

    Args:
        lightness: (batch, rows, columns, 1), L in [0, 100], of any size.
        name_or_path: as of `load_classifier`.
        precision: Keras dtype policy; what handles pixels stays float32.

    Returns:
        (batch, features).

    Raises:
        ClassifierError: there is no such classifier.
    """
    from ..classifier import load_classifier

    classifier = load_classifier(name_or_path)
    network, size = classifier.network(), classifier.image_size
    x = LightnessToGray(size, dtype="float32", name="guide_gray")(lightness)
    for layer in network.layers[1:]:
        frozen = copy_at_precision(layer, precision, name=f"guide_{layer.name}", trainable=False)
        x = frozen(x)
        frozen.set_weights(layer.get_weights())
        if layer.name == "features":
            break
    return x
