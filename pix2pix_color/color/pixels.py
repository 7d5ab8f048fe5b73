"""Color conversion of a photograph's pixels in NumPy, ten times as fast as in TensorFlow.

The mathematics is that of `conversion`; tests compare the two. It is fast because the caller
passes blocks of pixels that stay in a core's cache through all operations, because nothing is
compiled or traced, and because NumPy lets other threads run at the same time.
"""

from __future__ import annotations

import functools

import numpy as np

from .conversion import (
    BISECTIONS,
    CHROMA_SCALE,
    DARKEST,
    EPSILON,
    LIGHTEST,
    RGB_FROM_XYZ,
    WHITE,
    XYZ_FROM_RGB,
)

__all__ = ["color_pixels", "pixel_lightness"]

_LUMINANCE = XYZ_FROM_RGB[1]
# Linear RGB from X, Y and Z relative to the white point.
_RGB_FROM_RELATIVE = np.float32(np.array(RGB_FROM_XYZ) * np.array(WHITE))
_SIXTEEN_116THS = np.float32(16 / 116)
_QUARTERS = np.array([[1], [2], [3]], np.float32)
_STEPS = 1 << 16  # of linear light: a fifth of an 8-bit level where the levels are densest


def pixel_lightness(pixels: np.ndarray) -> np.ndarray:
    """Returns the lightness of pixels.

    Args:
        pixels: uint8 or uint16 (count, 1 or 3), gray or RGB.

    Returns:
        float32 (count,), L in [0, 100].
    """
    return _luminance_and_root(pixels)[1] * np.float32(116) - np.float32(16)


def color_pixels(
    pixels: np.ndarray, chroma: np.ndarray, slope: np.ndarray | None = None
) -> np.ndarray:
    """Gives pixels a chroma, reduced as far as the sRGB gamut requires, and keeps their lightness.

    Args:
        pixels: uint8 or uint16 (count, 1 or 3), gray or RGB.
        chroma: float32 (2, count), (a, b) / 128.
        slope: float32 (2, count), added to `chroma` for each unit of the pixel's lightness.

    Returns:
        RGB (count, 3) of the same dtype as `pixels`.
    """
    y, fy = _luminance_and_root(pixels)
    if slope is not None:
        lightness = fy * np.float32(116) - np.float32(16)
        chroma = [plane + steep * lightness for plane, steep in zip(chroma, slope, strict=True)]
    dx = chroma[0] * np.float32(CHROMA_SCALE / 500)
    dz = chroma[1] * np.float32(-CHROMA_SCALE / 200)
    linear = _linear(y, fy, dx, dz)
    (outside,) = np.nonzero(~_is_in_gamut(linear))
    if len(outside):
        linear[:, outside] = _fitted(*(plane[outside] for plane in (y, fy, dx, dz)))
    return _to_levels(linear, pixels.dtype)


