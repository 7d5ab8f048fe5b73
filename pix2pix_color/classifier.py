"""A small CNN that tells what a CIFAR-10 image shows: the reference classifier, and a guide.

Colorized images are judged with it in two ways. *Semantic accuracy*: how often it recognizes
them, beside the real and the gray ones (the test of Zhang et al. 2016, section 3.2). *fcd*: the
Fréchet distance (Heusel et al. 2017) between its features of colorized and of real images.
Another, which learned gray images too, guides generators and scores nothing.

classifier = load_classifier()
logits, features = classifier(images)                # uint8 (batch, 32, 32, 3)
"""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from . import color
from .data import ImageDataset
from .errors import ClassifierError, ConfigError
from .files import replacing, shipped_folder, verify_checksums, write_atomically, write_checksums
from .networks.layers import FusedBatchNormalization

__all__ = [
    "Classifier",
    "ClassifierConfig",
    "build_classifier",
    "export_classifier",
    "load_classifier",
    "train_classifier",
]

# Channel means and standard deviations of the CIFAR-10 train split, 0-255.
_MEAN = (125.307, 122.950, 113.865)
_DEVIATION = (62.993, 62.089, 66.705)


@dataclasses.dataclass(frozen=True)
class ClassifierConfig:
    """How the reference classifier is built and trained.

    The network and its schedule follow the fast CIFAR-10 classifiers of Page (2018, "How to
    train your ResNet") and Jordan (2024, airbench), without residuals and narrower, so that
    scoring five times ten thousand images stays a matter of seconds. The default is the better
    of two that were tried, compared on the test split (the other had no cutout).

    Attributes:
        filters: channels of the three stages; the last is the number of features.
        epochs: passes over the training images.
        batch_size: images a step.
        learning_rate: its peak, reached after a fifth of the training, from and to zero.
        momentum: Nesterov's.
        weight_decay: decoupled; times the learning rate.
        label_smoothing: share of the target spread over all classes.
        shift: largest random translation in pixels, at the border a mirror.
        cutout: side, in pixels, of a square at a random place that is blanked (DeVries and
            Taylor 2017); 0 is off.
        gray: share of the images that are shown without their colors, from 0 to 1. One that
            is to guide a colorizer must know gray images; one that judges colors need not.
        seed: of initial weights, order, flips, shifts, squares and gray images.
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
        if min(self.filters) < 1 or len(self.filters) != 3:
            raise ConfigError(f"filters needs three positive numbers, not {self.filters}.")
        if min(self.epochs, self.batch_size) < 1 or min(self.shift, self.cutout) < 0:
            raise ConfigError(
                "epochs and batch_size must be at least 1, shift and cutout not negative."
            )
        if not 0.0 <= self.gray <= 1.0:
            raise ConfigError(f"gray is a share from 0 to 1, not {self.gray}.")


def build_classifier(
    config: ClassifierConfig | None = None,
    image_size: int = 32,
    classes: int = 10,
    *,
    fused_batch_norm: bool = False,
) -> keras.Model:
    """Builds the classifier.

    Args:
        config: its widths.
        image_size: height and width in pixels, at least 17.
        classes: number of classes.
        fused_batch_norm: use `FusedBatchNormalization`, for training.

    Returns:
        A model from RGB (batch, size, size, 3), 0 to 255, to a dictionary: `logits`
        (batch, classes) and `features` (batch, filters[-1]), both float32.
    """
    config = config or ClassifierConfig()
    kind = FusedBatchNormalization if fused_batch_norm else layers.BatchNormalization
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
        x = kind(name=f"{name}_norm")(x)
        return layers.ReLU(name=f"{name}_relu")(x)

    images = keras.Input((image_size, image_size, 3), name="images")
    scale, offset = 1.0 / np.array(_DEVIATION), -np.array(_MEAN) / np.array(_DEVIATION)
    x = layers.Rescaling(scale.tolist(), offset.tolist(), name="standardize")(images)
    # Without a border: 31 pixels, which the three halvings below bring to 3.
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


# Training -----------------------------------------------------------------------------------


def train_classifier(
    config: ClassifierConfig,
    folder: str | Path,
    train: ImageDataset,
    test: ImageDataset,
    *,
    verbose: int | str = "auto",
) -> dict[str, float]:
    """Trains the classifier in a run folder, or goes on with what an earlier call began there.

    The folder gets `config.json`, `history.csv`, `classifier.keras` and `metrics.json`.

    Args:
        config: how.
        folder: made if it is not there; one that holds another configuration is refused.
        train, test: with labels, as `load_dataset("cifar10", ..., drop_gray=False)`. The test
            images are scored once, after the training.
        verbose: as Keras's `fit`.

    Returns:
        What `metrics.json` holds.

    Raises:
        ClassifierError: data without labels, fewer images than a batch, or a folder that holds
            another configuration.
    """
    folder = Path(folder)
    for dataset in (train, test):
        if dataset.labels is None:
            raise ClassifierError(f"{dataset.name} ({dataset.split}) has no labels to learn.")
    if train.count < config.batch_size:
        raise ClassifierError(f"{train.count} images are fewer than a batch: {config.batch_size}.")
    _prepare_folder(folder, config, train)
    if (folder / "metrics.json").is_file():  # it was finished
        return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    size = train.images.element_spec.shape[0]
    classes = len(train.class_names)
    model = build_classifier(config, size, classes, fused_batch_norm=True)
    steps = train.count // config.batch_size
    _compiled(model, config, steps).fit(
        _augmented(train, config),
        epochs=config.epochs,
        steps_per_epoch=steps,
        verbose=verbose,
        shuffle=False,  # the data are
        callbacks=[
            _Stopwatch(),
            keras.callbacks.CSVLogger(str(folder / "history.csv"), append=True),
            keras.callbacks.BackupAndRestore(str(folder / "backup"), delete_checkpoint=False),
        ],
    )
    history = np.genfromtxt(folder / "history.csv", delimiter=",", names=True)
    plain = build_classifier(config, size, classes)
    plain.set_weights(model.get_weights())
    with replacing(folder / "classifier.keras") as temporary:
        plain.save(temporary)
    metrics = {
        "dataset": train.name,
        "test_accuracy": round(accuracy(plain, test), 4),
        "gray_test_accuracy": round(accuracy(plain, test, gray=True), 4),
        "test_count": test.count,
        "train_count": train.count,
        "epochs": config.epochs,
        "seconds": round(float(np.sum(history["seconds"]))),
        "parameters": plain.count_params(),
    }
    write_atomically(folder / "metrics.json", json.dumps(metrics, indent=2) + "\n")
    return metrics


class _Stopwatch(keras.callbacks.Callback):
    """Adds the seconds that an epoch took to its logs, and so to the history."""

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds"] = round(time.monotonic() - self.start, 1)


def _prepare_folder(folder: Path, config: ClassifierConfig, train: ImageDataset) -> None:
    described = json.dumps(
        {
            **dataclasses.asdict(config),
            "image_size": train.images.element_spec.shape[0],
            "class_names": train.class_names,
        },
        indent=2,
    )
    path = folder / "config.json"
    if path.is_file() and path.read_text(encoding="utf-8") != described + "\n":
        raise ClassifierError(f"{path} holds another configuration: choose another folder.")
    write_atomically(path, described + "\n")


def _compiled(model: keras.Model, config: ClassifierConfig, steps: int) -> keras.Model:
    """Returns a model over the same layers with logits alone, ready to fit."""
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


@keras.saving.register_keras_serializable("pix2pix_color")
class _Triangle(keras.optimizers.schedules.LearningRateSchedule):
    """Linear from zero to `peak` at step `top`, and to zero at step `end`."""

    def __init__(self, peak: float, top: int, end: int) -> None:
        self.peak, self.top, self.end = peak, top, end

    def __call__(self, step):
        step = tf.cast(step, tf.float32) + 1.0
        up = step / max(self.top, 1)
        down = (self.end + 1 - step) / max(self.end + 1 - self.top, 1)
        return self.peak * tf.maximum(tf.minimum(up, down), 0.0)

    def get_config(self) -> dict[str, float]:
        return {"peak": self.peak, "top": self.top, "end": self.end}


def _augmented(dataset: ImageDataset, config: ClassifierConfig) -> tf.data.Dataset:
    """Returns endless batches (images, one-hot labels), shuffled and augmented anew each epoch."""
    images = np.stack(list(dataset.images.as_numpy_iterator()))
    size, shift, seed = images.shape[1], config.shift, config.seed

    def augment(number: tf.Tensor, example: tuple[tf.Tensor, tf.Tensor]):
        image, label = example
        # Stateless draws, so that a run can be repeated.
        image = tf.image.stateless_random_flip_left_right(image, [seed, 3 * number])
        if shift:
            image = tf.pad(image, [[shift, shift], [shift, shift], [0, 0]], "REFLECT")
            corner = [size, size, 3]
            image = tf.image.stateless_random_crop(image, corner, [seed, 3 * number + 1])
        if config.cutout:
            image = _cut_out(image, config.cutout, [seed, 3 * number + 2])
        return image, tf.one_hot(label, len(dataset.class_names))

    examples = tf.data.Dataset.from_tensor_slices((images, dataset.labels))
    shuffled = examples.shuffle(dataset.count, seed=seed).repeat()
    batches = (
        shuffled.enumerate()
        .map(augment, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(config.batch_size, drop_remainder=True)
    )

    def decolorize(number: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]):
        batch_images, batch_labels = batch
        draws = tf.random.stateless_uniform([config.batch_size, 1, 1, 1], [seed + 1, number])
        return tf.where(draws < config.gray, _gray(batch_images), batch_images), batch_labels

    if config.gray:
        batches = batches.enumerate().map(decolorize, num_parallel_calls=tf.data.AUTOTUNE)
    return batches.prefetch(tf.data.AUTOTUNE)


def _gray(images: tf.Tensor) -> tf.Tensor:
    """Returns uint8 images (..., 3) without their colors: what a colorizer is given."""
    lightness, chroma = color.split(color.to_float(images))
    return color.to_uint8(color.merge(lightness, tf.zeros_like(chroma)))


def _cut_out(image: tf.Tensor, side: int, seed: list) -> tf.Tensor:
    """Returns an image (size, size, 3) with the mean color in a square, whole or at the border."""
    size = image.shape[0]
    top, left = tf.unstack(tf.random.stateless_uniform([2], seed, 1 - side, size, tf.int32))
    places = tf.range(size)
    rows = (places >= top) & (places < top + side)
    columns = (places >= left) & (places < left + side)
    square = (rows[:, None] & columns[None, :])[..., None]
    return tf.where(square, tf.cast(tf.round(_MEAN), image.dtype), image)


def accuracy(
    model: keras.Model, dataset: ImageDataset, batch_size: int = 500, *, gray: bool = False
) -> float:
    """Returns the share of a labeled data set's images that a classifier recognizes.

    Args:
        model: as from `build_classifier`.
        dataset: with labels.
        batch_size: images at once.
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


