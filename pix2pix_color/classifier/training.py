"""Trains the classifier and writes it to a folder."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from .. import color
from ..data import ImageDataset
from ..errors import ClassifierError
from ..files import replacing
from .network import CHANNEL_MEANS, ClassifierConfig, build_classifier
from .saved_model import write_classifier

__all__ = ["augmented_batches", "cut_out", "train_classifier"]


def train_classifier(
    config: ClassifierConfig,
    destination: str | Path,
    train: ImageDataset,
    test: ImageDataset,
    *,
    overwrite: bool = False,
    verbose: int | str = "auto",
) -> dict[str, float]:
    """Trains a classifier and writes it to a folder that `load_classifier` reads.

    The folder appears when the training is finished: the SavedModel, `config.json`,
    `history.csv`, `metrics.json`, a model card and checksums.

    Args:
        config: the network and its training.
        destination: the folder to create.
        train, test: labeled, as from `load_dataset("cifar10", ..., drop_gray=False)`. The test
            images are scored once, after the training.
        overwrite: replace the destination if it exists.
        verbose: as in Keras's `fit`.

    Returns:
        The content of `metrics.json`.

    Raises:
        ClassifierError: data without labels, fewer images than a batch, or the destination exists.
    """
    destination = Path(destination)
    if destination.exists() and not overwrite:
        raise ClassifierError(f"{destination} exists: choose another name or overwrite it.")
    for dataset in (train, test):
        if dataset.labels is None:
            raise ClassifierError(f"{dataset.name} ({dataset.split}) has no labels to train on.")
    steps = train.count // config.batch_size
    if steps < 1:
        raise ClassifierError(
            f"{train.name} has {train.count} images, fewer than one batch of {config.batch_size}."
        )
    size = train.images.element_spec.shape[0]
    model = build_classifier(config, size, len(train.class_names), fused_batch_norm=True)
    learner = _compiled(model, config, steps)
    with replacing(destination) as folder:
        folder.mkdir()
        start = time.monotonic()
        learner.fit(
            augmented_batches(train, config),
            epochs=config.epochs,
            steps_per_epoch=steps,
            verbose=verbose,
            shuffle=False,  # the data are shuffled already
            callbacks=[keras.callbacks.CSVLogger(folder / "history.csv")],
        )
        metrics = {
            "dataset": train.name,
            "seconds": round(time.monotonic() - start),
            "test_accuracy": _accuracy(learner, test, gray=False),
            "gray_test_accuracy": _accuracy(learner, test, gray=True),
            "test_count": test.count,
            "train_count": train.count,
            "epochs": config.epochs,
            "parameters": model.count_params(),
        }
        description = {"image_size": size, "class_names": train.class_names}
        write_classifier(folder, model, dataclasses.asdict(config) | description, metrics)
    return metrics


def _compiled(model: keras.Model, config: ClassifierConfig, steps: int) -> keras.Model:
    """Returns a model of the same layers that outputs the logits alone, ready to fit."""
    total = config.epochs * steps
    learner = keras.Model(model.inputs, model.output["logits"], name="classifier")
    learner.compile(
        keras.optimizers.SGD(
            _Triangle(config.learning_rate, total // 5, total),
            momentum=config.momentum,
            nesterov=True,
            weight_decay=config.weight_decay,
        ),
        keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=config.label_smoothing
        ),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        jit_compile=False,  # slower for convolutions on a CPU
    )
    learner.optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return learner


class _Triangle(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly from zero to `peak` at step `top` and falls to zero at step `end`."""

    def __init__(self, peak: float, top: int, end: int) -> None:
        self.peak, self.top, self.end = peak, top, end

    def __call__(self, step):
        step = tf.cast(step, tf.float32) + 1.0
        up = step / max(self.top, 1)
        down = (self.end + 1 - step) / max(self.end + 1 - self.top, 1)
        return self.peak * tf.maximum(tf.minimum(up, down), 0.0)


def augmented_batches(dataset: ImageDataset, config: ClassifierConfig) -> tf.data.Dataset:
    """Returns endless batches (images, one-hot labels), shuffled and augmented anew each epoch."""
    images = np.stack(list(dataset.images.as_numpy_iterator()))
    size, shift, seed = images.shape[1], config.shift, config.seed

    def augment(number: tf.Tensor, example: tuple[tf.Tensor, tf.Tensor]):
        image, label = example
        # Stateless draws depend on the number of the example, not on which thread comes first.
        image = tf.image.stateless_random_flip_left_right(image, [seed, 3 * number])
        if shift:
            image = tf.pad(image, [[shift, shift], [shift, shift], [0, 0]], "REFLECT")
            crop = [size, size, 3]
            image = tf.image.stateless_random_crop(image, crop, [seed, 3 * number + 1])
        if config.cutout:
            image = cut_out(image, config.cutout, [seed, 3 * number + 2])
        return image, label

    def decolorize(number: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]):
        batch_images, batch_labels = batch
        draws = tf.random.stateless_uniform([config.batch_size, 1, 1, 1], [seed + 1, number])
        return tf.where(draws < config.gray, _gray(batch_images), batch_images), batch_labels

    examples = tf.data.Dataset.from_tensor_slices((images, _one_hot(dataset)))
    batches = (
        examples.shuffle(dataset.count, seed=seed)
        .repeat()
        .enumerate()
        .map(augment, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(config.batch_size, drop_remainder=True)
    )
    if config.gray:
        numbered = batches.enumerate()
        batches = numbered.map(decolorize, num_parallel_calls=tf.data.AUTOTUNE)
    return batches.prefetch(tf.data.AUTOTUNE)


def _one_hot(dataset: ImageDataset) -> np.ndarray:
    return np.eye(len(dataset.class_names), dtype=np.float32)[dataset.labels]


def _gray(images: tf.Tensor) -> tf.Tensor:
    """Returns uint8 images (..., 3) without their colors, as a colorizer sees them."""
    lightness, chroma = color.split(color.to_float(images))
    return color.to_uint8(color.merge(lightness, tf.zeros_like(chroma)))


def cut_out(image: tf.Tensor, side: int, seed: list[int] | list[tf.Tensor]) -> tf.Tensor:
    """Returns uint8 RGB with a random square of `side` pixels, cut at the border, in mean color."""
    size = image.shape[0]
    top, left = tf.unstack(tf.random.stateless_uniform([2], seed, 1 - side, size, tf.int32))
    places = tf.range(size)
    rows = (places >= top) & (places < top + side)
    columns = (places >= left) & (places < left + side)
    square = (rows[:, None] & columns[None, :])[..., None]
    return tf.where(square, tf.cast(tf.round(CHANNEL_MEANS), image.dtype), image)


def _accuracy(learner: keras.Model, dataset: ImageDataset, *, gray: bool) -> float:
    """Returns the share of a labeled data set's images that are recognized, in color or in gray."""
    labels = tf.data.Dataset.from_tensor_slices(_one_hot(dataset))
    batches = tf.data.Dataset.zip(dataset.images, labels).batch(500)
    if gray:
        batches = batches.map(lambda images, labels: (_gray(images), labels))
    return round(learner.evaluate(batches, verbose=0, return_dict=True)["accuracy"], 4)
