"""Grayscale image colorization with a pix2pix GAN, in TensorFlow and Keras.

`import pix2pix_color` is cheap: TensorFlow is loaded when a name that needs it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_EXPORTS = {
    "Config": "config",
    "Colorizer": "colorizer",
    "Trainer": "training",
    "build_discriminator": "networks",
    "build_generator": "networks",
    "evaluate": "evaluation",
    "export_saved_model": "export",
    "lab_to_rgb": "color",
    "load_dataset": "data",
    "make_strategy": "distribute",
    "rgb_to_lab": "color",
}
_MODULES = ("figures", "metrics")

__all__ = ["__version__", *_EXPORTS, *_MODULES]

if TYPE_CHECKING:
    from . import figures, metrics
    from .color import lab_to_rgb, rgb_to_lab
    from .colorizer import Colorizer
    from .config import Config
    from .data import load_dataset
    from .distribute import make_strategy
    from .evaluation import evaluate
    from .export import export_saved_model
    from .networks import build_discriminator, build_generator
    from .training import Trainer


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(importlib.import_module(f".{_EXPORTS[name]}", __name__), name)
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
