"""Turns a trained generator into the files that people use.

The SavedModel is the product: images of any height and width in, gray or RGB; color images out;
color conversion, resizing and merging inside the graph (`saved_model`). `portable` converts the
network alone for ONNX Runtime and LiteRT, and `folder` ships it all with a model card, a guide
for TensorFlow Serving and checksums.
"""

from .cards import write_card
from .folder import FORMATS, export_model
from .portable import QUANTIZATIONS, convert_to_lite, convert_to_onnx
from .saved_model import export_saved_model

__all__ = [
    "FORMATS",
    "QUANTIZATIONS",
    "convert_to_lite",
    "convert_to_onnx",
    "export_model",
    "export_saved_model",
    "write_card",
]
