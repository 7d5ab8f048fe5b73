"""Colors as TensorFlow operations: differentiable, of any leading shape."""

from __future__ import annotations

import tensorflow as tf

from .constants import (
    BISECTIONS,
    CHROMA_SCALE,
    DARKEST,
    EPSILON,
    LIGHTEST,
    LINEAR_OF_LEVEL,
    RGB_FROM_XYZ,
    WHITE,
    XYZ_FROM_RGB,
)

__all__ = [
    "fit_chroma_to_gamut",
    "lab_to_rgb",
    "merge",
    "rgb_to_lab",
    "split",
    "to_float",
    "to_levels",
    "to_uint8",
]


def to_float(rgb: tf.Tensor) -> tf.Tensor:
    """Returns uint8 or uint16 RGB (..., 3) as float32 in [0, 1]; floats pass as float32."""
    rgb = tf.convert_to_tensor(rgb)
    if rgb.dtype in (tf.uint8, tf.uint16):
        return tf.cast(rgb, tf.float32) / float(rgb.dtype.max)
    return tf.cast(rgb, tf.float32)


def to_levels(rgb: tf.Tensor, dtype: tf.DType = tf.uint8) -> tf.Tensor:
    """Returns float RGB as uint8 or uint16, clipped to [0, 1], rounded to the nearest level."""
    dtype = tf.as_dtype(dtype)
    return tf.cast(tf.round(tf.clip_by_value(rgb, 0.0, 1.0) * float(dtype.max)), dtype)


def to_uint8(rgb: tf.Tensor) -> tf.Tensor:
    """Returns float RGB as uint8, clipped to [0, 1] and rounded to the nearest level."""
    return to_levels(rgb)


def _last(tensor: tf.Tensor, channels: int, name: str) -> tf.Tensor:
    tensor = tf.convert_to_tensor(tensor)
    if tensor.shape.rank == 0 or tensor.shape[-1] not in (channels, None):
        raise ValueError(
            f"{name} must have {channels} channels in its last axis, not shape {tensor.shape}."
        )
    return tensor


def _power(base: tf.Tensor, exponent: float) -> tf.Tensor:
    """Returns a positive base to an exponent; twice as fast as `tf.pow` on a CPU."""
    return tf.exp(exponent * tf.math.log(base))


