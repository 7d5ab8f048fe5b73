"""Color conversion in TensorFlow operations: differentiable, with any leading shape."""

from __future__ import annotations

import tensorflow as tf

# skimage.color.xyz_from_rgb (sRGB primaries, D65) and the D65 2-degree white point, with
# scikit-image's digits because it is the oracle.
XYZ_FROM_RGB = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
RGB_FROM_XYZ = (
    (3.240481342, -1.537151516, -0.498536326),
    (-0.969254950, 1.875990001, 0.041555927),
    (0.055646640, -0.204041338, 1.057311069),
)
WHITE = (0.95047, 1.0, 1.08883)
EPSILON = 0.008856  # below it, Lab replaces the cube root by a line; skimage's rounded value
LINEAR_OF_LEVEL = tuple(
    level / 255 / 12.92 if level / 255 <= 0.04045 else ((level / 255 + 0.055) / 1.055) ** 2.4
    for level in range(256)
)

CHROMA_SCALE = 128.0
"""The networks' target is (a, b) divided by this."""

CHROMA_BIN = 10
"""Side of a bin of the ab plane, in CIE Lab units (Zhang et al. 2016)."""
CHROMA_LIMIT = 110
"""The bins cover -CHROMA_LIMIT to CHROMA_LIMIT in a and b."""

BISECTIONS = 14  # enough that the remaining error is far below an 8-bit level
# The sRGB gamut in linear light, a hundredth of a level wider than [0, 1] so that rounding does
# not put gray and white outside.
DARKEST, LIGHTEST = -1e-5, 1.0 + 1e-4


def to_float(rgb: tf.Tensor) -> tf.Tensor:
    """Returns uint8 or uint16 RGB (..., 3) as float32 in [0, 1]; floats are only cast."""
    rgb = tf.convert_to_tensor(rgb)
    if rgb.dtype in (tf.uint8, tf.uint16):
        return tf.cast(rgb, tf.float32) / float(rgb.dtype.max)
    return tf.cast(rgb, tf.float32)