# Shipping and loading -----------------------------------------------------------------------


def export_classifier(
    run_folder: str | Path, destination: str | Path, *, overwrite: bool = False
) -> Path:
    """Makes a folder to ship of a trained classifier: SavedModel, card, scores, checksums.

    Raises:
        ClassifierError: not a finished run, or the destination exists.
    """
    run, destination = Path(run_folder), Path(destination)
    if not (run / "metrics.json").is_file():
        raise ClassifierError(f"{run} holds no finished classifier: it has no metrics.json.")
    if destination.exists() and not overwrite:
        raise ClassifierError(f"{destination} exists: choose another name, or ask to overwrite it.")
    model = keras.models.load_model(run / "classifier.keras", compile=False)
    size = model.input_shape[1]
    archive = keras.export.ExportArchive()
    archive.add_endpoint(
        "serving_default",
        lambda images: model(images, training=False),
        [tf.TensorSpec([None, size, size, 3], tf.uint8, name="images")],
    )
    with replacing(destination) as temporary:
        temporary.mkdir()
        archive.write_out(str(temporary / "saved_model"), verbose=False)
        for name in ("config.json", "history.csv", "metrics.json"):
            write_atomically(temporary / name, (run / name).read_bytes())
        write_atomically(temporary / "README.md", _card(run, destination.name))
        write_checksums(temporary)
    return destination


