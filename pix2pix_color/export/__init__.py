"""Turns a trained generator into the files that people use.

The SavedModel is the product: images of any height and width in, gray or RGB; color images out;
color conversion, resizing and merging inside the graph (`saved_model`). `portable` writes the
network alone for ONNX Runtime and LiteRT, and `folder` ships it all with a model card, a guide
for TensorFlow Serving and checksums.
"""

from .cards import model_card
from .folder import FORMATS, export_model, write_card
from .portable import QUANTIZATIONS, export_lite, export_onnx
from .saved_model import export_saved_model
from .serving import serving_guide

__all__ = [
    "FORMATS",
    "QUANTIZATIONS",
    "export_lite",
    "export_model",
    "export_onnx",
    "export_saved_model",
    "model_card",
    "serving_guide",
    "write_card",
]
