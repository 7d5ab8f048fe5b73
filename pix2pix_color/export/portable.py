"""The network alone for other runtimes: ONNX Runtime and LiteRT (once TensorFlow Lite).

Both map `lightness`, float32 (n, rows, columns, 1), L in [0, 100], to `chroma`, float32 (n, rows,
columns, 2), (a, b) / 128: channels last, as in Keras. Lab conversion, resizing and merging are
left to the caller; the SavedModel includes them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from .. import color
from ..errors import ExportError
from ..files import replacing
from ..inference import any_size
from ..startup import without_stderr
from .refusal import refuse_existing

__all__ = ["QUANTIZATIONS", "export_lite", "export_onnx"]

QUANTIZATIONS = ("float32", "float16", "int8")

_OPSET = 17  # from 2022: supported by the runtimes of phones and browsers
_AXES = ("batch", "rows", "columns")
_CALIBRATION = 200  # images; TensorFlow's guide asks for a hundred or more


def export_onnx(generator: keras.Model, path: str | Path, *, overwrite: bool = False) -> Path:
    """Writes the network as ONNX, for any batch and any multiple of the training image size.

    Args:
        generator: as from `Trainer.inference_generator`.
        path: the `.onnx` file to write.
        overwrite: replace an existing file.

    Returns:
        `path`.

    Raises:
        ExportError: `tf2onnx` is missing, the file exists, or the network has an operation that
            ONNX lacks (as a generator that predicts RGB has).
    """
    path = Path(path)
    refuse_existing(path, overwrite)
    try:
        import onnx
        import tf2onnx
    except ImportError as error:
        raise ExportError(
            'Exporting to ONNX needs tf2onnx: pip install "pix2pix_color[onnx]"'
        ) from error
    signature = [tf.TensorSpec([None, None, None, 1], tf.float32, name="lightness")]
    function = _function(any_size(generator), signature)
    try:
        with without_stderr():  # the converter reports its progress there
            model, _ = tf2onnx.convert.from_function(function, signature, opset=_OPSET)
        onnx.checker.check_model(model)
    except (ValueError, NotImplementedError, onnx.checker.ValidationError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ExportError(f"This network cannot be exported to ONNX: {reason}") from error
    for tensor in (*model.graph.input, *model.graph.output):
        for axis, name in zip(tensor.type.tensor_type.shape.dim, _AXES, strict=False):
            axis.dim_param = name
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
    return path


def export_lite(
    generator: keras.Model,
    path: str | Path,
    quantization: str = "float32",
    *,
    shape: tuple[int, int] | None = None,
    calibration: np.ndarray | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes the network for LiteRT, for one image of one size.

    Phone accelerators need fixed sizes, and on a CPU a fixed batch takes two thirds of the time
    of an open one.

    Args:
        generator: as from `Trainer.inference_generator`.
        path: the `.tflite` file to write.
        quantization: `"float32"`; `"float16"`, weights of half the size; or `"int8"`, weights of
            a quarter of the size and integer arithmetic (input and output stay float32), which
            is too coarse for a network that predicts RGB.
        shape: rows and columns of the image; the default is the training image size.
        calibration: uint8 images (n, height, width, 1 or 3) of the kind that will be colorized,
            from which `"int8"` takes the ranges of its activations; the default is the
            photographs inside scikit-image.
        overwrite: replace an existing file.

    Returns:
        `path`.

    Raises:
        ExportError: the file exists, an unknown quantization, or a shape that does not fit.
    """
    path, multiple = Path(path), generator.input_shape[1] or 32
    rows, columns = shape or (multiple, multiple)
    if quantization not in QUANTIZATIONS:
        raise ExportError(
            f"Unknown quantization {quantization!r}: use one of {', '.join(QUANTIZATIONS)}."
        )
    if min(rows, columns) < multiple or rows % multiple or columns % multiple:
        raise ExportError(f"Both sides must be multiples of {multiple}, not {rows}x{columns}.")
    refuse_existing(path, overwrite)
    network = any_size(generator)
    signature = [tf.TensorSpec([1, rows, columns, 1], tf.float32, name="lightness")]
    # Through a SavedModel: only there does the converter find the weights of Keras 3.
    with tempfile.TemporaryDirectory() as folder, without_stderr():
        module = tf.Module()
        module.weights = [variable.value for variable in network.variables]
        tf.saved_model.save(module, folder, _function(network, signature))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if quantization != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantization == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if quantization == "int8":
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.representative_dataset = _representatives(calibration, rows, columns)
        content = converter.convert()
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return path


def _function(network: keras.Model, signature: list[tf.TensorSpec]) -> Callable:
    @tf.function(input_signature=signature, autograph=False)
    def chroma(lightness):
        return {"chroma": network(lightness, training=False)}

    return chroma


def _representatives(
    images: np.ndarray | None, rows: int, columns: int
) -> Callable[[], Iterator[list[np.ndarray]]]:
    """Returns the images from which the converter takes the ranges of the activations."""
    if images is None:
        from ..data import load_dataset

        dataset = load_dataset("photographs", limit=_CALIBRATION)
        images = np.stack(list(dataset.images.as_numpy_iterator()))
    lightness, _ = color.split(np.broadcast_to(images, (*images.shape[:3], 3)))
    lightness = tf.image.resize(lightness, (rows, columns), antialias=True).numpy()
    return lambda: ([image[None]] for image in lightness)
