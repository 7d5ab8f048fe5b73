"""Data options."""

from __future__ import annotations

import dataclasses
from typing import Literal

from .checks import require, require_choices, require_ranges

__all__ = ["DataConfig"]


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The training images and how they are presented to the networks.

    Attributes:
        dataset: `"cifar10"` (through TFDS; report section 4.1), `"photographs"` (crops of the
            photographs inside scikit-image), `"tfds:NAME"`, the path of a folder of images, or a
            weighted mixture such as `"cifar10=4,photographs=1"`; see `load_dataset`.
        image_size: height and width of a training image in pixels (report: 32).
        drop_gray: leave out images whose three channels are equal at every pixel
            (report section 4.1: "we removed black and white images").
        flip: mirror half of the training images left to right (not in the report).
        shift: translate each training image at random by up to this many pixels in each
            direction, with mirrored borders (not in the report).
        color_space: what the generator predicts, and what L1 and the discriminator see:
            `"lab"` chroma (report section 4.1); `"rgb"` in [-1, 1] (Isola et al. 2017), which
            the generator itself converts to chroma; or `"distribution"`: probabilities of 484
            bins of the ab plane, which the generator reduces to chroma (Zhang et al. 2016).
        lightness_scale: the range of L in the first convolutions of both networks: `"report"`,
            0 to 100 as in the authors' code, or `"unit"`, rescaled to [-1, 1].
    """

    dataset: str = "cifar10"
    image_size: int = 32
    drop_gray: bool = True
    flip: bool = False
    shift: int = 0
    color_space: Literal["lab", "rgb", "distribution"] = "lab"
    lightness_scale: Literal["report", "unit"] = "report"

    def __post_init__(self) -> None:
        require_choices("data", self)
        require_ranges("data", self, {"image_size": (1, 4_096)})
        require(
            0 <= self.shift < self.image_size,
            f"data.shift must be from 0 to {self.image_size - 1} pixels, not {self.shift}.",
        )
