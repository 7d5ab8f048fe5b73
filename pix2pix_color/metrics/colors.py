"""How far predicted colors are from the true ones, and how colorful an image is."""

from __future__ import annotations

import math

import tensorflow as tf

from ._checks import image_pair, rgb_batch

__all__ = ["blotches", "chroma_auc", "ciede2000", "colorfulness", "mae_ab", "nazeri_accuracy"]

_AUC_LIMIT = 150.0  # the largest distance of Zhang et al. 2016
_NAZERI_RANGES = (100.0, 220.0, 220.0)  # L in [0, 100], a and b in [-110, 110]
_FLAT = 2.0  # standard deviation of L in a window, below which it shows nothing
_FLAT_WINDOW = 17
_NOISE_WINDOW = 3  # smooths the noise of cameras and the blocks of JPEG
_TIE = 1e-7  # sine of the hue difference below which rounding decides its sign
_TINY = 1e-12


def mae_ab(real_lab: tf.Tensor, fake_lab: tf.Tensor) -> tf.Tensor:
    """Mean absolute error over all pixels and the two channels a and b.

    Args:
        real_lab, fake_lab: float32 Lab, (batch, height, width, 3).

    Returns:
        float32 (batch,), at least 0, in units of CIE Lab.

    Raises:
        ValueError: dtype or shape is wrong.
    """
    real, fake = image_pair(real_lab, fake_lab)
    return tf.reduce_mean(tf.abs(real[..., 1:] - fake[..., 1:]), axis=[1, 2, 3])


def chroma_auc(
    real_lab: tf.Tensor, fake_lab: tf.Tensor, pixel_weights: tf.Tensor | None = None
) -> tf.Tensor:
    """The raw accuracy AuC of Zhang, Isola and Efros 2016 (Colorful image colorization).

    The share of pixels whose predicted ab is within a distance t of the true ab, averaged over t
    from 0 to 150. This is the exact integral, which equals the mean over pixels of
    max(0, 1 - distance / 150); published implementations sum over integers t, which differs by at
    most 1/150. Even gray scores high, because most colors are close to it.

    Args:
        real_lab, fake_lab: float32 Lab, (batch, height, width, 3).
        pixel_weights: (batch, height, width), at least 0. Those of the function `pixel_weights`
            give the class-rebalanced AuC.

    Returns:
        float32 (batch,) in [0, 1], 1 for equal images; NaN where the weights of an image sum
        to zero.

    Raises:
        ValueError: dtype or shape is wrong.
    """
    real, fake = image_pair(real_lab, fake_lab)
    distances = _length(*tf.unstack(real[..., 1:] - fake[..., 1:], axis=-1))
    shares = tf.nn.relu(1.0 - distances / _AUC_LIMIT)  # unlike tf.maximum, always keeps NaN
    if pixel_weights is None:
        return tf.reduce_mean(shares, axis=[1, 2])
    weights = tf.cast(pixel_weights, tf.float32)
    if not weights.shape.is_compatible_with(distances.shape):
        raise ValueError(
            f"pixel_weights must be one value per pixel, {distances.shape}, not {weights.shape}."
        )
    weighted = tf.reduce_sum(weights * shares, axis=[1, 2])
    return weighted / tf.reduce_sum(weights, axis=[1, 2])


def nazeri_accuracy(real_lab: tf.Tensor, fake_lab: tf.Tensor, epsilon: float) -> tf.Tensor:
    """Accuracy of Nazeri, Ng and Ebrahimi 2018 (Image colorization using GANs).

    The share of pixels whose Lab channels, each rounded to an integer, are all within `epsilon`
    times the channel's range of the true ones. As in the authors' code (`pixelwise_accuracy` of
    Colorizing-with-GANs), the range of L is 100 and that of a and b is 220: at 2 %, L may be off
    by 2 and a and b by 4.4, which after rounding is 4.

    Args:
        real_lab, fake_lab: float32 Lab, (batch, height, width, 3).
        epsilon: the tolerance as a fraction; 0.02 and 0.05 in the paper.

    Returns:
        float32 (batch,) in [0, 1].

    Raises:
        ValueError: dtype or shape is wrong, or epsilon is not in [0, 1].
    """
    if not 0.0 <= epsilon <= 1.0:
        raise ValueError(f"epsilon must be a fraction in [0, 1] such as 0.02, not {epsilon}.")
    real, fake = image_pair(real_lab, fake_lab)
    # 100 * 0.29 is 28.999...: without rounding, a difference of 29 would not be within it.
    limits = [round(epsilon * length, 6) for length in _NAZERI_RANGES]
    excess = tf.reduce_max(tf.abs(tf.round(real) - tf.round(fake)) - limits, axis=-1)
    right = tf.cast(excess <= 0.0, tf.float32)
    return tf.reduce_mean(tf.where(tf.math.is_nan(excess), excess, right), axis=[1, 2])


