"""The two networks: a U-Net generator and a PatchGAN (or plain CNN) discriminator.

Each builder is a function from a configuration to a Keras functional model. With the
defaults they are Figure 1 (6,268,610 parameters) and Figure 2 (2,768,577) of the report.
"""

from ..config import DiscriminatorConfig, GeneratorConfig
from .discriminator import build_discriminator, discriminator_layers, receptive_field
from .encoder_unet import split_generator, takes_hints
from .generator import build_generator, color_generator

__all__ = [
    "DiscriminatorConfig",
    "GeneratorConfig",
    "build_discriminator",
    "build_generator",
    "color_generator",
    "discriminator_layers",
    "receptive_field",
    "split_generator",
    "takes_hints",
]
