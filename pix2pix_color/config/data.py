"""What is learned from."""

from __future__ import annotations

import dataclasses
from typing import Literal

from .checks import require, require_choices

__all__ = ["DataConfig"]


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """What is learned from.

    Attributes:
        dataset: `"cifar10"` (through TFDS; report section 4.1), `"photographs"`
            (crops of the photographs inside scikit-image), `"tfds:NAME"` (of TensorFlow
            Datasets), the path of a folder of images, or a mixture of these with their weights,
            such as `"cifar10=4,photographs=1"`; see `load_dataset`.
        image_size: height and width of a training image in pixels (report: 32).
        drop_gray: leave out images whose three channels are equal at every pixel
            (report section 4.1: "we removed black and white images").
        flip: mirror half of the training images left to right (not in the report).
        shift: move each training image by up to so many pixels in each direction, the border
            mirrored (not in the report).
        fit: how an image of another shape becomes square: `"crop"` (scale the shorter side,
            then cut the center) or `"resize"` (both sides scaled, aspect ratio lost).
        color_space: what the generator predicts, and L1 and the discriminator compare:
            `"lab"` chroma (report section 4.1) or `"rgb"` in [-1, 1] (Isola et al. 2017),
            which the generator then turns into chroma itself; or `"distribution"`: shares of 484
            bins of the ab plane, which it reads as chroma (Zhang et al. 2016), so that L1 and
            the discriminator see that.
        lightness_scale: what the first convolutions of both networks see of L: `"report"`,
            0 to 100 as in the authors' code, or `"unit"`, rescaled to [-1, 1].
    """

    dataset: str = "cifar10"
    image_size: int = 32
    drop_gray: bool = True
    flip: bool = False
    shift: int = 0
    fit: Literal["crop", "resize"] = "crop"
    color_space: Literal["lab", "rgb", "distribution"] = "lab"
    lightness_scale: Literal["report", "unit"] = "report"

    def __post_init__(self) -> None:
        require_choices("data", self)
        require(self.image_size >= 1, f"data.image_size must be positive, not {self.image_size}.")
        require(
            0 <= self.shift < self.image_size,
            f"data.shift must be from 0 to {self.image_size - 1} pixels, not {self.shift}.",
        )
