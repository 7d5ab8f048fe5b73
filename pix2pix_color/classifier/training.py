"""Trains the classifier in a run folder."""

from __future__ import annotations

import csv
import dataclasses
import json
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from .. import color
from ..data import ImageDataset
from ..errors import ClassifierError
from ..files import write_atomically
from .network import CHANNEL_MEANS, ClassifierConfig, build_classifier

__all__ = ["CHECKPOINTS", "accuracy", "augmented_batches", "cut_out", "train_classifier"]

CHECKPOINTS = "checkpoints"


def train_classifier(
    config: ClassifierConfig,
    folder: str | Path,
    train: ImageDataset,
    test: ImageDataset,
    *,
    verbose: int | str = "auto",
) -> dict[str, float]:
    """Trains the classifier in a run folder, or resumes what an earlier call started there.

    The folder gets `config.json`, `history.csv`, `checkpoints/` and, at the end, `metrics.json`.
    A resumed run ends with the same weights as an uninterrupted one.

    Args:
        config: the network and its training.
        folder: created if it does not exist; it must not hold another configuration.
        train, test: labeled, as from `load_dataset("cifar10", ..., drop_gray=False)`. The test
            images are scored once, after the training.
        verbose: as in Keras's `fit`.

    Returns:
        The content of `metrics.json`.

    Raises:
        ClassifierError: data without labels, fewer images than a batch, or a folder that holds
            another configuration.
    """
    folder = Path(folder)
    for dataset in (train, test):
        if dataset.labels is None:
            raise ClassifierError(f"{dataset.name} ({dataset.split}) has no labels to train on.")
    if train.count < config.batch_size:
        raise ClassifierError(
            f"{train.name} has {train.count} images, fewer than one batch of {config.batch_size}."
        )
    _prepare_folder(folder, config, train)
    if (folder / "metrics.json").is_file():  # already finished
        return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    model = build_classifier(
        config, train.images.element_spec.shape[0], len(train.class_names), fused_batch_norm=True
    )
    steps = train.count // config.batch_size
    learner = _compiled(model, config, steps)
    progress = _Progress(folder, model, learner.optimizer)
    learner.fit(
        augmented_batches(train, config, start_step=steps * progress.epochs),
        initial_epoch=progress.epochs,
        epochs=config.epochs,
        steps_per_epoch=steps,
        verbose=verbose,
        shuffle=False,  # the data are shuffled already
        callbacks=[progress],
    )
    metrics = {
        "dataset": train.name,
        "test_accuracy": round(accuracy(model, test), 4),
        "gray_test_accuracy": round(accuracy(model, test, gray=True), 4),
        "test_count": test.count,
        "train_count": train.count,
        "epochs": config.epochs,
        "seconds": round(sum(float(row["seconds"]) for row in progress.history)),
        "parameters": model.count_params(),
    }
    write_atomically(folder / "metrics.json", json.dumps(metrics, indent=2) + "\n")
    return metrics


class _Progress(keras.callbacks.Callback):
    """Restores the newest checkpoint of a run; writes one and a row of history every epoch.

    Attributes:
        epochs: finished epochs.
        history: one row per finished epoch, as in `history.csv`.
    """

    def __init__(
        self, folder: Path, model: keras.Model, optimizer: keras.optimizers.Optimizer
    ) -> None:
        super().__init__()
        self._file = folder / "history.csv"
        optimizer.build(model.trainable_variables)
        self._epochs = tf.Variable(0, trainable=False, dtype=tf.int64)
        checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer, epochs=self._epochs)
        self._manager = tf.train.CheckpointManager(
            checkpoint, str(folder / CHECKPOINTS), max_to_keep=1, checkpoint_name="epoch"
        )
        self.history: list[dict[str, str]] = []
        if self._manager.latest_checkpoint:
            checkpoint.restore(self._manager.latest_checkpoint).assert_consumed()
            with self._file.open(encoding="utf-8", newline="") as file:
                self.history = list(csv.DictReader(file))[: self.epochs]

    @property
    def epochs(self) -> int:
        return int(self._epochs)

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        row = {"epoch": epoch, **logs, "seconds": round(time.monotonic() - self._start, 1)}
        self.history.append({name: str(value) for name, value in row.items()})
        lines = [row.keys(), *(finished.values() for finished in self.history)]
        # The history first: rows past the checkpoint are dropped on resuming.
        write_atomically(self._file, "".join(",".join(line) + "\n" for line in lines))
        self._epochs.assign(epoch + 1)
        self._manager.save(epoch + 1)


