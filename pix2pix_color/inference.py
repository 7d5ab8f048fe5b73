"""Colorizes images of any size with a generator that was trained on small ones.

Chroma is predicted on a small copy, enlarged along the image's own edges, fitted into the sRGB
gamut, and merged with the full-size luminance. Exported models do this in their graph
(`colorize_images`); the library does the same in bands of rows (`shrink_lightness`,
`apply_chroma`), on all cores and with no more memory than the image and its colors need.
"""

from __future__ import annotations

import concurrent.futures
import functools
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse
import tensorflow as tf

from . import color

if TYPE_CHECKING:
    import keras

__all__ = [
    "any_size",
    "apply_chroma",
    "colorize_images",
    "render_sizes",
    "shrink_lightness",
    "size_multiple",
    "training_size",
    "working_shape",
]

MAX_RENDER_SIZE = 1024
"""Largest render size (shorter side, in pixels): memory grows with its square."""

_LONGEST = 8  # times the shorter side: longer images are squeezed for the network
_SMOOTHNESS = 100.0  # in L squared: flatter windows get hardly any slope (benchmarks/edges.md)
_BAND = 1 << 17  # pixels at a time, so that intermediate results stay in the cache


def any_size(generator: keras.Model) -> keras.Model:
    """Returns a copy of a generator for all sizes that are multiples of its `size_multiple`."""
    import keras  # here, since colorizing with a SavedModel does without it

    network = keras.models.clone_model(
        generator, input_tensors=keras.Input((None, None, 1), name="lightness")
    )
    network.set_weights(generator.get_weights())
    return network


def training_size(generator: keras.Model) -> int:
    """Returns the size of the images that a generator was trained on."""
    return generator.input_shape[1] or 32


def size_multiple(generator: keras.Model) -> int:
    """Returns what both sides of a generator's input are multiples of."""
    from .networks import takes_hints

    return 32 if takes_hints(generator) else training_size(generator)


def render_sizes(multiple: int) -> range:
    """Returns the possible render sizes of a network for multiples of a size."""
    return range(multiple, max(MAX_RENDER_SIZE, multiple) + 1, multiple)


def working_shape(height: int, width: int, render_size: int, multiple: int) -> tuple[int, int]:
    """Returns the (rows, columns) for the network: about the image's aspect ratio.

    Args:
        height, width: of the image, in pixels.
        render_size: the shorter side, a multiple of `multiple`; the longer one is at most
            eight times as long.
        multiple: of which both sides are multiples.
    """
    # The same floating-point operations as in the graph, in a fraction of the time.
    sides = np.array([height, width], np.float32)
    render = np.float32(render_size) / np.float32(multiple)
    steps = np.minimum(np.rint(sides / sides.min() * render), np.rint(_LONGEST * render))
    rows, columns = steps.astype(int) * multiple
    return int(rows), int(columns)


def _working_shape(size: tf.Tensor, render_size: int | tf.Tensor, multiple: int) -> tf.Tensor:
    sides = tf.cast(size, tf.float32)
    render = tf.cast(render_size, tf.float32) / float(multiple)
    steps = tf.round(sides / tf.reduce_min(sides) * render)
    return tf.cast(tf.minimum(steps, tf.round(_LONGEST * render)), tf.int32) * multiple


def colorize_images(
    images: tf.Tensor,
    network: keras.Model,
    render_size: int | tf.Tensor = 32,
    multiple: int = 32,
    strength: float | tf.Tensor = 1.0,
    stride: int = 1,
) -> tf.Tensor:
    """Colorizes images of any size in the graph, keeping their luminance.

    Args:
        images: uint8 (batch, height, width, 1 or 3), gray or RGB.
        network: from `any_size`.
        render_size: shorter side, in pixels, of what the network sees; a multiple of `multiple`.
        multiple: from `size_multiple`.
        strength: color strength: 0 keeps the image gray, 1 is what the model predicts.
        stride: side, in pixels of the network, of the cells in which it predicts chroma.

    Returns:
        uint8 (batch, height, width, 3); its L equals the input's within one 8-bit level.
    """
    channels = tf.shape(images)[-1]
    check = tf.debugging.Assert(
        tf.reduce_any(tf.equal(channels, [1, 3])),
        ["Images need 1 channel (gray) or 3 (RGB), not", channels],
    )
    with tf.control_dependencies([check] if check is not None else []):  # eager: None
        rgb = tf.gather(images, tf.minimum([0, 1, 2], channels - 1), axis=-1)
    lightness, size = color.rgb_to_lab(rgb)[..., :1], tf.shape(images)[1:3]
    shape = _working_shape(size, render_size, multiple)
    small = tf.image.resize(lightness, shape, antialias=True)
    lines = _lines(small, network(small, training=False), stride)
    slope, offset = (tf.image.resize(line, size, antialias=True) for line in lines)
    chroma = (slope * lightness + offset) * tf.cast(strength, tf.float32)
    chroma = color.fit_chroma_to_gamut(lightness, chroma)
    return color.to_uint8(color.merge(lightness, chroma))