def colorfulness(rgb: tf.Tensor) -> tf.Tensor:
    """Colorfulness M3 of Hasler and Suesstrunk 2003.

    With rg = R - G and yb = (R + G) / 2 - B, it is the norm of their standard deviations plus 0.3
    times the norm of their means, on the scale of 8-bit RGB.

    Args:
        rgb: float32 RGB in [0, 1], (batch, height, width, 3).

    Returns:
        float32 (batch,), 0 for a gray image; the paper's observers called 15 slightly, 45
        averagely and 82 highly colorful.

    Raises:
        ValueError: dtype or shape is wrong, or, outside a graph, values are outside [0, 1].
    """
    red, green, blue = tf.unstack(rgb_batch(rgb, "rgb"), axis=-1)
    opponents = tf.stack([red - green, 0.5 * (red + green) - blue], axis=1)
    means, variances = tf.nn.moments(opponents, axes=[2, 3])
    return 255.0 * (tf.norm(tf.sqrt(variances), axis=1) + 0.3 * tf.norm(means, axis=1))


def blotches(real_lab: tf.Tensor, fake_lab: tf.Tensor) -> tf.Tensor:
    """Variation of chroma where luminance is flat, such as rainbows on a plain wall.

    Around each pixel whose lightness has a standard deviation below 2 within 17x17 pixels of the
    real image, it is the standard deviation of chroma, the root of the variances of a and b
    together, there; anywhere else it is 0. Chroma is first averaged over 3x3 pixels. Real images
    have some of it too: compare with `blotches(real_lab, real_lab)`. Source: this project.

    Args:
        real_lab, fake_lab: float32 Lab, (batch, height, width, 3).

    Returns:
        float32 (batch,), the mean over all pixels, in units of CIE Lab; 0 without color, and
        proportional to chroma.

    Raises:
        ValueError: dtype or shape is wrong.
    """
    real, fake = image_pair(real_lab, fake_lab)
    values = tf.concat([real[..., :1], _window_mean(fake[..., 1:], _NOISE_WINDOW)], axis=-1)
    values -= tf.reduce_mean(values, axis=[1, 2], keepdims=True)  # loses no digits in squares
    means = _window_mean(values, _FLAT_WINDOW)
    variances = tf.nn.relu(_window_mean(values * values, _FLAT_WINDOW) - means * means)
    is_flat = tf.cast(variances[..., 0] < _FLAT**2, tf.float32)
    deviations = tf.sqrt(tf.reduce_sum(variances[..., 1:], axis=-1))
    return tf.reduce_mean(is_flat * deviations, axis=[1, 2])


def _window_mean(values: tf.Tensor, size: int) -> tf.Tensor:
    """Returns the mean around each pixel, at the rim over the part inside the image."""
    rows = tf.nn.avg_pool2d(values, [size, 1], 1, "SAME")
    return tf.nn.avg_pool2d(rows, [1, size], 1, "SAME")


def ciede2000(real_lab: tf.Tensor, fake_lab: tf.Tensor) -> tf.Tensor:
    """Mean CIEDE2000 color difference over pixels, with k_L = k_C = k_H = 1.

    Sharma, Wu and Dalal 2005 (The CIEDE2000 color-difference formula: implementation notes,
    supplementary test data, and mathematical observations).

    Args:
        real_lab, fake_lab: float32 Lab, (batch, height, width, 3).

    Returns:
        float32 (batch,), at least 0; about 1 is just noticeable. A pixel is within 0.0001 of the
        paper's 34 pairs and within 0.001 of `skimage.color.deltaE_ciede2000` in float64, except
        for exactly opposite hues, for which rounding decides which mean hue scikit-image takes.

    Raises:
        ValueError: dtype or shape is wrong.
    """
    return tf.reduce_mean(_ciede2000(*image_pair(real_lab, fake_lab)), axis=[1, 2])


