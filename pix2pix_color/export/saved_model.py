"""The SavedModel: images in, color images out, everything in between inside the graph.

It runs in any program that has TensorFlow, without this package and without Keras:

    model = tf.saved_model.load("saved_model")
    rgb = model.signatures["serving_default"](images=uint8_batch)["rgb"]

`serving.md` lists the signatures. `int(model.render_size)` is the default render size, and
`int(model.multiple)` what every render size is a multiple of. A model with a vividness dial also
has `float(model.vividness)`, the dial's default.

The weights are stored in half precision and cast in the graph, at each call of a signature. A
caller that colorizes many images casts them once: `model.predict(model.weights(), lightness)`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from ..colorizer import check_settings
from ..config import CHROMA_STRIDE, PALETTE
from ..errors import ExportError
from ..files import replacing
from ..hints import hint_grid
from ..inference import any_size, colorize_images, render_sizes, size_multiple, training_size
from ..networks import split_generator, takes_hints
from ..networks.packing import PackedNetwork

__all__ = ["MAX_PIXELS", "export_discriminator", "export_saved_model", "refuse_existing"]

MAX_PIXELS = 1 << 26
"""Largest image in a file for `from_bytes`: a kilobyte can claim to be gigabytes."""

_PNG = b"\x89PNG\r\n\x1a\n"
_IMAGES = tf.TensorSpec([None, None, None, None], tf.uint8, "images")
_FILES = tf.TensorSpec([None], tf.string, "image_bytes")
_LIGHTNESS = tf.TensorSpec([None, None, None, 1], tf.float32, "lightness")
_RENDER_SIZE = tf.TensorSpec([], tf.int32, "render_size")
_STRENGTH = tf.TensorSpec([], tf.float32, "strength")
_VIVIDNESS = tf.TensorSpec([], tf.float32, "vividness")
_POINTS = tf.TensorSpec([None, 2], tf.int32, "hint_points")
_COLORS = tf.TensorSpec([None, 3], tf.uint8, "hint_colors")
_AT_ONCE = 2  # files in parallel: each operation uses all cores by itself


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raises an `ExportError` if the path exists and must not be overwritten."""
    if path.exists() and not overwrite:
        raise ExportError(f"{path} already exists: choose another name, or ask to overwrite it.")


def export_saved_model(
    generator: keras.Model,
    path: str | Path,
    *,
    render_size: int | None = None,
    stable: keras.Model | None = None,
    vividness: float = 1.0,
    overwrite: bool = False,
) -> Path:
    """Writes a SavedModel that colorizes images of any size; the module lists its signatures.

    Args:
        generator: as from `Trainer.inference_generator`.
        path: the folder to write.
        render_size: default shorter side, in pixels, of what the network sees; the training
            image size if not given.
        stable: the generator that `generator` was fine-tuned from: gives the model a dial.
        vividness: the dial's default: 0 is `stable`, 1 is `generator`.
        overwrite: replace an existing folder.

    Returns:
        `path`.

    Raises:
        ExportError: the folder exists.
        ColorizerError: the render size or the vividness is out of range.
        ValueError: the two generators differ in more than their weights.
    """
    path, multiple = Path(path), size_multiple(generator)
    render_size = training_size(generator) if render_size is None else render_size
    check_settings(multiple, render_size, vividness=vividness)
    refuse_existing(path, overwrite)
    module = tf.Module()
    module.render_size = tf.Variable(render_size, trainable=False)
    module.multiple = tf.Variable(multiple, trainable=False)
    network = any_size(generator)
    module.generator = PackedNetwork(network, stable and any_size(stable))
    dial = None
    if stable is not None:
        module.vividness = tf.Variable(float(vividness), trainable=False)
        dial = tf.constant(float(vividness))
    module.weights = tf.function(
        module.generator.weights, input_signature=[] if dial is None else [_VIVIDNESS]
    )
    weights = module.weights.get_concrete_function().structured_outputs
    weights = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), weights)
    module.predict = tf.function(
        module.generator.predict, input_signature=[weights, _LIGHTNESS], autograph=False
    )
    if takes_hints(network):
        _add_halves(module, network, weights)
    signatures = _signatures(module, multiple, tf.constant(render_size), dial)
    with replacing(path) as temporary:
        tf.saved_model.save(module, str(temporary), signatures)
    return path


