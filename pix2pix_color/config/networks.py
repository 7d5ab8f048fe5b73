"""The shapes of the two networks."""

from __future__ import annotations

import dataclasses
from typing import Literal

from .checks import ALMOST_ONE, require, require_choices, require_ranges

__all__ = ["DiscriminatorConfig", "GeneratorConfig"]

_CHANNELS = 8_192  # two such levels have kernels of a gigabyte
_DEPTH = 12  # halves the largest image to one pixel


@dataclasses.dataclass(frozen=True)
class GeneratorConfig:
    """The U-Net of report section 3.1, its variants of section 4.2.1, and a residual U-Net.

    Attributes:
        kind: `"unet"` (Figure 1), or `"residual"`: a U-Net of residual blocks that also has
            blocks at full resolution (He et al. 2016, "Identity mappings").
        depth: number of halvings on the way down (Figure 1: 5, so 32x32 becomes 1x1).
        filters: channels of the first level; each level down doubles them (Figure 1: 32).
        max_filters: where the doubling ends; 0 is never (Figure 1).
        kernel_size: side of every convolution kernel (Figure 1: 4; He et al. 2016: 3).
        skip_connections: `"all"` (Figure 1), `"none"`, `"innermost"` or `"outermost"`.
        downsampling: `"strided"` convolution (Figure 1) or `"pooling"` (stride 1, then max).
        upsampling: `"transposed"` convolution (Figure 1) or `"resize"` (nearest, then
            convolution; Odena et al. 2016, against checkerboards).
        normalization: `"batch"` (Figure 1), `"instance"`, `"group"` (of up to 8 channels per
            group) or `"none"`.
        dropout: rate after the normalization of the three innermost up-sampling blocks (Isola
            et al. 2017 use 0.5; Figure 1 has none); in a residual generator, before the last
            convolution of every block (Zagoruyko and Komodakis 2016).
        negative_slope: of the encoder's leaky ReLU (Figure 1: 0.2), and of all in a residual
            generator.
        modulation: scale the decoder's feature maps of a residual generator, channel by channel,
            by a style vector computed from the coarsest maps (Karras et al. 2019, without noise).
        guide: a classifier whose features of the gray image are injected into the coarsest
            feature maps of a residual generator (Iizuka et al. 2016): the shipped
            `"gray_classifier"` or `"classifier"`, or a folder written by `pix2pix-color
            train-classifier`; empty is off. It stays frozen and ships with the generator.
        self_ensemble: flip test-time augmentation (Lim et al. 2017): inference returns the mean
            of an image and its mirror image, at twice the operations. Lab only.
    """

    kind: Literal["unet", "residual"] = "unet"
    depth: int = 5
    filters: int = 32
    max_filters: int = 0
    kernel_size: int = 4
    skip_connections: Literal["all", "none", "innermost", "outermost"] = "all"
    downsampling: Literal["strided", "pooling"] = "strided"
    upsampling: Literal["transposed", "resize"] = "transposed"
    normalization: Literal["batch", "instance", "group", "none"] = "batch"
    dropout: float = 0.0
    negative_slope: float = 0.2
    modulation: bool = False
    guide: str = ""
    self_ensemble: bool = False

    def __post_init__(self) -> None:
        require_choices("generator", self)
        require_ranges(
            "generator",
            self,
            {
                "depth": (1, _DEPTH),
                "filters": (1, _CHANNELS),
                "max_filters": (0, _CHANNELS),
                "kernel_size": (1, 64),
                "dropout": (0, ALMOST_ONE),
                "negative_slope": (0, 1),
            },
        )
        coarsest = self.channels(self.depth)
        require(
            coarsest <= _CHANNELS,
            f"generator.filters {self.filters} doubles to {coarsest:,} channels at "
            f"generator.depth {self.depth}: at most {_CHANNELS:,}; generator.max_filters limits "
            "them.",
        )
        require(
            self.max_filters == 0 or self.max_filters >= self.filters,
            f"generator.max_filters {self.max_filters} is below generator.filters {self.filters}; "
            "0 is no limit.",
        )
        require(
            self.kind == "residual" or not (self.modulation or self.guide),
            "generator.modulation and generator.guide need generator.kind=residual.",
        )

    def channels(self, level: int) -> int:
        """Returns the channels of a level: 0 is the full resolution, `depth` the coarsest.

        A U-Net's levels start at 1, with as many channels as a residual one's level 0.
        """
        doublings = level - 1 if self.kind == "unet" else level
        channels = self.filters * 2**doublings
        return min(channels, self.max_filters) if self.max_filters else channels

    def skip_levels(self) -> tuple[int, ...]:
        """Returns the levels with a skip connection, finest to coarsest (depth - 1)."""
        levels = tuple(range(1 if self.kind == "unet" else 0, self.depth))
        return {
            "all": levels,
            "none": (),
            "innermost": levels[-1:],
            "outermost": levels[:1],
        }[self.skip_connections]


@dataclasses.dataclass(frozen=True)
class DiscriminatorConfig:
    """The PatchGAN of report section 3.2, and its variants of section 4.2.1.

    Attributes:
        kind: `"patch"` (one logit per patch) or `"cnn"` (a standard CNN, one logit per image).
        depth: number of stride-2 convolutions (Figure 2: 3). 0 is the 1x1 "PixelGAN" of
            Isola et al. 2017; log2(image size) sees the whole image in one logit.
        filters: channels of the first convolution; each next one doubles them (Figure 2: 64).
        max_filters: where the doubling ends (Figure 2 and Isola et al. 2017: 512).
        kernel_size: side of every kernel (Figure 2: 4); 1 where the depth is 0.
        normalization: as in the generator (Figure 2: `"batch"`), or `"spectral"`: each kernel
            is divided by its largest singular value (Miyato et al. 2018), patch only.
        negative_slope: of the leaky ReLU (Figure 2: 0.2).
        conditional: classify chroma together with lightness (Figure 2), or chroma alone.
    """

    kind: Literal["patch", "cnn"] = "patch"
    depth: int = 3
    filters: int = 64
    max_filters: int = 512
    kernel_size: int = 4
    normalization: Literal["batch", "instance", "group", "none", "spectral"] = "batch"
    negative_slope: float = 0.2
    conditional: bool = True

    def __post_init__(self) -> None:
        require_choices("discriminator", self)
        require_ranges(
            "discriminator",
            self,
            {
                "depth": (0, _DEPTH),
                "filters": (1, _CHANNELS),
                "max_filters": (1, _CHANNELS),
                "kernel_size": (1, 64),
                "negative_slope": (0, 1),
            },
        )
        require(
            self.depth >= 1 or self.kind == "patch",
            "A discriminator of kind 'cnn' needs a discriminator.depth of at least 1.",
        )
        require(
            self.normalization != "spectral" or self.kind == "patch",
            "discriminator.normalization=spectral needs discriminator.kind=patch.",
        )
        require(self.max_filters >= self.filters, "discriminator.max_filters is below filters.")
