"""Every hyperparameter, its default, and where the default comes from.

A `Config` is frozen: it describes a run completely, travels with it as
`config.json`, and is changed only by making another (`Config.override`).
This package imports nothing heavy, so that `pix2pix-color --help` stays fast.
"""

from .hyperparameters import (
    CHROMA_STRIDE,
    PALETTE,
    DataConfig,
    DiscriminatorConfig,
    GeneratorConfig,
    TrainingConfig,
)
from .options import nearest
from .run import PRESETS, Config

__all__ = [
    "CHROMA_STRIDE",
    "PALETTE",
    "PRESETS",
    "Config",
    "DataConfig",
    "DiscriminatorConfig",
    "GeneratorConfig",
    "TrainingConfig",
    "nearest",
]