def to_uint8(rgb: tf.Tensor) -> tf.Tensor:
    """Returns float RGB as uint8, clipped to [0, 1] and rounded to the nearest level."""
    return tf.cast(tf.round(tf.clip_by_value(rgb, 0.0, 1.0) * 255.0), tf.uint8)


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
    """Returns the cube root of positive floats to 3e-7, three times as fast as a logarithm.

    The bits of a float, divided by three as an integer, are a first guess; each of two steps of
    Halley's method triples its correct digits.
    """
    root = tf.bitcast(tf.bitcast(x, tf.int32) // 3 + 709_921_077, tf.float32)
    for _ in range(2):
        cube = root * root * root
        root *= (cube + 2.0 * x) / (2.0 * cube + x)
    return root, lambda upstream: upstream / (3.0 * root * root)


def _to_linear(rgb: tf.Tensor) -> tf.Tensor:
    """Inverts the sRGB transfer function, by a table for uint8 and by its formula for floats."""
    if rgb.dtype == tf.uint8:
        return tf.gather(tf.constant(LINEAR_OF_LEVEL), tf.cast(rgb, tf.int32))
    rgb = to_float(rgb)
    # The maximum keeps the unused branch of tf.where away from the kink: a finite gradient.
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
        ValueError: the last axis does not have length 3.
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
    """Returns f of CIE Lab: the cube root, and a line near black."""
    root = _cube_root(tf.maximum(ratio, EPSILON))
    return tf.where(ratio > EPSILON, root, 7.787 * ratio + 16.0 / 116.0)


def _to_linear_channels(
    lightness: tf.Tensor, a: tf.Tensor, b: tf.Tensor, straight_through: bool = False
) -> list[tf.Tensor]:
    """Returns linear red, green and blue, without a channel axis; they may lie outside [0, 1]."""
    fy = (lightness + 16.0) / 116.0
    fz = fy - b / 200.0
    fs = fy + a / 500.0, fy, _replaced(fz, tf.maximum(fz, 0.0), straight_through)
    x, y, z = (
        tf.where(f > 0.2068966, f * f * f, (f - 16.0 / 116.0) / 7.787) * white
        for f, white in zip(fs, WHITE, strict=True)
    )
    return [row[0] * x + row[1] * y + row[2] * z for row in RGB_FROM_XYZ]


def _replaced(values: tf.Tensor, clipped: tf.Tensor, straight_through: bool) -> tf.Tensor:
    """Returns the clipped values, with their own gradient or that of the unclipped values."""
    return values + tf.stop_gradient(clipped - values) if straight_through else clipped


def lab_to_rgb(lab: tf.Tensor, *, straight_through: bool = False) -> tf.Tensor:
    """Converts CIE Lab (D65, 2 degrees) to sRGB, clipped to the gamut.

    Args:
        lab: float (..., 3): L in [0, 100], a, b.
        straight_through: pass the gradient through the clipping (Bengio et al. 2013), so that
            training can bring back a color outside the gamut; by default its gradient is zero.

    Returns:
        float32 (..., 3) in [0, 1]; within 0.5/255 of `skimage.color.lab2rgb`.

    Raises:
        ValueError: the last axis does not have length 3.
    """
    lightness, a, b = tf.unstack(tf.cast(_last(lab, 3, "lab"), tf.float32), axis=-1)
    linear = tf.stack(_to_linear_channels(lightness, a, b, straight_through), axis=-1)
    high = 1.055 * _power(tf.maximum(linear, 0.0031308), 1.0 / 2.4) - 0.055
    rgb = tf.where(linear > 0.0031308, high, 12.92 * linear)
    return _replaced(rgb, tf.clip_by_value(rgb, 0.0, 1.0), straight_through)


def split(rgb: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Splits RGB into the generator's input (lightness) and its target (chroma).

    Args:
        rgb: (..., 3), uint8, uint16 or float in [0, 1].

    Returns:
        lightness (..., 1), L in [0, 100], and chroma (..., 2), (a, b) / 128; float32.
    """
    lightness, a, b = _lab_channels(rgb)
    return lightness[..., None], tf.stack([a, b], axis=-1) / CHROMA_SCALE


def merge(lightness: tf.Tensor, chroma: tf.Tensor, *, straight_through: bool = False) -> tf.Tensor:
    """Merges lightness (..., 1) and chroma (..., 2) into float32 RGB (..., 3) in [0, 1].

    Colors outside the sRGB gamut are clipped, as in scikit-image and in the report's scores; to
    preserve their lightness instead, call `fit_chroma_to_gamut` first. `straight_through` is
    explained in `lab_to_rgb`.
    """
    lightness, chroma = _last(lightness, 1, "lightness"), _last(chroma, 2, "chroma")
    lab = tf.concat([lightness, chroma * CHROMA_SCALE], axis=-1)
    return lab_to_rgb(lab, straight_through=straight_through)


def fit_chroma_to_gamut(lightness: tf.Tensor, chroma: tf.Tensor) -> tf.Tensor:
    """Scales the chroma of each pixel toward gray until the color is in the sRGB gamut.

    Clipping an out-of-gamut color would change its lightness too. Reducing its chroma at the same
    lightness and hue does not, so that a colorized image keeps the luminance of its input.

    Args:
        lightness: (..., 1), L in [0, 100].
        chroma: (..., 2), (a, b) / 128.

    Returns:
        chroma of the same shape, unchanged wherever the color was in the gamut.
    """
    lightness, chroma = _last(lightness, 1, "lightness"), _last(chroma, 2, "chroma")
    shape = tf.shape(chroma)[:-1]
    lightness = tf.broadcast_to(lightness[..., 0], shape)
    a, b = tf.unstack(chroma * CHROMA_SCALE, axis=-1)
    planes = [tf.reshape(plane, [-1]) for plane in (lightness, a, b)]
    # Only out-of-gamut colors, usually few, are bisected.
    outside = tf.where(tf.logical_not(_is_in_gamut(*planes)))
    lightness, a, b = (tf.gather_nd(plane, outside) for plane in planes)

    def halve(low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        middle = (low + high) / 2.0
        inside = _is_in_gamut(lightness, middle * a, middle * b)
        return tf.where(inside, middle, low), tf.where(inside, high, middle)

    bounds = tf.zeros_like(lightness), tf.ones_like(lightness)
    # A loop in the graph: unrolled, it would make a SavedModel larger and slower to load.
    low, _ = tf.while_loop(lambda *_: True, halve, bounds, maximum_iterations=BISECTIONS)
    scale = tf.tensor_scatter_nd_update(tf.ones_like(planes[0]), outside, low)
    scale = tf.reshape(scale, tf.concat([shape, [1]], axis=0))
    return tf.ensure_shape(chroma * scale, chroma.shape)


def _is_in_gamut(lightness: tf.Tensor, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Returns whether each color is in the sRGB gamut."""
    red, green, blue = _to_linear_channels(lightness, a, b)
    least = tf.minimum(tf.minimum(red, green), blue)
    most = tf.maximum(tf.maximum(red, green), blue)
    return tf.logical_and(least >= DARKEST, most <= LIGHTEST)