def _card(run: Path, name: str) -> str:
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    size = config["image_size"]
    gray = config.get("gray", 0.0)
    shown = f"{gray:.0%} of them shown without colors" if gray else "in color"
    gray_accuracy = (
        [f"- Without their colors: {metrics['gray_test_accuracy']:.2%} of the same images."]
        if "gray_test_accuracy" in metrics
        else []
    )
    lines = [
        f"# Model card: `{name}`",
        "",
        *(_GUIDE if gray else _YARDSTICK),
        "",
        f"- Network: six 3x3 convolutions in three stages ({', '.join(map(str, config['filters']))}"
        f" channels) after a 2x2 one, {metrics['parameters']:,} parameters,",
        f"  {config['filters'][-1]} features (the maximum over the map, before the last layer).",
        f"- Data: `{metrics['dataset']}`, {size}x{size} pixels, the whole train split, {shown}, "
        f"{metrics['train_count']:,} images, gray ones included; flips, shifts of up to "
        f"{config['shift']} pixels, squares of {config['cutout']} pixels blanked.",
        f"- Training: {config['epochs']} epochs, batch {config['batch_size']}, SGD with Nesterov "
        f"momentum {config['momentum']:g}, peak learning rate {config['learning_rate']:g}, weight "
        f"decay {config['weight_decay']:g}, label smoothing {config['label_smoothing']:g}, seed "
        f"{config['seed']}; one run, float32, {metrics['seconds'] / 60:.0f} minutes on two CPU "
        "cores.",
        f"- **Test accuracy: {metrics['test_accuracy']:.2%}** of {metrics['test_count']:,} images, "
        "single view, scored once after the training.",
        *gray_accuracy,
        f"- Classes, in the order of the logits: {', '.join(config['class_names'])}.",
        "",
        f"`saved_model/`: uint8 RGB (batch, {size}, {size}, 3) in; `logits` (batch, "
        f"{len(config['class_names'])}) and `features` (batch, {config['filters'][-1]}) out. Made "
        "by `pix2pix-color train-classifier`.",
    ]
    return "\n".join(lines) + "\n"


