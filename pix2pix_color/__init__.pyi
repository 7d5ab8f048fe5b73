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

__all__ = [
    "Colorizer",
    "Config",
    "Trainer",
    "build_discriminator",
    "build_generator",
    "evaluate",
    "export_saved_model",
    "figures",
    "lab_to_rgb",
    "load_dataset",
    "make_strategy",
    "metrics",
    "rgb_to_lab",
]
__version__: str
