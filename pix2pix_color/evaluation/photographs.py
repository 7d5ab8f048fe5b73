"""Scores models on photographs, each at its own size, as `colorize` delivers them.

paths, _ = find_files(Path("album"))
colorizer = Colorizer.load("vivid")
print(evaluate_photographs({"model": colorizer}, paths, judge=load_judge()).table())
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from .. import color, metrics
from ..colorizer import MAX_STRENGTH, Colorizer
from ..data import read_pixels
from ..errors import EvaluationError, ImageFileError, ModelError, in_words
from ..inference import apply_chroma
from ..pretrained import load_efficientnet_lite
from .images import digest
from .protocol import PHOTOGRAPH_PROTOCOL, REAL, SCORES, Pair
from .results import Evaluation
from .scoring import ab_histogram
from .statistics import chroma_distances, diagonal_distances, summarize

__all__ = ["are_photographs", "evaluate_photographs", "load_judge", "matching_strength"]

Colorize = Callable[[np.ndarray], np.ndarray]  # uint8 (height, width, 1) to (height, width, 3)
Judge = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]

LONGEST = 512
_SMALL = 64  # shorter side up to which a folder holds small images, such as CIFAR-10's
_LOOKED_AT = 9
_JUDGE = "efficientnet_lite2"
_JUDGE_SIZE = 260  # of its training images (Tan and Le 2019)
_SCORED = ("psnr", "ssim", "colorfulness", "blotches")  # and CIEDE2000
_STRENGTHS = (1.0, 1.25, 1.5, 2.0, 3.0, MAX_STRENGTH)


def are_photographs(paths: Sequence[Path]) -> bool:
    """Returns whether the shorter sides of image files exceed 64 pixels: the median of a few."""
    sides = []
    for path in paths[:: max(1, len(paths) // _LOOKED_AT)]:
        with contextlib.suppress(ImageFileError):
            sides.append(min(read_pixels(path).shape[:2]))
    return bool(sides) and float(np.median(sides)) > _SMALL


def evaluate_photographs(
    colorizers: Mapping[str, Colorize],
    paths: Sequence[Path],
    *,
    judge: Judge | None = None,
    name: str = "photographs",
    progress: bool = True,
) -> Evaluation:
    """Scores colorizers on photographs, beside baselines that need no model.

    Args:
        colorizers: by their names, functions from the gray image, uint8 (height, width, 1), to
            RGB, uint8 (height, width, 3), such as a `Colorizer`.
        paths: image files. Larger ones are reduced to 512 pixels; gray ones are left out.
        judge: from `load_judge`, for FCD and top-1 agreement, which are left out without it.
        name: of the data set.
        progress: show a progress bar.

    Raises:
        EvaluationError: no image has color, or one is smaller than 7x7.
        ImageFileError: a file cannot be read.
    """
    columns: dict[str, dict[str, list]] = defaultdict(lambda: defaultdict(list))
    digests = []
    for real, gray in _read(paths, progress):
        digests.append(digest(real)[:16])
        mean = color.split(real)[1].numpy().mean(axis=(0, 1), keepdims=True)
        delivered = {predictor: colorize(gray) for predictor, colorize in colorizers.items()}
        delivered["no_color"] = np.repeat(gray, 3, axis=-1)
        delivered["own_mean_chroma"] = apply_chroma(gray, np.zeros_like(mean[..., :1]), mean)
        delivered[REAL] = real
        for predictor, image in delivered.items():
            scores, histogram = _score(real[None], image[None])
            for score, value in scores.items():
                if predictor != REAL or score in ("colorfulness", "blotches"):
                    columns[predictor][score].append(value.numpy()[0])
            columns[predictor]["histogram"].append(histogram.numpy()[0])
        if judge is not None:
            logits, features = judge(_squares(np.stack([*delivered.values()])))
            classes = np.argmax(logits, axis=-1)
            for i, predictor in enumerate(delivered):
                columns[predictor]["features"].append(features[i].numpy())
                if predictor != REAL:
                    columns[predictor]["agreement"].append(classes[i] == classes[-1])
    if not digests:
        raise EvaluationError(f"{name} has no color image: {len(paths)} read, all of them gray.")
    series = {
        predictor: {score: np.asarray(values, np.float64) for score, values in found.items()}
        for predictor, found in columns.items()
    }

    def taken(column: str) -> dict[str, np.ndarray]:
        return {predictor: found.pop(column) for predictor, found in series.items()}

    distances = {"chroma_distance": chroma_distances(taken("histogram"))}
    if judge is not None:
        distances["fcd"] = diagonal_distances(taken("features"))
    values = summarize(series)
    for score, found in distances.items():
        for predictor, value in found.items():
            values[predictor][score] = value
    why = "no judge was given"
    left_out = {} if judge is not None else {"fcd": why, "agreement": why}
    return Evaluation(
        name, "", tuple(digests), None, series, values, left_out, protocol=PHOTOGRAPH_PROTOCOL
    )


def _read(paths: Sequence[Path], progress: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the photographs in color, at most 512 pixels long, and in gray: uint8."""
    for path in tqdm(paths, desc="photographs", unit="image", disable=not progress):
        image = read_pixels(path)
        scale = LONGEST / max(image.shape[:2])
        if scale < 1:
            shape = [max(1, round(side * scale)) for side in image.shape[:2]]
            image = color.to_uint8(tf.image.resize(image, shape, antialias=True) / 255).numpy()
        if min(image.shape[:2]) < 7:
            raise EvaluationError(f"SSIM needs at least 7x7 pixels: {path} is smaller. Remove it.")
        if np.any(image != image[..., :1]):
            lightness, chroma = color.split(image)
            yield image, color.to_uint8(color.merge(lightness, 0 * chroma)).numpy()[..., :1]


