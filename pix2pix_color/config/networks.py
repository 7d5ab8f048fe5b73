"""The shapes of the two networks."""

from __future__ import annotations

import dataclasses
from typing import Literal

from ..errors import ConfigError
from .checks import nearest, require, require_choices

__all__ = ["DiscriminatorConfig", "GeneratorConfig"]


@dataclasses.dataclass(frozen=True)
class GeneratorConfig:
    """The U-Net of report section 3.1, what section 4.2.1 varies in it, and a residual one.

    Attributes:
        kind: `"unet"` (Figure 1), or `"residual"`: residual blocks on every level of the U-Net,
            the full resolution included (He et al. 2016, "Identity mappings").
        depth: number of halvings on the way down (Figure 1: 5, so 32x32 becomes 1x1).
        filters: channels of the first level; each level down doubles them (Figure 1: 32).
        max_filters: where the doubling ends; 0 is never (Figure 1).
        blocks: residual blocks a level, each way, of a residual generator.
        attention_level: on the maps of which level, each way, every pixel of a residual generator
            attends to all others (Vaswani et al. 2017; Zhang et al. 2019): 2 is 8x8 of a 32x32
            image; 0 is off. Its memory grows with the square of the pixels: not for large render
            sizes.
        modulation: scale the maps of a residual generator's decoder, channel by channel, by a
            style of the whole image, read off its coarsest maps (Karras et al. 2019, without
            their noise).
        guide: a classifier whose features of the gray image a residual generator is told, at its
            coarsest maps (Iizuka et al. 2016): `"gray_classifier"`, shipped and trained on gray
            images too; `"classifier"`, which also scores; or a folder that `export_classifier`
            made; empty is off. It does not learn, and comes with the weights.
        self_ensemble: give an image the mean of the colors that it and its mirror image get (Lim
            et al. 2017): twice the operations where it colorizes, none more in training. In Lab.
        kernel_size: side of every convolution kernel (Figure 1: 4; He et al. 2016: 3).
        skip_connections: `"all"` (Figure 1), `"none"`, `"innermost"`, `"outermost"`, or the
            levels to connect as a tuple of numbers, 1 (finest) to depth - 1 (coarsest). A
            residual generator has a finer one, 0, of full resolution.
        downsampling: `"strided"` convolution (Figure 1) or `"pooling"` (stride 1, then max).
        upsampling: `"transposed"` convolution (Figure 1) or `"resize"` (nearest, then
            convolution; Odena et al. 2016, against checkerboards).
        normalization: `"batch"` (Figure 1), `"instance"`, `"group"` (of up to 8 channels a
            group), `"none"`.
        dropout: rate after the normalization of the three innermost up-sampling
            blocks (Isola et al. 2017 use 0.5; Figure 1 has none); in a residual generator,
            before the last convolution of every block (Zagoruyko and Komodakis 2016).
        negative_slope: of the encoder's leaky ReLU (Figure 1: 0.2), and of all in a residual
            generator.
    """

    kind: Literal["unet", "residual"] = "unet"
    depth: int = 5
    filters: int = 32
    max_filters: int = 0
    blocks: int = 1
    attention_level: int = 0
    modulation: bool = False
    guide: str = ""
    self_ensemble: bool = False
    kernel_size: int = 4
    skip_connections: str | tuple[int, ...] = "all"
    downsampling: Literal["strided", "pooling"] = "strided"
    upsampling: Literal["transposed", "resize"] = "transposed"
    normalization: Literal["batch", "instance", "group", "none"] = "batch"
    dropout: float = 0.0
    negative_slope: float = 0.2

    def __post_init__(self) -> None:
        require_choices("generator", self)
        for name in ("depth", "filters", "blocks", "kernel_size"):
            value = getattr(self, name)
            require(value >= 1, f"generator.{name} must be at least 1, not {value}.")
        require(
            self.max_filters == 0 or self.max_filters >= self.filters,
            f"generator.max_filters {self.max_filters} is below generator.filters {self.filters}; "
            "0 is no limit.",
        )
        require(0 <= self.dropout < 1, f"generator.dropout must be in [0, 1), not {self.dropout}.")
        require(
            0 <= self.attention_level <= self.depth,
            f"generator.attention_level {self.attention_level} is no level of a depth of "
            f"{self.depth}: levels go from 1 to {self.depth}, and 0 is off.",
        )
        require(
            self.kind == "residual"
            or not (self.blocks > 1 or self.attention_level or self.modulation or self.guide),
            "generator.blocks, generator.attention_level, generator.modulation and "
            "generator.guide need generator.kind=residual.",
        )
        self.skip_levels()

    def channels(self, level: int) -> int:
        """Returns the channels of a level: 0 is the full resolution, `depth` the coarsest.

        A U-Net's levels start at 1, which has the channels that a residual one's 0 has.
        """
        doublings = level - 1 if self.kind == "unet" else level
        channels = self.filters * 2**doublings
        return min(channels, self.max_filters) if self.max_filters else channels

    def skip_levels(self) -> tuple[int, ...]:
        """Returns the levels with a skip connection, finest to coarsest (depth - 1)."""
        finest = 1 if self.kind == "unet" else 0
        levels = tuple(range(finest, self.depth))
        named = {
            "all": levels,
            "none": (),
            "innermost": levels[-1:],
            "outermost": levels[:1],
        }
        chosen = self.skip_connections
        if isinstance(chosen, str):
            if chosen not in named:
                raise ConfigError(
                    f"Unknown generator.skip_connections {chosen!r}: {nearest(chosen, named)}"
                )
            return named[chosen]
        if not set(chosen) <= set(levels):
            raise ConfigError(
                f"generator.skip_connections {chosen} names a level that a depth of {self.depth} "
                f"does not have: levels go from {finest} to {self.depth - 1}."
            )
        return tuple(sorted(set(chosen)))


