"""Every hyperparameter, its default, and where the default comes from.

A `Config` is frozen: it describes a run completely, travels with it as
`config.json`, and is changed only by making another (`Config.override`).
This package imports nothing heavy, so that `pix2pix-color --help` stays fast.
"""

from .checks import nearest
from .data import DataConfig
from .networks import DiscriminatorConfig, GeneratorConfig
from .run import Config
from .training import TrainingConfig

__all__ = [
    "Config",
    "DataConfig",
    "DiscriminatorConfig",
    "GeneratorConfig",
    "TrainingConfig",
    "nearest",
]
