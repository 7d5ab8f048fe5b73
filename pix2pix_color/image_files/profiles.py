"""Converts pixels with an ICC profile to sRGB."""

from __future__ import annotations

import functools

import numpy as np

from .image_file import bands, reason_of

__all__ = ["srgb_profile", "to_srgb"]

_SPACES = {b"GRAY": "gray", b"RGB ": "rgb", b"CMYK": "cmyk"}
_CHANNELS = {1: "gray", 3: "rgb", 4: "cmyk"}
_PERCEPTUAL = 0


@functools.cache
def srgb_profile() -> bytes:
    """Returns an sRGB profile of about 600 bytes, identical in every call."""
    from PIL import ImageCms

    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes((0x07, 0xD0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0))  # date: 2000-01-01
    return bytes(profile)


def to_srgb(pixels: np.ndarray, profile: bytes | None) -> tuple[np.ndarray, bytes | None, str]:
    """Converts pixels to sRGB; RGB pixels in place.

    Args:
        pixels: uint8 or uint16 (height, width, 1, 3 or 4), gray, RGB or CMYK.
        profile: the profile of the pixels, or `None`; a broken or mismatched one is ignored.

    Returns:
        The pixels, (height, width, 1 or 3); the sRGB profile to write (`None` without a usable
        input profile); and why the profile was ignored, or "".
    """
    problem = ""
    if profile is not None:
        try:
            return *_with_profile(pixels, profile), ""
        except Exception as error:  # imagecodecs raises errors of many types
            problem = f"its ICC profile is not usable ({reason_of(error)}), so sRGB is assumed"
    return (_from_cmyk(pixels) if pixels.shape[-1] == 4 else pixels), None, problem


def _with_profile(pixels: np.ndarray, profile: bytes) -> tuple[np.ndarray, bytes]:
    space = _SPACES.get(profile[16:20]) if profile[36:40] == b"acsp" else None
    kind = _CHANNELS[pixels.shape[-1]]
    if space is None:
        raise ValueError("it is damaged, or its color space is not gray, RGB or CMYK")
    if space != kind and (space, kind) != ("rgb", "gray"):
        raise ValueError(f"it is for {space}, and the pixels are {kind}")
    if space == "rgb" and _is_srgb(profile):
        return pixels, profile
    if kind == "gray":
        return np.take(_levels(profile, space, pixels.dtype), pixels), srgb_profile()
    result = pixels
    if kind == "cmyk" or not pixels.flags.writeable:
        result = np.empty((*pixels.shape[:2], 3), pixels.dtype)
    for rows in bands(*pixels.shape[:2]):
        result[rows] = _transform(pixels[rows], profile, space)
    return result, srgb_profile()


def _levels(profile: bytes, space: str, dtype: np.dtype) -> np.ndarray:
    """Returns the sRGB level of each gray level, for an RGB profile along its gray axis."""
    levels = np.arange(np.iinfo(dtype).max + 1, dtype=dtype).reshape(256, -1)
    if space == "rgb":
        levels = np.repeat(levels[..., None], 3, axis=-1)
    return _transform(levels, profile, space, is_exact=True)[..., 1].ravel()


def _transform(
    pixels: np.ndarray, profile: bytes, space: str, is_exact: bool = False
) -> np.ndarray:
    import imagecodecs

    is_exact |= pixels.dtype == np.uint16
    return imagecodecs.cms_transform(
        np.ascontiguousarray(pixels),
        profile,
        srgb_profile(),
        colorspace=space,
        outcolorspace="rgb",
        intent=_PERCEPTUAL,
        # For 16 bits, LittleCMS's own tables are off by up to 20 levels of 255.
        flags=imagecodecs.CMS.FLAGS.NOOPTIMIZE if is_exact else None,
    )


@functools.lru_cache(maxsize=16)
def _is_srgb(profile: bytes) -> bool:
    """Returns whether a profile changes no color of a grid by more than one level of 255."""
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(len(levels), -1, 3)
    converted = _transform(grid, profile, "rgb")
    return bool(np.abs(converted.astype(np.int16) - grid).max() <= 1)


def _from_cmyk(pixels: np.ndarray) -> np.ndarray:
    """Returns RGB for CMYK without a profile: each ink absorbs light."""
    height, width = pixels.shape[:2]
    white = int(np.iinfo(pixels.dtype).max)
    rgb = np.empty((height, width, 3), pixels.dtype)
    for rows in bands(height, width):
        light = white - pixels[rows].astype(np.uint32)
        rgb[rows] = (light[..., :3] * light[..., 3:] + white // 2) // white
    return rgb