@dataclasses.dataclass(frozen=True)
class DiscriminatorConfig:
    """The PatchGAN of report section 3.2, and what section 4.2.1 varies in it.

    Attributes:
        kind: `"patch"` (one logit a patch) or `"cnn"` (a standard CNN, one logit an image).
        depth: number of stride-2 convolutions (Figure 2: 3). 0 is the 1x1 "PixelGAN" of
            Isola et al. 2017; log2(image size) sees the whole image in one logit.
        filters: channels of the first convolution; each next doubles them (Figure 2: 64).
        max_filters: where the doubling ends (Figure 2 and Isola et al. 2017: 512).
        kernel_size: side of every kernel (Figure 2: 4); 1 where the depth is 0.
        normalization: as in the generator (Figure 2: `"batch"`), or `"spectral"`: each kernel
            is divided by its largest singular value (Miyato et al. 2018), in a patch
            discriminator.
        dropout: rate after each activation (Figure 2: none).
        negative_slope: of the leaky ReLU (Figure 2: 0.2).
        conditional: judge the colors beside the lightness (Figure 2); else the colors alone.
    """

    kind: Literal["patch", "cnn"] = "patch"
    depth: int = 3
    filters: int = 64
    max_filters: int = 512
    kernel_size: int = 4
    normalization: Literal["batch", "instance", "group", "none", "spectral"] = "batch"
    dropout: float = 0.0
    negative_slope: float = 0.2
    conditional: bool = True

    def __post_init__(self) -> None:
        require_choices("discriminator", self)
        require(self.depth >= 0, f"discriminator.depth must not be negative: {self.depth}.")
        require(
            self.depth >= 1 or self.kind == "patch",
            "A discriminator of kind 'cnn' needs a discriminator.depth of at least 1.",
        )
        require(
            self.normalization != "spectral" or self.kind == "patch",
            "discriminator.normalization=spectral needs discriminator.kind=patch.",
        )
        require(self.filters >= 1, "discriminator.filters must be at least 1.")
        require(self.max_filters >= self.filters, "discriminator.max_filters is below filters.")
        require(self.kernel_size >= 1, "discriminator.kernel_size must be at least 1.")
        require(0 <= self.dropout < 1, "discriminator.dropout must be in [0, 1).")