# Compiling fuses the many short operations into one pass, which takes a third of the time.
@tf.function(jit_compile=True, reduce_retracing=True)
def _ciede2000(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """Returns the color difference of each pixel, (batch, height, width)."""
    (lightness_1, a_1, b_1), (lightness_2, a_2, b_2) = (
        tf.unstack(lab, axis=-1) for lab in (real, fake)
    )
    stretch = 1.5 - 0.5 * _saturation(0.5 * (_length(a_1, b_1) + _length(a_2, b_2)))
    a_1, a_2 = stretch * a_1, stretch * a_2
    chroma_1, chroma_2 = _length(a_1, b_1), _length(a_2, b_2)
    # Hues are unit vectors instead of angles: no arctangent, and no wrap at 360 degrees. Gray
    # has no hue; its zero vector leaves the mean to the other color, as the standard requires.
    sign, chord, cosine, sine = _mean_hue(
        *(part / tf.maximum(chroma_1, _TINY) for part in (a_1, b_1)),
        *(part / tf.maximum(chroma_2, _TINY) for part in (a_2, b_2)),
    )
    mean_chroma = 0.5 * (chroma_1 + chroma_2)
    lightness_part = (lightness_2 - lightness_1) / _lightness_weight(lightness_1, lightness_2)
    chroma_part = (chroma_2 - chroma_1) / (1.0 + 0.045 * mean_chroma)
    hue_part = sign * tf.sqrt(chroma_1 * chroma_2) * chord
    hue_part /= 1.0 + 0.015 * mean_chroma * _hue_weight(cosine, sine)
    rotation = -2.0 * _saturation(mean_chroma) * _blue_rotation(cosine, sine)
    squares = lightness_part**2 + chroma_part**2 + hue_part**2 + rotation * chroma_part * hue_part
    return tf.sqrt(tf.nn.relu(squares))


def _length(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(x * x + y * y)


def _saturation(chroma: tf.Tensor) -> tf.Tensor:
    """Returns sqrt(C^7 / (C^7 + 25^7)) in a form that does not overflow."""
    inverse = 25.0 / chroma
    square = inverse * inverse
    return 1.0 / tf.sqrt(1.0 + square * square * square * inverse)


def _mean_hue(
    x_1: tf.Tensor, y_1: tf.Tensor, x_2: tf.Tensor, y_2: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the difference of two hues (unit vectors) and the hue halfway between them.

    Returns:
        the sign of the hue difference; twice the sine of half of it; cosine and sine of the
        halfway hue.
    """
    cross = x_1 * y_2 - y_1 * x_2
    # Opposite hues have two halfway hues; the standard takes the mean of the angles in [0, 360).
    first_is_less = (y_1 > 0.0) | ((y_1 == 0.0) & (x_1 > 0.0))
    positive = tf.where(tf.abs(cross) > _TIE, cross > 0.0, first_is_less)
    sign = tf.where(positive, 1.0, -1.0)
    sum_x, sum_y = x_1 + x_2, y_1 + y_2
    chord_x, chord_y = x_2 - x_1, y_2 - y_1
    sum_length, chord = _length(sum_x, sum_y), _length(chord_x, chord_y)
    # The halfway hue is parallel to the sum and normal to the chord; the longer is more accurate.
    along = sum_length >= chord
    length = tf.maximum(tf.maximum(sum_length, chord), _TINY)
    cosine = tf.where(along, sum_x, sign * chord_y) / length
    sine = tf.where(along, sum_y, -sign * chord_x) / length
    return sign, chord, cosine, sine


def _lightness_weight(lightness_1: tf.Tensor, lightness_2: tf.Tensor) -> tf.Tensor:
    square = tf.square(0.5 * (lightness_1 + lightness_2) - 50.0)
    return 1.0 + 0.015 * square / tf.sqrt(20.0 + square)


def _turned(cosine: tf.Tensor, sine: tf.Tensor, degrees: float) -> tf.Tensor:
    """Returns the cosine of an angle minus `degrees`."""
    angle = math.radians(degrees)
    return math.cos(angle) * cosine + math.sin(angle) * sine


def _hue_weight(cosine: tf.Tensor, sine: tf.Tensor) -> tf.Tensor:
    """Returns T of the standard, with multiple angles by the addition theorem."""
    cosine_2, sine_2 = cosine * cosine - sine * sine, 2.0 * cosine * sine
    cosine_3, sine_3 = cosine_2 * cosine - sine_2 * sine, sine_2 * cosine + cosine_2 * sine
    cosine_4, sine_4 = cosine_2 * cosine_2 - sine_2 * sine_2, 2.0 * cosine_2 * sine_2
    return (
        1.0
        - 0.17 * _turned(cosine, sine, 30.0)
        + 0.24 * cosine_2
        + 0.32 * _turned(cosine_3, sine_3, -6.0)
        - 0.20 * _turned(cosine_4, sine_4, 63.0)
    )


def _blue_rotation(cosine: tf.Tensor, sine: tf.Tensor) -> tf.Tensor:
    """Returns sin(2 * 30 degrees * exp(-((hue - 275 degrees) / 25 degrees)^2)).

    Both functions are computed as power series: the square of an angle in terms of the squared
    sine of its half, accurate to 1e-3 up to 90 degrees, beyond which the exponential is below
    1e-5; and the sine, accurate to 1e-7 up to 60 degrees.
    """
    half = 0.5 - 0.5 * _turned(cosine, sine, 275.0)
    series = 1 / 3 + half * (8 / 45 + half * (4 / 35 + half * (128 / 1575)))
    square = 4.0 * half * (1.0 + half * series)
    angle = math.radians(60.0) * tf.exp(-square / math.radians(25.0) ** 2)
    square = angle * angle
    series = -1 / 6 + square * (1 / 120 + square * (-1 / 5040 + square / 362880))
    return angle * (1.0 + square * series)