_IMAGES = tf.TensorSpec([None, None, None, 3], tf.uint8)


@tf.function(input_signature=[_IMAGES, _IMAGES], autograph=False)
def _score(images: tf.Tensor, delivered: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """Returns the scores and the ab histograms of colorized images."""
    rgb = color.to_float(images), color.to_float(delivered)
    lab = color.rgb_to_lab(images), color.rgb_to_lab(delivered)
    pair = Pair(rgb, lab, (images, delivered), tf.ones(tf.shape(images)[:3]))
    scores = {name: SCORES[name].of(pair) for name in _SCORED}
    # CIEDE2000 is compiled for each size. Here there is one: what is added equals itself.
    canvases = [tf.image.pad_to_bounding_box(part, 0, 0, LONGEST, LONGEST) for part in lab]
    share = tf.cast(tf.reduce_prod(tf.shape(images)[1:3]), tf.float32) / LONGEST**2
    scores["ciede2000"] = metrics.ciede2000(*canvases) / share
    return scores, ab_histogram(lab[1])


# The judge ------------------------------------------------------------------------------------


def load_judge(path: str | Path | None = None) -> Judge:
    """Loads a classifier of photographs that no model was trained with.

    Args:
        path: the file of EfficientNet-Lite2, by default that of its installed PyPI package, or a
            `.keras` file with a classifier of RGB (batch, size, size, 3), 0 to 255.

    Returns:
        A function from images to logits (or probabilities) and the input of its last layer.

    Raises:
        ModelError: there is no such file or package, or it cannot be used.
    """
    if path is not None and Path(path).suffix == ".keras":
        try:
            network = keras.models.load_model(path)
        except (OSError, ValueError) as error:
            raise ModelError(f"The judge {path} cannot be loaded: {in_words(error)}") from error
        network = keras.Model(network.inputs, [network.outputs[0], network.layers[-1].input])
    else:
        network = load_efficientnet_lite(_JUDGE, path)
    size = network.inputs[0].shape[1] or _JUDGE_SIZE

    @tf.function(autograph=False, reduce_retracing=True)
    def judge(squares: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return network(tf.image.resize(squares, [size, size], antialias=True), training=False)

    return judge


def _squares(images: np.ndarray) -> np.ndarray:
    """Returns the central squares of images of one size."""
    height, width = images.shape[1:3]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return images[:, top : top + side, left : left + side]


# What a lively model has to surpass ------------------------------------------------------------


def matching_strength(
    faithful: Colorizer,
    lively: Colorize,
    paths: Sequence[Path],
    *,
    render_size: int | None = None,
    progress: bool = True,
) -> float:
    """Returns the strength that makes a model as colorful as another one, at most the largest.

    It is interpolated between a few strengths, to less than a hundredth of the colorfulness.
    """
    totals, target = np.zeros(len(_STRENGTHS)), 0.0
    for _, gray in _read(paths, progress):
        lightness = color.split(np.repeat(gray, 3, axis=-1))[0].numpy()[None]
        chroma = faithful.predict_chroma(lightness, render_size=render_size)
        images = [faithful.apply_chroma(gray[None], chroma, s)[0] for s in _STRENGTHS]
        totals += [_colorfulness(image) for image in images]
        target += _colorfulness(lively(gray))
    return float(np.interp(target, totals, _STRENGTHS))


def _colorfulness(image: np.ndarray) -> float:
    return float(metrics.colorfulness(color.to_float(image[None]))[0])