def _luminance_and_root(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns linear luminance Y in [0, 1] and f(Y) of CIE Lab, its cube root."""
    brightest = np.iinfo(pixels.dtype).max
    if pixels.shape[-1] == 1:
        return tuple(np.take(t, pixels[:, 0], mode="clip") for t in _gray_tables(brightest))
    tables = _luminance_tables(brightest)
    red, green, blue = (np.take(t, pixels[:, i], mode="clip") for i, t in enumerate(tables))
    red += green
    red += blue
    return red, _root(red)


@functools.cache
def _gray_tables(brightest: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns Y and f(Y) of each gray level."""
    y = sum(_luminance_tables(brightest))
    return y, _root(y)


@functools.cache
def _luminance_tables(brightest: int) -> tuple[np.ndarray, ...]:
    """Returns the contribution of each level of red, green and blue to Y."""
    level = np.arange(brightest + 1) / brightest
    linear = np.where(level > 0.04045, ((level + 0.055) / 1.055) ** 2.4, level / 12.92)
    return tuple(np.float32(share * linear) for share in _LUMINANCE)


def _root(y: np.ndarray) -> np.ndarray:
    """Returns f of CIE Lab: the cube root, and a line near black."""
    x = np.maximum(y, np.float32(EPSILON))
    # As in `conversion`: a first guess, then two steps of Halley's method.
    root = (x.view(np.int32) // 3 + np.int32(709_921_077)).view(np.float32)
    for _ in range(2):
        cube = root * root
        cube *= root
        root *= (cube + 2 * x) / (2 * cube + x)
    dark = y <= np.float32(EPSILON)
    if dark.any():
        root[dark] = np.float32(7.787) * y[dark] + _SIXTEEN_116THS
    return root


def _unroot(f: np.ndarray) -> np.ndarray:
    """Inverts `_root`."""
    cube = f * f
    cube *= f
    dark = f <= np.float32(0.2068966)
    if dark.any():
        cube[dark] = (f[dark] - _SIXTEEN_116THS) / np.float32(7.787)
    return cube


def _linear(y: np.ndarray, fy: np.ndarray, dx: np.ndarray, dz: np.ndarray) -> np.ndarray:
    """Returns linear RGB (3, count), which may lie outside [0, 1]."""
    x, z = _unroot(fy + dx), _unroot(np.maximum(fy + dz, np.float32(0)))
    linear = np.empty((3, len(y)), np.float32)
    for channel, (of_x, of_y, of_z) in zip(linear, _RGB_FROM_RELATIVE, strict=True):
        np.multiply(x, of_x, out=channel)
        channel += of_y * y
        channel += of_z * z
    return linear


def _is_in_gamut(linear: np.ndarray) -> np.ndarray:
    least = np.minimum(np.minimum(linear[0], linear[1]), linear[2])
    most = np.maximum(np.maximum(linear[0], linear[1]), linear[2])
    return (least >= np.float32(DARKEST)) & (most <= np.float32(LIGHTEST))


def _fitted(y: np.ndarray, fy: np.ndarray, dx: np.ndarray, dz: np.ndarray) -> np.ndarray:
    """Returns linear RGB with the chroma scaled down to the edge of the gamut."""
    share, width = np.zeros_like(y), np.float32(1)
    thrice = [np.tile(plane, 3) for plane in (y, fy, dx, dz)]
    # Two bisections at once: for so few pixels, the calls cost more than the arithmetic.
    for _ in range(BISECTIONS // 2):
        width /= np.float32(4)
        shares = share + width * _QUARTERS
        planes = (*thrice[:2], *(shares.reshape(-1) * plane for plane in thrice[2:]))
        inside = _is_in_gamut(_linear(*planes)).reshape(shares.shape)
        share += width * np.logical_and.accumulate(inside).sum(axis=0, dtype=np.float32)
    return _linear(y, fy, share * dx, share * dz)


def _to_levels(linear: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Returns the sRGB levels (count, 3) of linear RGB (3, count), which it clips in place."""
    np.clip(linear, 0, 1, out=linear)
    levels = np.empty((linear.shape[1], 3), dtype)
    if dtype == np.uint8:
        linear *= np.float32(_STEPS - 1)
        linear += np.float32(0.5)
        steps = linear.astype(np.int32)
        for i, step in enumerate(steps):
            levels[:, i] = np.take(_level_table(), step, mode="clip")
    else:
        levels[:] = np.rint(_encoded(linear) * np.iinfo(dtype).max).T
    return levels


@functools.cache
def _level_table() -> np.ndarray:
    return np.rint(255 * _encoded(np.arange(_STEPS) / (_STEPS - 1))).astype(np.uint8)


def _encoded(linear: np.ndarray) -> np.ndarray:
    """Applies the sRGB transfer function to linear light in [0, 1]."""
    high = 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    return np.where(linear > 0.0031308, high, 12.92 * linear)
