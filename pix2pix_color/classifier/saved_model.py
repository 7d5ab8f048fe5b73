"""Exports a trained classifier to a folder (SavedModel, model card, checksums) and loads it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from ..errors import ClassifierError, in_words
from ..files import replacing, shipped_folder, verify_checksums, write_atomically, write_checksums
from ..networks.packing import PackedNetwork, unpack_weights
from .network import ClassifierConfig, build_classifier
from .training import CHECKPOINTS

__all__ = ["Classifier", "build_described", "export_classifier", "load_classifier"]


def export_classifier(
    run_folder: str | Path, destination: str | Path, *, overwrite: bool = False
) -> Path:
    """Exports a trained classifier: SavedModel, model card, scores and checksums.

    Args:
        run_folder: of `train_classifier`.
        destination: the folder to create.
        overwrite: replace the destination if it exists.

    Returns:
        The destination.

    Raises:
        ClassifierError: the run is not finished, or the destination exists.
    """
    run, destination = Path(run_folder), Path(destination)
    if not (run / "metrics.json").is_file():
        raise ClassifierError(f"{run} holds no finished classifier: it has no metrics.json.")
    if destination.exists() and not overwrite:
        raise ClassifierError(f"{destination} exists: choose another name or overwrite it.")
    weights = tf.train.latest_checkpoint(str(run / CHECKPOINTS))
    if weights is None:
        raise ClassifierError(f"{run} has no checkpoint in {CHECKPOINTS}/: train it again.")
    model = build_described(_read_json(run / "config.json"))
    restored = tf.train.Checkpoint(model=model).restore(weights)
    restored.expect_partial().assert_existing_objects_matched()  # the rest is the optimizer
    with replacing(destination) as temporary:
        temporary.mkdir()
        save_classifier(model, temporary / "saved_model")
        for name in ("config.json", "history.csv", "metrics.json"):
            write_atomically(temporary / name, (run / name).read_bytes())
        write_atomically(temporary / "README.md", _card(temporary, destination.name))
        write_checksums(temporary)
    return destination


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def save_classifier(model: keras.Model, folder: Path) -> None:
    """Writes a network as a SavedModel with weights in half precision."""
    size, module = model.input_shape[1], tf.Module()
    module.network = PackedNetwork(model)

    @tf.function(input_signature=[tf.TensorSpec([None, size, size, 3], tf.uint8, name="images")])
    def serving_default(images):
        return module.network.predict(module.network.weights(), images)

    tf.saved_model.save(module, str(folder), {"serving_default": serving_default})


def build_described(description: dict[str, Any]) -> keras.Model:
    """Returns the network that a `config.json` describes, untrained."""
    fields = {field.name for field in dataclasses.fields(ClassifierConfig)}
    config = ClassifierConfig(**{k: v for k, v in description.items() if k in fields})
    classes = len(description["class_names"])
    return build_classifier(config, int(description["image_size"]), classes)


def _card(folder: Path, name: str) -> str:
    """Returns the model card of an exported folder."""
    config, metrics = _read_json(folder / "config.json"), _read_json(folder / "metrics.json")
    gray = config.get("gray", 0.0)
    return _CARD.format(
        **{**config, **metrics},
        name=name,
        purpose=_CONDITIONING if gray else _EVALUATION,
        channels=", ".join(map(str, config["filters"])),
        shown=f"{gray:.0%} of them shown in gray" if gray else "in color",
        minutes=metrics["seconds"] / 60,
        classes=", ".join(config["class_names"]),
        class_count=len(config["class_names"]),
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
  {label_smoothing:g}, seed {seed}; one run, float32, {minutes:.0f} minutes on two CPU cores.
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
        self.description = _read_json(folder / "config.json")
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
    """Loads a shipped classifier, or one that `export_classifier` made.

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
