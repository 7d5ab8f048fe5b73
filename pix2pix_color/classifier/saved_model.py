"""Writes a trained classifier to a folder (SavedModel, model card, checksums) and loads it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from ..errors import ClassifierError, in_words
from ..files import shipped_folder, verify_checksums, write_checksums
from ..networks.packing import PackedNetwork, unpack_weights
from .network import ClassifierConfig, build_classifier

__all__ = ["Classifier", "build_described", "load_classifier", "write_classifier"]


def write_classifier(
    folder: Path, model: keras.Model, description: dict[str, Any], metrics: dict[str, Any]
) -> None:
    """Writes a trained network to an existing folder, in the form that ships.

    Args:
        folder: gets the SavedModel with weights in half precision, `config.json`,
            `metrics.json`, a model card and checksums.
        model: as from `build_classifier`.
        description: the fields of its `ClassifierConfig`, `image_size` and `class_names`.
        metrics: of its training, for the model card.
    """
    size = model.input_shape[1]
    network = build_described(description)  # without the layers that are for training
    network.set_weights(model.get_weights())
    module = tf.Module()
    module.network = PackedNetwork(network)

    @tf.function(input_signature=[tf.TensorSpec([None, size, size, 3], tf.uint8, name="images")])
    def serving_default(images):
        return module.network.predict(module.network.weights(), images)

    signatures = {"serving_default": serving_default}
    tf.saved_model.save(module, str(folder / "saved_model"), signatures)
    for file, content in (("config.json", description), ("metrics.json", metrics)):
        (folder / file).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(_card(folder.name, description, metrics), encoding="utf-8")
    write_checksums(folder)


def build_described(description: dict[str, Any]) -> keras.Model:
    """Returns the network that a `config.json` describes, untrained."""
    fields = {field.name for field in dataclasses.fields(ClassifierConfig)}
    config = ClassifierConfig(**{k: v for k, v in description.items() if k in fields})
    classes = len(description["class_names"])
    return build_classifier(config, int(description["image_size"]), classes)


def _card(name: str, description: dict[str, Any], metrics: dict[str, Any]) -> str:
    gray = description["gray"]
    return _CARD.format(
        **description | metrics,
        name=name,
        purpose=_CONDITIONING if gray else _EVALUATION,
        channels=", ".join(map(str, description["filters"])),
        shown=f"{gray:.0%} of them shown in gray" if gray else "in color",
        minutes=metrics["seconds"] / 60,
        classes=", ".join(description["class_names"]),
        class_count=len(description["class_names"]),
    )


_CARD = """\
# Model card: `{name}`

{purpose}

- Network: a 2x2 convolution, then six 3x3 convolutions in three stages of {channels} channels;
  {parameters:,} parameters, {filters[2]} features (the maximum of the last feature map).
- Data: `{dataset}`, {image_size}x{image_size} pixels, {train_count:,} images of the train split,
  {shown}; random flips, shifts of up to {shift} pixels, cutout of {cutout} pixels.
- Training: {epochs} epochs, batch size {batch_size}, SGD with Nesterov momentum {momentum:g}, peak
  learning rate {learning_rate:g}, weight decay {weight_decay:g}, label smoothing
  {label_smoothing:g}, seed {seed}; one run, float32, {minutes:.0f} minutes.
- **Test accuracy: {test_accuracy:.2%}** on {test_count:,} images, without test-time augmentation,
  scored once after the training; {gray_test_accuracy:.2%} on the same images in gray.
- Classes, in the order of the logits: {classes}.

`saved_model/` takes uint8 RGB images (batch, {image_size}, {image_size}, 3) and returns `logits`
(batch, {class_count}) and `features` (batch, {filters[2]}). It was made by
`pix2pix-color train-classifier`.
"""
_EVALUATION = """\
The evaluation classifier: it recognizes ten classes in small images. *Semantic accuracy* is how
often it recognizes colorized images; *FCD* is the Fréchet distance between its features of
colorized and of real images. FCD is not FID: its values are comparable only with each other, and
only for this classifier."""
_CONDITIONING = """\
It recognizes ten classes in small images, in color or in gray, to condition a generator
(`generator.guide`) or to compare images by its features (`training.perceptual_network`). It is not
used for scoring."""


class Classifier:
    """An exported classifier, as `load_classifier` returns it.

    Attributes:
        class_names: name of the class of each logit.
        image_size: height and width, in pixels, of its input.
        feature_count: number of features.
        description: its configuration, from which `build_described` builds its network.
        folder: the folder it was loaded from.
    """

    def __init__(self, folder: Path) -> None:
        self.description = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.folder = folder
        self.class_names = tuple(self.description["class_names"])
        self.image_size = int(self.description["image_size"])
        self.feature_count = int(self.description["filters"][-1])
        self._loaded = tf.saved_model.load(str(folder / "saved_model"))
        self._function = self._loaded.signatures["serving_default"]

    def __call__(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns logits (batch, classes) and features (batch, feature_count), float32.

        Args:
            images: uint8 RGB (batch, image_size, image_size, 3). Works inside a `tf.function`.

        Raises:
            ClassifierError: the dtype or the shape is wrong.
        """
        images = tf.convert_to_tensor(images)
        expected = (self.image_size, self.image_size, 3)
        if images.dtype != tf.uint8 or not images.shape[1:].is_compatible_with(expected):
            raise ClassifierError(
                f"The classifier takes uint8 images of shape {expected}, not {images.dtype.name} "
                f"images of shape {tuple(images.shape[1:])}."
            )
        outputs = self._function(images=images)
        return outputs["logits"], outputs["features"]

    def network(self) -> keras.Model:
        """Returns a Keras copy, as from `build_classifier`, which gradients can flow through."""
        network = build_described(self.description)
        unpack_weights(self._loaded.network, network)
        return network


def load_classifier(name_or_path: str | Path = "classifier") -> Classifier:
    """Loads a shipped classifier, or one that `train_classifier` wrote.

    Args:
        name_or_path: `"classifier"`, `"gray_classifier"`, or a folder.

    Raises:
        ClassifierError: it does not exist or cannot be read.
        ChecksumError: a file is missing or is not the one that was shipped.
    """
    shipped = shipped_folder() / str(name_or_path)
    folder = shipped if (shipped / "saved_model").is_dir() else Path(name_or_path)
    if not (folder / "saved_model").is_dir():
        raise ClassifierError(
            f"There is no classifier named or at {str(name_or_path)!r}: make one with "
            "pix2pix-color train-classifier."
        )
    verify_checksums(folder)
    try:
        return Classifier(folder)
    except (OSError, KeyError, ValueError, tf.errors.OpError) as error:
        raise ClassifierError(f"{folder} is not a classifier: {in_words(error)}") from error