def _add_halves(module: tf.Module, network: keras.Model, weights: Any) -> None:
    """Adds `encode`, once a picture, and `decode`, once for each set of hints."""
    encode, decode = split_generator(network)
    maps = [tf.TensorSpec([None, *x.shape[1:]], tf.float32) for x in encode.outputs]
    hints = tf.TensorSpec([None, None, None, 3], tf.float32)
    palettes = tf.TensorSpec([None, PALETTE], tf.float32)

    @tf.function(input_signature=[weights, _LIGHTNESS], autograph=False)
    def module_encode(weights, lightness):
        return module.generator.predict_with(encode, weights, lightness)

    @tf.function(input_signature=[weights, _LIGHTNESS, maps, hints, palettes], autograph=False)
    def module_decode(weights, lightness, maps, hints, palettes):
        del lightness  # other generators may need it
        return module.generator.predict_with(decode, weights, [*maps, hints, palettes])

    module.encode, module.decode = module_encode, module_decode


def export_discriminator(discriminator: keras.Model, path: Path) -> None:
    """Writes a SavedModel that judges colors (report section 3.2).

    Its signature `serving_default` takes `lightness` (n, size, size, 1), L in [0, 100], and
    `chroma` (n, size, size, 2), (a, b) / 128, and returns `probability`, that of each patch to be
    real, such as (n, 4, 4, 1).
    """
    size = discriminator.input_shape[1]
    module = tf.Module()
    module.network = PackedNetwork(discriminator)

    def spec(channels: int, name: str) -> tf.TensorSpec:
        return tf.TensorSpec([None, size, size, channels], tf.float32, name)

    colors = discriminator.input_shape[-1] - 1

    @tf.function(input_signature=[spec(1, "lightness"), spec(colors, "chroma")], autograph=False)
    def judge(lightness, chroma):
        image = tf.concat([lightness, chroma], axis=-1)
        logits = module.network.predict(module.network.weights(), image)
        return {"probability": tf.sigmoid(logits)}

    tf.saved_model.save(module, str(path), {"serving_default": judge})


def _signatures(
    module: tf.Module, multiple: int, size: tf.Tensor, dial: tf.Tensor | None
) -> dict[str, Callable]:
    """Returns the signatures. Each calls the one before, so that the graph holds each once.

    A graph with less in it loads sooner. Tensors as default values are written into the file:
    servers may fill them in.
    """
    full, dials = tf.constant(1.0), [] if dial is None else [_VIVIDNESS]

    def weights(vividness=None):
        if vividness is not None:
            fits = (vividness >= 0.0) & (vividness <= 1.0)
            tf.debugging.Assert(fits, ["The vividness must be from 0 to 1, not", vividness])
        return module.weights(vividness)

    @tf.function(input_signature=[_LIGHTNESS, *dials], autograph=False)
    def chroma(lightness, vividness=dial):
        return {"chroma": module.predict(weights(vividness), lightness)}

    def render(images, render_size, strength, *vividness, hints=()):
        def network(lightness: tf.Tensor, training: bool) -> tf.Tensor:
            if not hints:
                return chroma(lightness, *vividness)["chroma"]
            grid = _checked_grid(*hints, tf.shape(images), tf.shape(lightness)[1:3])
            learned, none = weights(*vividness), tf.zeros([1, PALETTE])
            maps = module.encode(learned, lightness)
            return module.decode(learned, lightness, maps, grid[None], none)

        with tf.control_dependencies(_check_settings(render_size, strength, multiple)):
            images = tf.identity(images)
        stride = CHROMA_STRIDE if hasattr(module, "decode") else 1
        rgb = colorize_images(images, network, render_size, multiple, strength, stride)
        return {"rgb": rgb}

    # Default values are matched to the inputs from the end: each parameter must be an input.
    if dial is None:

        def colorize(images, render_size=size, strength=full):
            return render(images, render_size, strength)

        def with_hints(images, points, colors, render_size=size, strength=full):
            return render(images, render_size, strength, hints=(points, colors))
    else:

        def colorize(images, render_size=size, strength=full, vividness=dial):
            return render(images, render_size, strength, vividness)

        def with_hints(images, points, colors, render_size=size, strength=full, vividness=dial):
            return render(images, render_size, strength, vividness, hints=(points, colors))

    settings = [_RENDER_SIZE, _STRENGTH, *dials]
    colorize = tf.function(colorize, input_signature=[_IMAGES, *settings], autograph=False)
    hinted = [_IMAGES, _POINTS, _COLORS, *settings]
    with_hints = tf.function(with_hints, input_signature=hinted, autograph=False)

    @tf.function(input_signature=[_IMAGES], autograph=False)
    def serving_default(images):
        return colorize(images)

    def recode(encoded: tf.Tensor) -> tf.Tensor:
        rgb, alpha = _decode(encoded)
        return _encode(serving_default(rgb[None])["rgb"][0], alpha)

    # TensorFlow Serving takes and gives bytes as base64 where a name ends in `_bytes`.
    @tf.function(input_signature=[_FILES], autograph=False)
    def from_bytes(image_bytes):
        files = tf.map_fn(
            recode, image_bytes, fn_output_signature=tf.string, parallel_iterations=_AT_ONCE
        )
        return {"png_bytes": files}

    signatures = {
        "serving_default": serving_default,
        "colorize": colorize,
        "from_bytes": from_bytes,
        "chroma": chroma,
    }
    return signatures | ({"with_hints": with_hints} if hasattr(module, "decode") else {})


