"""A U-Net on a pretrained encoder, whose decoder also takes hints and a palette."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import layers

from ..config import CHROMA_STRIDE, PALETTE
from .layer_maker import LayerMaker
from .layers import LightnessToGray, copy_at_precision
from .residual import activate, block, to_maps

__all__ = ["encoder_unet", "split_generator", "takes_hints"]

_FINEST = 2  # level n has size / 2**n pixels per side
_OUTPUT_GAIN = 0.01  # predictions start nearly gray, as most colors are


def encoder_unet(
    make: LayerMaker, lightness: keras.KerasTensor, encoder: keras.Model
) -> keras.KerasTensor:
    """Returns chroma for L, (batch, rows, columns, 1), on a copy of the encoder.

    What the decoder may be given beside the encoder's maps is absent here: see `split_generator`.
    """
    tuned = make.config.encoder_rate > 0
    fixed = keras.Model(encoder.input, encoder.outputs[:3]).layers  # up to stride 8
    copy = keras.models.clone_model(
        encoder, clone_function=lambda layer: copy_at_precision(layer, make.precision)
    )
    copy.set_weights(encoder.get_weights())
    for layer, original in zip(copy.layers, encoder.layers, strict=True):
        normalizes = isinstance(layer, layers.BatchNormalization)
        layer.trainable = tuned and original not in fixed and not normalizes
    copy.trainable = tuned
    gray = LightnessToGray(dtype="float32", name="gray")(lightness)
    hints = Absent((None, None, 3), dtype="float32", name="no_hints")(lightness)
    palette = Absent((PALETTE,), dtype="float32", name="no_palette")(lightness)
    x = _decoder(make, copy)([*copy(gray), hints, palette])
    return Enlarge(dtype="float32", name="enlarge")(x)


def takes_hints(generator: keras.Model) -> bool:
    """Returns whether a generator is of kind `pretrained`."""
    return isinstance(generator.layers[-1], Enlarge)


def split_generator(
    generator: keras.Model, enlarged: bool = True
) -> tuple[keras.Model, keras.Model]:
    """Returns the two halves of a generator of kind `pretrained`, which share its layers.

    Args:
        generator: from `build_generator`.
        enlarged: to the resolution of the image; otherwise chroma as it is predicted.

    Returns:
        A model from lightness (batch, rows, columns, 1) to a list of maps; and one from the list
        [*maps, hints, palette] to chroma (batch, rows, columns, 2). Hints are (batch, rows / 4,
        columns / 4, 3): (a, b) / 128, and 1 where they are given; palettes (batch, 485): shares of
        the bins of `metrics.chroma_histogram`, then 1. Zeros are none.
    """
    encoder, decoder, enlarge = map(generator.get_layer, ("encoder", "decoder", "enlarge"))
    encode = keras.Model(generator.input, encoder(generator.get_layer("gray")(generator.input)))
    chroma = decoder.output
    return encode, keras.Model(decoder.input, enlarge(chroma) if enlarged else chroma)


def _decoder(make: LayerMaker, encoder: keras.Model) -> keras.Model:
    """Returns a model from maps, hints and a palette to chroma.

    Hints enter at every resolution; a palette enters at the coarsest, and scales all maps (Zhang
    et al. 2017, "Real-time user-guided image colorization").
    """
    config, given = make.config, {}
    maps = [keras.Input((None, None, x.shape[-1])) for x in encoder.outputs]
    hints, palette = keras.Input((None, None, 3)), keras.Input((PALETTE,))
    with make.in_precision():
        x = hints
        for level in range(_FINEST, config.depth + 1):
            stride = 1 if level == _FINEST else 2
            x = make.convolution(x, config.filters // 2, f"hints{level}_conv", stride=stride)
            x = given[level] = make.leaky_relu(x, f"hints{level}_leaky_relu")
        x = make.convolution(maps[-1], config.channels(config.depth), "coarsest_conv", kernel=1)
        style = make.dense(palette, x.shape[-1], "palette_dense")
        style = make.leaky_relu(style, "palette_leaky_relu")
        shift = to_maps(make.dense(style, x.shape[-1], "shift_dense"), "shift")
        x = layers.Add(name="shift_add")([x, shift])
        x = block(make, x, given[config.depth], style, "coarsest_block")
        for level in range(config.depth - 1, _FINEST - 1, -1):
            x = make.double(x, config.channels(level), f"up{level}")
            skip = layers.Concatenate(name=f"skip{level}")([maps[level - 1], given[level]])
            x = block(make, x, skip, style, f"up{level}_block")
        x = activate(make, x, "chroma")
        x = make.convolution(x, 2, "chroma_conv", gain=_OUTPUT_GAIN)
    x = layers.Activation("tanh", dtype="float32", name="tanh")(x)
    return keras.Model([*maps, hints, palette], x, name="decoder")


class Enlarge(layers.Layer):
    """Enlarges chroma (batch, rows, columns, 2) to the resolution of the image, bilinearly.

    Keras's `UpSampling2D` does so for known sizes only.
    """

    def call(self, inputs):
        return tf.image.resize(inputs, CHROMA_STRIDE * tf.shape(inputs)[1:3])

    def compute_output_shape(self, input_shape):
        batch, *sides, colors = input_shape
        return (batch, *(side and CHROMA_STRIDE * side for side in sides), colors)


class Absent(layers.Layer):
    """Zeros (batch, *shape) for L, (batch, rows, columns, 1); a `None` is a fourth of a side."""

    def __init__(self, shape: tuple[int | None, ...], **options) -> None:
        super().__init__(**options)
        self.shape = tuple(shape)

    def call(self, inputs):
        batch, *sides = tf.unstack(tf.shape(inputs)[:3])
        sides = iter(sides)
        return tf.zeros([batch, *(n or next(sides) // CHROMA_STRIDE for n in self.shape)])

    def compute_output_shape(self, input_shape):
        batch, *sides, _ = input_shape
        sides = iter(side and side // CHROMA_STRIDE for side in sides)
        return (batch, *(n or next(sides) for n in self.shape))

    def get_config(self):
        return super().get_config() | {"shape": self.shape}
