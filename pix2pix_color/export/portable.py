"""The network alone for other runtimes: ONNX Runtime and LiteRT (once TensorFlow Lite).

Both map `lightness`, float32 (n, rows, columns, 1), L in [0, 100], to `chroma`, float32 (n, rows,
columns, 2), (a, b) / 128: channels last, as in Keras. Lab conversion, resizing and merging are
left to the caller; the SavedModel includes them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from .. import color
from ..errors import ExportError, one_line
from ..inference import any_size, size_multiple
from ..startup import without_stderr

__all__ = ["QUANTIZATIONS", "convert_to_lite", "convert_to_onnx"]

QUANTIZATIONS = ("float32", "float16", "int8")

_OPSET = 17  # from 2022: supported by the runtimes of phones and browsers
_AXES = ("batch", "rows", "columns")
_CALIBRATION = 200  # images; TensorFlow's guide asks for a hundred or more


def convert_to_onnx(generator: keras.Model) -> bytes:
    """Returns the network as an ONNX file, for any batch and any multiple of the training size.

    Args:
        generator: as from `Trainer.inference_generator`.

    Raises:
        ExportError: `tf2onnx` is missing, or the network has an operation that ONNX lacks (as a
            generator that predicts RGB has).
    """
    try:
        import onnx
        import tf2onnx
    except ImportError as error:
        raise ExportError(
            'Exporting to ONNX needs tf2onnx: pip install "pix2pix_color[onnx]"'
        ) from error
    function = _chroma_function(any_size(generator), [None, None, None, 1])
    try:
        with without_stderr():  # the converter reports its progress there
            model, _ = tf2onnx.convert.from_function(
                function, function.input_signature, opset=_OPSET
            )
        onnx.checker.check_model(model)
    except (ValueError, NotImplementedError, onnx.checker.ValidationError) as error:
        reason = one_line(error)[:200]
        raise ExportError(f"This network cannot be exported to ONNX: {reason}") from error
    for tensor in (*model.graph.input, *model.graph.output):
        for axis, name in zip(tensor.type.tensor_type.shape.dim, _AXES, strict=False):
            axis.dim_param = name
    return model.SerializeToString()


def convert_to_lite(generator: keras.Model, quantization: str = "float32") -> bytes:
    """Returns the network as a LiteRT file, for one image of the training size.

    Phone accelerators need fixed sizes, and on a CPU a fixed batch takes two thirds of the time
    of an open one.

    Args:
        generator: as from `Trainer.inference_generator`.
        quantization: `"float32"`; `"float16"`, weights of half the size; or `"int8"`, weights of
            a quarter of the size and integer arithmetic (input and output stay float32), which
            is too coarse for a network that predicts RGB.

    Raises:
        ExportError: an unknown quantization.
    """
    if quantization not in QUANTIZATIONS:
        raise ExportError(
            f"Unknown quantization {quantization!r}: use one of {', '.join(QUANTIZATIONS)}."
        )
    size, module = size_multiple(generator), tf.Module()
    module.weights = [variable.value for variable in generator.variables]
    # Through a SavedModel: only there does the converter find the weights of Keras 3.
    with tempfile.TemporaryDirectory() as folder, without_stderr():
        tf.saved_model.save(module, folder, _chroma_function(generator, [1, size, size, 1]))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if quantization != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantization == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if quantization == "int8":
            calibration = _calibration(size)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.representative_dataset = lambda: ([image[None]] for image in calibration)
        return converter.convert()


def _chroma_function(network: keras.Model, shape: list[int | None]) -> Callable:
    @tf.function(
        input_signature=[tf.TensorSpec(shape, tf.float32, name="lightness")], autograph=False
    )
    def chroma(lightness):
        return {"chroma": network(lightness, training=False)}

    return chroma


def _calibration(size: int) -> np.ndarray:
    """Returns lightness from which the converter takes the ranges of the activations."""
    from ..data import load_dataset

    photographs = load_dataset("photographs", image_size=size, limit=_CALIBRATION)
    images = np.stack(list(photographs.images.as_numpy_iterator()))
    return color.split(images)[0].numpy()