def _checked_grid(
    points: tf.Tensor, colors: tf.Tensor, images: tf.Tensor, shape: tf.Tensor
) -> tf.Tensor:
    """Returns `hint_grid` for one image, in a batch of the shape `images`."""
    size = images[1:3]
    is_inside = tf.reduce_all((points >= 0) & (points < size[::-1]))
    checks = [
        tf.debugging.Assert(images[0] == 1, ["Hints are for one image, not for", images[0]]),
        tf.debugging.Assert(is_inside, ["A hint is outside the image: x, y are", points]),
    ]
    with tf.control_dependencies(checks):
        return hint_grid(tf.identity(points), colors, size, shape)


def _check_settings(
    render_size: tf.Tensor, strength: tf.Tensor, multiple: int
) -> list[tf.Operation]:
    largest = render_sizes(multiple)[-1]
    fits = (render_size >= multiple) & (render_size <= largest) & (render_size % multiple == 0)
    message = f"The render size must be a multiple of {multiple} from {multiple} to {largest}, not"
    is_strength = tf.math.is_finite(strength) & (strength >= 0.0)
    return [
        tf.debugging.Assert(fits, [message, render_size]),
        tf.debugging.Assert(is_strength, ["The strength must be 0 or more, not", strength]),
    ]


def _decode(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns RGB (height, width, 3) and alpha (height, width, 1), uint8; only PNG has alpha."""

    def png() -> tuple[tf.Tensor, tf.Tensor]:
        rgba = tf.io.decode_png(encoded, channels=4)
        rgb, alpha = rgba[..., :3], rgba[..., 3:]
        # A file without alpha gets the largest value of its bit depth: 15, not 255, at four bits.
        with tf.control_dependencies([rgba]):  # the decoder refuses a truncated file
            bits = tf.io.decode_raw(tf.strings.substr(encoded, 24, 1), tf.uint8)[0]
        most = tf.bitwise.left_shift(1, tf.cast(bits, tf.int32)) - 1
        has_none = tf.reduce_all(tf.equal(tf.cast(alpha, tf.int32), most))
        return rgb, tf.where(has_none, tf.constant(255, tf.uint8), alpha)

    def other() -> tuple[tf.Tensor, tf.Tensor]:
        rgb = tf.io.decode_image(encoded, channels=3, expand_animations=False)
        return rgb, tf.fill(tf.concat([tf.shape(rgb)[:2], [1]], 0), tf.constant(255, tf.uint8))

    rgb, alpha = tf.cond(tf.equal(tf.strings.substr(encoded, 0, len(_PNG)), _PNG), png, other)
    height, width = tf.unstack(tf.shape(alpha, tf.int64)[:2])
    check = tf.debugging.Assert(
        height * width <= MAX_PIXELS,
        [f"An image may have {MAX_PIXELS} pixels at most, not", height, "x", width],
    )
    with tf.control_dependencies([check]):
        return tf.ensure_shape(rgb, [None, None, 3]), tf.ensure_shape(alpha, [None, None, 1])


def _encode(rgb: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    """Returns a PNG file, with an alpha channel where some pixel is not opaque."""
    return tf.cond(
        tf.reduce_all(tf.equal(alpha, 255)),
        lambda: tf.io.encode_png(rgb),
        lambda: tf.io.encode_png(tf.concat([rgb, alpha], axis=-1)),
    )
