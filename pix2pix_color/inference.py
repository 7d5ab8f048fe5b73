"""Colourizes images of any size with a generator that learned small ones, in the graph.

The one path from uint8 images to uint8 colours: exported models, the library and the command
line all go through it.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from . import color
from . import layers as _layers  # noqa: F401  registers what a saved generator may hold

__all__ = ["any_size", "colorize_images"]

_LONGEST = 8  # times the shorter side: even longer images are squeezed for the network


def any_size(generator: keras.Model) -> keras.Model:
    """Returns a copy of a generator for any multiple of the image size that it was built for."""
    network = keras.models.clone_model(
        generator, input_tensors=keras.Input((None, None, 1), name="lightness")
    )
    network.set_weights(generator.get_weights())
    return network


def _render_shape(size: tf.Tensor, render_size: int, multiple: int) -> tf.Tensor:
    """Returns the (height, width) for the network: about the image's aspect ratio."""
    sides = tf.cast(size, tf.float32)
    scaled = sides / tf.reduce_min(sides) * (render_size / multiple)
    steps = tf.minimum(tf.round(scaled), _LONGEST * render_size // multiple)
    return tf.cast(steps, tf.int32) * multiple


def colorize_images(
    images: tf.Tensor, network: keras.Model, render_size: int = 32, multiple: int = 32
) -> tf.Tensor:
    """Colourizes images of any size, leaving their luminance as it is.

    The chroma is predicted on a small copy, whose shorter side has `render_size` pixels,
    enlarged, fitted into what sRGB can show, and merged with the full-size luminance.

    Args:
        images: uint8 (batch, height, width, 1 or 3), gray or RGB.
        network: from `any_size`.
        render_size: shorter side, in pixels, of what the network sees; a multiple of `multiple`.
        multiple: the image size that the network was built for.

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
    lightness = color.rgb_to_lab(rgb)[..., :1]
    size = tf.shape(images)[1:3]
    small = tf.image.resize(lightness, _render_shape(size, render_size, multiple), antialias=True)
    chroma = tf.image.resize(network(small, training=False), size, antialias=True)
    return color.to_uint8(color.merge(lightness, color.fit_chroma_to_gamut(lightness, chroma)))