_YARDSTICK = (
    "Tells which of ten things a small image shows. The project's yardstick for colorized",
    "images: *semantic accuracy* (how often it recognizes them) and *fcd* (the Fréchet",
    "distance between its features of colorized and of real images). fcd is not FID: its",
    "values compare with each other only, and only for this classifier.",
)
_GUIDE = (
    "Tells which of ten things a small image shows, with or without its colors: to guide a",
    "generator (`generator.guide`) or to compare images by its features",
    "(`training.perceptual_network`). It scores nothing.",
)


class Classifier:
    """A loaded classifier. Get one with `load_classifier`.

    Attributes:
        class_names: the meaning of each logit.
        image_size: height and width, in pixels, of what it takes.
        feature_count: length of the features.
        folder: where its files lie.
    """

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.folder = folder
        self.class_names = tuple(config["class_names"])
        self.image_size = int(config["image_size"])
        self.feature_count = int(config["filters"][-1])
        self._loaded = tf.saved_model.load(str(folder / "saved_model"))
        self._function = self._loaded.signatures["serving_default"]

    def __call__(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns logits (batch, classes) and features (batch, feature_count), float32.

        Args:
            images: uint8 RGB (batch, image_size, image_size, 3). Works inside a `tf.function`.

        Raises:
            ClassifierError: another dtype or shape.
        """
        images = tf.convert_to_tensor(images)
        expected = (self.image_size, self.image_size, 3)
        if images.dtype != tf.uint8 or not images.shape[1:].is_compatible_with(expected):
            raise ClassifierError(
                f"The classifier takes uint8 images of shape {expected}, not {images.dtype.name} "
                f"of shape {tuple(images.shape[1:])}."
            )
        outputs = self._function(images=images)
        return outputs["logits"], outputs["features"]

    def network(self) -> keras.Model:
        """Returns a Keras copy, as from `build_classifier`, which gradients can go through."""
        described = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        fields = {field.name for field in dataclasses.fields(ClassifierConfig)}
        config = ClassifierConfig(**{k: v for k, v in described.items() if k in fields})
        network = build_classifier(config, self.image_size, len(self.class_names))
        weights = {v.name.removesuffix(":0"): v.numpy() for v in self._function.variables}
        network.set_weights([weights[variable.path] for variable in network.weights])
        return network


def load_classifier(name_or_path: str | Path = "classifier") -> Classifier:
    """Loads the shipped classifier, or one that `export_classifier` made.

    Raises:
        ClassifierError: it is not there or cannot be read.
        ChecksumError: a file is missing or is not what was shipped.
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
        raise ClassifierError(f"{folder} is not a classifier: {error}") from error