def _prepare_folder(folder: Path, config: ClassifierConfig, train: ImageDataset) -> None:
    description = json.dumps(
        {
            **dataclasses.asdict(config),
            "image_size": train.images.element_spec.shape[0],
            "class_names": train.class_names,
        },
        indent=2,
    )
    path = folder / "config.json"
    if path.is_file() and path.read_text(encoding="utf-8") != description + "\n":
        raise ClassifierError(f"{path} holds another configuration: choose another folder.")
    write_atomically(path, description + "\n")


def _compiled(model: keras.Model, config: ClassifierConfig, steps: int) -> keras.Model:
    """Returns a model of the same layers that outputs the logits alone, ready to fit."""
    total = config.epochs * steps
    schedule = _Triangle(config.learning_rate, total // 5, total)
    learner = keras.Model(model.inputs, model.output["logits"], name="classifier")
    learner.compile(
        keras.optimizers.SGD(
            schedule,
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


def augmented_batches(
    dataset: ImageDataset, config: ClassifierConfig, *, start_step: int = 0
) -> tf.data.Dataset:
    """Returns endless batches (images, one-hot labels), shuffled and augmented anew each epoch.

    Args:
        dataset: labeled.
        config: gives the batch size, the augmentation and its seed.
        start_step: number of batches that an earlier run has already used.
    """
    images = np.stack(list(dataset.images.as_numpy_iterator()))
    size, shift, seed = images.shape[1], config.shift, config.seed

    def augment(number: tf.Tensor, example: tuple[tf.Tensor, tf.Tensor]):
        image, label = example
        # Stateless draws depend on the number of the example alone, so that a run can resume.
        image = tf.image.stateless_random_flip_left_right(image, [seed, 3 * number])
        if shift:
            image = tf.pad(image, [[shift, shift], [shift, shift], [0, 0]], "REFLECT")
            crop = [size, size, 3]
            image = tf.image.stateless_random_crop(image, crop, [seed, 3 * number + 1])
        if config.cutout:
            image = cut_out(image, config.cutout, [seed, 3 * number + 2])
        return image, tf.one_hot(label, len(dataset.class_names))

    def decolorize(number: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]):
        batch_images, batch_labels = batch
        draws = tf.random.stateless_uniform([config.batch_size, 1, 1, 1], [seed + 1, number])
        return tf.where(draws < config.gray, _gray(batch_images), batch_images), batch_labels

    examples = tf.data.Dataset.from_tensor_slices((images, dataset.labels))
    batches = (
        examples.shuffle(dataset.count, seed=seed)
        .repeat()
        .enumerate()
        .skip(start_step * config.batch_size)
        .map(augment, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(config.batch_size, drop_remainder=True)
    )
    if config.gray:
        numbered = batches.enumerate(start_step)
        batches = numbered.map(decolorize, num_parallel_calls=tf.data.AUTOTUNE)
    return batches.prefetch(tf.data.AUTOTUNE)


def _gray(images: tf.Tensor) -> tf.Tensor:
    """Returns uint8 images (..., 3) without their colors, as a colorizer sees them."""
    lightness, chroma = color.split(color.to_float(images))
    return color.to_uint8(color.merge(lightness, tf.zeros_like(chroma)))


def cut_out(image: tf.Tensor, side: int, seed: list[int] | list[tf.Tensor]) -> tf.Tensor:
    """Returns an image (size, size, 3) with a random square, cut at the border, in the mean color.

    Args:
        image: uint8 or float RGB, 0-255.
        side: of the square, in pixels.
        seed: two integers, as of TensorFlow's stateless random numbers.
    """
    size = image.shape[0]
    top, left = tf.unstack(tf.random.stateless_uniform([2], seed, 1 - side, size, tf.int32))
    places = tf.range(size)
    rows = (places >= top) & (places < top + side)
    columns = (places >= left) & (places < left + side)
    square = (rows[:, None] & columns[None, :])[..., None]
    return tf.where(square, tf.cast(tf.round(CHANNEL_MEANS), image.dtype), image)


def accuracy(
    model: keras.Model, dataset: ImageDataset, batch_size: int = 500, *, gray: bool = False
) -> float:
    """Returns the share of a labeled data set's images that a classifier recognizes.

    Args:
        model: as from `build_classifier`.
        dataset: labeled.
        batch_size: number of images to classify at once.
        gray: show the images without their colors.
    """

    @tf.function
    def predict(images: tf.Tensor) -> tf.Tensor:
        return model(_gray(images) if gray else images, training=False)["logits"]

    right = 0
    labels = np.split(dataset.labels, range(batch_size, dataset.count, batch_size))
    for images, expected in zip(dataset.images.batch(batch_size), labels, strict=True):
        right += int(np.sum(np.argmax(predict(images), axis=-1) == expected))
    return right / dataset.count