def _lines(lightness: tf.Tensor, chroma: tf.Tensor, stride: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the slope and offset of chroma as a line of lightness around each pixel.

    The slopes are those of the guided filter (He et al. 2013; enlarged as in the fast form of
    2015), in windows of 3x3 cells. The offsets are not: each line passes through the prediction
    itself, where the filter's would blur it. So only lightness that the cells cannot show adds to
    plain enlargement, and with cells of a pixel, an image of the network's size (CIFAR-10, as it
    is scored) keeps the predicted chroma.

    Args:
        lightness: float32 (batch, rows, columns, 1), L in [0, 100], as the network saw it.
        chroma: float32 (batch, rows, columns, 2), (a, b) / 128, as it predicted it.
        stride: as in `colorize_images`; rows and columns are multiples of it.

    Returns:
        Two tensors of the shape of `chroma`: chroma = slope * lightness + offset.
    """

    def mean(maps: tf.Tensor) -> tf.Tensor:
        return tf.nn.avg_pool2d(maps, 3, 1, "SAME")

    light, colors = lightness, chroma
    if stride > 1:
        light, colors = (tf.nn.avg_pool2d(x, stride, stride, "VALID") for x in (light, colors))
    mean_light, mean_colors = mean(light), mean(colors)
    covariance = mean(light * colors) - mean_light * mean_colors
    slope = mean(covariance / (mean(light * light) - mean_light * mean_light + _SMOOTHNESS))
    if stride > 1:
        slope, light = (tf.image.resize(x, tf.shape(chroma)[1:3]) for x in (slope, light))
    return slope, chroma - slope * light


# Band by band ---------------------------------------------------------------------------------


def shrink_lightness(
    image: np.ndarray, shape: tuple[int, int], threads: int | None = None
) -> np.ndarray:
    """Returns the lightness of an image at the network's working size.

    Args:
        image: uint8 or uint16 (height, width, 1 or 3).
        shape: (rows, columns), from `working_shape`.
        threads: bands at a time; the default is the number of cores.

    Returns:
        float32 (rows, columns, 1), L in [0, 100].
    """
    # Resizing is separable: columns within each band, then rows once all bands are done.
    # SciPy, because TensorFlow's resizing blocks the threads of other images.
    to_columns, to_rows = _resizing(image.shape[1], shape[1]), _resizing(image.shape[0], shape[0])

    def shrink(band: slice) -> np.ndarray:
        pixels = image[band]
        lightness = color.pixel_lightness(pixels.reshape(-1, pixels.shape[-1]))
        return to_columns @ lightness.reshape(pixels.shape[:2]).T

    columns = np.concatenate(list(_in_bands(shrink, image.shape, threads)), axis=1)
    return (to_rows @ columns.T)[..., None]


@functools.lru_cache(maxsize=64)
def _resizing(before: int, after: int) -> scipy.sparse.csr_array:
    """Returns the matrix (after, before) of `tf.image.resize`, linear and antialiased."""
    scale = before / after
    reach = max(scale, 1.0)  # half the width of the triangle, in input pixels
    middle = (np.arange(after) + 0.5) * scale
    first = np.ceil(middle - reach - 0.5).astype(int)
    columns = first[:, None] + np.arange(int(np.ceil(2 * reach)) + 1)
    weights = 1 - np.abs(columns + 0.5 - middle[:, None]) / reach
    weights[(weights < 0) | (columns < 0) | (columns >= before)] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    rows, places = np.nonzero(weights)
    values = weights[rows, places].astype(np.float32)
    return scipy.sparse.csr_array((values, (rows, columns[rows, places])), (after, before))


def apply_chroma(
    image: np.ndarray,
    lightness: np.ndarray,
    chroma: np.ndarray,
    strength: float = 1.0,
    threads: int | None = None,
    stride: int = 1,
) -> np.ndarray:
    """Colors an image, keeping its luminance.

    Args:
        image: uint8 or uint16 (height, width, 1 or 3).
        lightness: float32 (rows, columns, 1), from `shrink_lightness`.
        chroma: float32 (rows, columns, 2), (a, b) / 128, of any size; it is resized.
        strength: color strength: 0 keeps the image gray, 1 is what the model predicts.
        threads: as in `shrink_lightness`.
        stride: as in `colorize_images`.

    Returns:
        RGB (height, width, 3) of the image's type.
    """
    height, width = image.shape[:2]
    result = np.empty((height, width, 3), image.dtype)
    # As in `shrink_lightness`: all columns first, then the rows of each band.
    to_rows, to_columns = _resizing(len(chroma), height), _resizing(chroma.shape[1], width)
    small, colors = (tf.constant(planes[None], tf.float32) for planes in (lightness, chroma))
    lines = np.concatenate(_lines(small, colors, stride), axis=-1)[0]
    planes = np.moveaxis(lines * np.float32(strength), -1, 0)
    columns = [np.ascontiguousarray((to_columns @ plane.T).T) for plane in planes]

    def merge(band: slice) -> None:
        pixels, rows = image[band], to_rows[band]
        lines = [(rows @ plane).reshape(-1) for plane in columns]
        colored = color.color_pixels(pixels.reshape(-1, pixels.shape[-1]), lines[2:], lines[:2])
        result[band] = colored.reshape(*pixels.shape[:2], 3)

    for _ in _in_bands(merge, image.shape, threads):
        pass
    return result


def _in_bands(
    function: Callable[[slice], Any], shape: tuple[int, ...], threads: int | None
) -> Iterator:
    """Yields the result of a function for each band of rows of an image, in order."""
    height, width = shape[:2]
    rows = max(1, _BAND // width)
    bands = [slice(top, min(top + rows, height)) for top in range(0, height, rows)]
    threads = min(threads or os.cpu_count() or 1, len(bands))
    if threads == 1:
        yield from map(function, bands)
        return
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        yield from pool.map(function, bands)