@tf.custom_gradient
def _cube_root(x: tf.Tensor) -> tf.Tensor:
    """Returns the cube root of positive floats to 3e-7, at a third of a logarithm's cost.

    A third of the bits of a float, as an integer, is a first guess; two steps of Halley's
    method each triple its correct digits.
    """
    root = tf.bitcast(tf.bitcast(x, tf.int32) // 3 + 709_921_077, tf.float32)
    for _ in range(2):
        cube = root * root * root
        root *= (cube + 2.0 * x) / (2.0 * cube + x)
    return root, lambda upstream: upstream / (3.0 * root * root)


def _to_linear(rgb: tf.Tensor) -> tf.Tensor:
    """Undoes the sRGB transfer function: uint8 by table, floats in [0, 1] by formula."""
    if rgb.dtype == tf.uint8:
        return tf.gather(tf.constant(LINEAR_OF_LEVEL), tf.cast(rgb, tf.int32))
    rgb = to_float(rgb)
    # The unused side of tf.where is kept away from the kinks, so that its gradient is finite.
    high = _power((tf.maximum(rgb, 0.04045) + 0.055) / 1.055, 2.4)
    return tf.where(rgb > 0.04045, high, rgb / 12.92)


def rgb_to_lab(rgb: tf.Tensor) -> tf.Tensor:
    """Converts sRGB to CIE Lab (D65, 2 degrees).

    Args:
        rgb: (..., 3), uint8, uint16 or float in [0, 1].

    Returns:
        float32 (..., 3): L in [0, 100], a and b about -110 to 110; within 0.01 of
        `skimage.color.rgb2lab`.

    Raises:
        ValueError: the last axis is not of length 3.
    """
    return tf.stack(_lab_channels(rgb), axis=-1)


def _lab_channels(rgb: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    red, green, blue = tf.unstack(_to_linear(_last(rgb, 3, "rgb")), axis=-1)
    # Sums rather than a matrix product of three rows: they compile into one pass.
    fx, fy, fz = (
        _lab_f((row[0] * red + row[1] * green + row[2] * blue) / white)
        for row, white in zip(XYZ_FROM_RGB, WHITE, strict=True)
    )
    return 116.0 * fy - 16.0, 500.0 * (fx - fy), 200.0 * (fy - fz)


def _lab_f(ratio: tf.Tensor) -> tf.Tensor:
    """The cube root of CIE Lab, a line near black."""
    root = _cube_root(tf.maximum(ratio, EPSILON))
    return tf.where(ratio > EPSILON, root, 7.787 * ratio + 16.0 / 116.0)


def _to_linear_channels(
    lightness: tf.Tensor, a: tf.Tensor, b: tf.Tensor, straight_through: bool = False
) -> list[tf.Tensor]:
    """Returns linear red, green and blue, which may lie outside [0, 1]; without channel axis."""
    fy = (lightness + 16.0) / 116.0
    fz = fy - b / 200.0
    fs = fy + a / 500.0, fy, _replaced(fz, tf.maximum(fz, 0.0), straight_through)
    x, y, z = (
        tf.where(f > 0.2068966, f * f * f, (f - 16.0 / 116.0) / 7.787) * white
        for f, white in zip(fs, WHITE, strict=True)
    )
    return [row[0] * x + row[1] * y + row[2] * z for row in RGB_FROM_XYZ]


def _replaced(values: tf.Tensor, clipped: tf.Tensor, straight_through: bool) -> tf.Tensor:
    """Returns what values were clipped to, with the gradient of it or of the values."""
    return values + tf.stop_gradient(clipped - values) if straight_through else clipped


def lab_to_rgb(lab: tf.Tensor, *, straight_through: bool = False) -> tf.Tensor:
    """Converts CIE Lab (D65, 2 degrees) to sRGB, clipped to what sRGB can show.

    Args:
        lab: float (..., 3): L in [0, 100], a, b.
        straight_through: give a color outside sRGB the gradient that it would have without
            clipping (Bengio et al. 2013), so that learning can bring it back; else it has none.

    Returns:
        float32 (..., 3) in [0, 1]; within 0.5/255 of `skimage.color.lab2rgb`.

    Raises:
        ValueError: the last axis is not of length 3.
    """
    lightness, a, b = tf.unstack(tf.cast(_last(lab, 3, "lab"), tf.float32), axis=-1)
    linear = tf.stack(_to_linear_channels(lightness, a, b, straight_through), axis=-1)
    high = 1.055 * _power(tf.maximum(linear, 0.0031308), 1.0 / 2.4) - 0.055
    rgb = tf.where(linear > 0.0031308, high, 12.92 * linear)
    return _replaced(rgb, tf.clip_by_value(rgb, 0.0, 1.0), straight_through)


def split(rgb: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Splits RGB into what the generator sees and what it must predict.

    Args:
        rgb: (..., 3), uint8, uint16 or float in [0, 1].

    Returns:
        lightness (..., 1), L in [0, 100], and chroma (..., 2), (a, b) / 128; float32.
    """
    lightness, a, b = _lab_channels(rgb)
    return lightness[..., None], tf.stack([a, b], axis=-1) / CHROMA_SCALE


def merge(lightness: tf.Tensor, chroma: tf.Tensor, *, straight_through: bool = False) -> tf.Tensor:
    """Puts lightness (..., 1) and chroma (..., 2) together: float32 RGB (..., 3) in [0, 1].

    Colors outside sRGB are clipped, as scikit-image does and as the report was scored;
    `fit_chroma_to_gamut` first keeps the lightness instead. `straight_through` as in
    `lab_to_rgb`.
    """
    lightness, chroma = _last(lightness, 1, "lightness"), _last(chroma, 2, "chroma")
    lab = tf.concat([lightness, chroma * CHROMA_SCALE], axis=-1)
    return lab_to_rgb(lab, straight_through=straight_through)


def fit_chroma_to_gamut(lightness: tf.Tensor, chroma: tf.Tensor) -> tf.Tensor:
    """Scales chroma toward gray, pixel by pixel, just so far that sRGB can show it.

    Clipping a color that sRGB cannot show changes its lightness too. Less chroma at the
    same lightness and hue does not, so a colorized image keeps the user's luminance.

    Args:
        lightness: (..., 1), L in [0, 100].
        chroma: (..., 2), (a, b) / 128.

    Returns:
        chroma of the same shape, unchanged wherever it was inside the gamut.
    """
    lightness, chroma = _last(lightness, 1, "lightness"), _last(chroma, 2, "chroma")
    shape = tf.shape(chroma)[:-1]
    lightness = tf.broadcast_to(lightness[..., 0], shape)
    a, b = tf.unstack(chroma * CHROMA_SCALE, axis=-1)
    planes = [tf.reshape(plane, [-1]) for plane in (lightness, a, b)]
    # Only colors outside the gamut, mostly a few, are searched for.
    outside = tf.where(tf.logical_not(_is_shown(*planes)))
    lightness, a, b = (tf.gather_nd(plane, outside) for plane in planes)

    def halve(low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        middle = (low + high) / 2.0
        inside = _is_shown(lightness, middle * a, middle * b)
        return tf.where(inside, middle, low), tf.where(inside, high, middle)

    bounds = tf.zeros_like(lightness), tf.ones_like(lightness)
    # A loop in the graph, since a SavedModel with less in it loads sooner.
    low, _ = tf.while_loop(lambda *_: True, halve, bounds, maximum_iterations=BISECTIONS)
    scale = tf.tensor_scatter_nd_update(tf.ones_like(planes[0]), outside, low)
    scale = tf.reshape(scale, tf.concat([shape, [1]], axis=0))
    return tf.ensure_shape(chroma * scale, chroma.shape)


def _is_shown(lightness: tf.Tensor, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Returns whether sRGB can show each color."""
    red, green, blue = _to_linear_channels(lightness, a, b)
    least = tf.minimum(tf.minimum(red, green), blue)
    most = tf.maximum(tf.maximum(red, green), blue)
    return tf.logical_and(least >= DARKEST, most <= LIGHTEST)
