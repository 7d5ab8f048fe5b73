"""Every score: its name, its title, which direction is better, and how it is computed.

Two protocols stand side by side: the true one, and the report's own, whose names begin with
`report_` and which cannot see color (see `metrics`). A new score of single images is one entry of
`SCORES` and one of `PROTOCOL`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from .. import metrics

__all__ = [
    "BASELINES",
    "PHOTOGRAPH_PROTOCOL",
    "PROTOCOL",
    "REAL",
    "SCORES",
    "Pair",
    "Score",
    "title_of",
]

_ARROWS = {"higher": "↑", "lower": "↓", "one": "→ 1", "": ""}


class Pair(NamedTuple):
    """A batch of real images and of the same images colorized, in every form that a score needs.

    Attributes:
        rgb: real and fake as float RGB in [0, 1], (batch, height, width, 3).
        lab: real and fake as Lab.
        uint8: real and fake as uint8 RGB.
        weights: how much the true color of each pixel counts, (batch, height, width).
    """

    rgb: tuple[tf.Tensor, tf.Tensor]
    lab: tuple[tf.Tensor, tf.Tensor]
    uint8: tuple[tf.Tensor, tf.Tensor]
    weights: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Score:
    """One number about a predictor on a data set; `PROTOCOL` has the definitions.

    It is either a sum over images divided by another sum (such as a mean), or a distance between
    the set of predicted and the set of real images, which no single image has.

    Attributes:
        name: the key in `metrics.json` and in the code.
        title: shown in tables and figures, with the unit.
        better: `"higher"`, `"lower"`, `"one"` (the closer to 1) or `""` (no direction).
        digits: decimals in tables.
        of: the score of each image of a pair, (batch,), if it has one of its own.
        averaged: the per-image score that is averaged, where it has another name.
        weight: the per-image score of the real images by which each image is weighted.
        relative_to: the per-image score of the real images whose sum is the denominator.
    """

    name: str
    title: str
    better: str
    digits: int
    of: Callable[[Pair], tf.Tensor] | None = None
    averaged: str = ""
    weight: str = ""
    relative_to: str = ""

    @property
    def column(self) -> str:
        """The name of the per-image score behind this one."""
        return self.averaged or self.name

    @property
    def heading(self) -> str:
        """The title with an arrow that points to the better side."""
        return f"{self.title} {_ARROWS[self.better]}".rstrip()


def _accuracy(pair: Pair, epsilon: float) -> tf.Tensor:
    return metrics.nazeri_accuracy(*pair.lab, epsilon=epsilon)


_SCORES = (
    Score("psnr", "true PSNR (dB)", "higher", 2, lambda p: metrics.psnr(*p.rgb)),
    Score("ssim", "true SSIM", "higher", 4, lambda p: metrics.ssim(*p.rgb)),
    Score("mae_rgb", "mean absolute error, RGB", "lower", 4, lambda p: metrics.mae_rgb(*p.rgb)),
    Score("mae_ab", "mean absolute error, ab", "lower", 2, lambda p: metrics.mae_ab(*p.lab)),
    Score("ciede2000", "CIEDE2000", "lower", 2, lambda p: metrics.ciede2000(*p.lab)),
    Score("chroma_auc", "AuC", "higher", 4, lambda p: metrics.chroma_auc(*p.lab)),
    Score(
        "chroma_auc_rebalanced",
        "AuC, class-rebalanced",
        "higher",
        4,
        lambda p: metrics.chroma_auc(*p.lab, pixel_weights=p.weights),
        weight="rebalancing_weight",
    ),
    Score("accuracy_2", "accuracy, epsilon 2 %", "higher", 4, lambda p: _accuracy(p, 0.02)),
    Score("accuracy_5", "accuracy, epsilon 5 %", "higher", 4, lambda p: _accuracy(p, 0.05)),
    Score("colorfulness", "colorfulness", "", 2, lambda p: metrics.colorfulness(p.rgb[1])),
    Score(
        "colorfulness_ratio",
        "colorfulness / real",
        "one",
        3,
        averaged="colorfulness",
        relative_to="colorfulness",
    ),
    Score(
        "blotches",
        "blotches / real",
        "lower",
        2,
        lambda p: metrics.blotches(*p.lab),
        relative_to="blotches",
    ),
    Score("chroma_distance", "chroma-histogram distance", "lower", 4),
    Score("semantic_accuracy", "semantic accuracy", "higher", 4, averaged="recognized"),
    Score("fcd", "FCD", "lower", 2),
    Score("agreement", "top-1 agreement", "higher", 3),
    Score(
        "report_psnr",
        "report-protocol PSNR (dB)",
        "higher",
        2,
        lambda p: metrics.report_psnr(*p.uint8),
    ),
    Score(
        "report_ssim", "report-protocol SSIM", "higher", 4, lambda p: metrics.report_ssim(*p.uint8)
    ),
)

SCORES: dict[str, Score] = {score.name: score for score in _SCORES}
"""Every score by its name, in the order of the tables."""

REAL = "real"
"""The real images' own name among the predictors: their colorfulness, how they are recognized."""

BASELINES: dict[str, str] = {
    "no_color": "no color at all",
    "mean_chroma": "mean chroma",
    "own_mean_chroma": "own mean chroma",
    "other_chroma": "other image's chroma",
}
"""The names of the baselines and their titles in tables."""

PROTOCOL: dict[str, str] = {
    "psnr": "peak signal-to-noise ratio of float RGB in [0, 1], peak 1, over all three channels",
    "ssim": "structural similarity of float RGB, the defaults of scikit-image with channel_axis=-1 "
    "and data_range=1",
    "mae_rgb": "float RGB in [0, 1], over all three channels",
    "mae_ab": "a and b, in units of CIE Lab",
    "ciede2000": "mean CIEDE2000 color difference over pixels; about 1 is just noticeable",
    "chroma_auc": "area under the curve: the share of pixels within a distance of their true ab, "
    "averaged over distances from 0 to 150 (Zhang et al. 2016)",
    "chroma_auc_rebalanced": "as AuC, over all pixels together, each weighted by how rare its true "
    "color is in the reference (Zhang et al. 2016)",
    "accuracy_2": "share of pixels whose rounded L, a and b are all within 2 % of their ranges of "
    "100, 220 and 220 (Nazeri et al. 2018)",
    "accuracy_5": "the same within 5 %",
    "colorfulness": "mean colorfulness (Hasler and Suesstrunk 2003), on the scale of 8-bit RGB",
    "colorfulness_ratio": "mean colorfulness divided by that of the real images",
    "blotches": "standard deviation of ab within 17x17 pixels, where that of L is below 2, summed "
    "over pixels and divided by that of the real images; 0 without color, so read it beside "
    "colorfulness",
    "chroma_distance": "Jensen-Shannon distance (base 2, from 0 to 1) between the ab histograms of "
    "all predicted and of all real pixels; the bins are 10 wide, one of them centered on gray",
    "semantic_accuracy": "share of images whose class the evaluation classifier recognizes (after "
    "Zhang et al. 2016)",
    "fcd": "the Fréchet distance between the evaluation classifier's features of colorized and of "
    "real images; comparable only with values of the same classifier and number of images, and "
    "not with FID",
    "report_psnr": "PSNR as the report computes it: the uint8 difference is squared in uint8, "
    "which wraps",
    "report_ssim": "SSIM as the report computes it: between the gray versions of both images, in "
    "uint8",
    "image": "scored as delivered: the predicted chroma with the true lightness, clipped to sRGB",
    "no_color": "a = b = 0: what a model that does nothing would return",
    "mean_chroma": "the mean (a, b) of all pixels of the reference, at every pixel",
    "own_mean_chroma": "the mean (a, b) of the image itself, at every pixel: an oracle, not a "
    "method",
    "other_chroma": "the chroma of another image, half the data set away",
    "mean": "over images",
    "interval": "95 %, over images: bootstrap percentiles of 1,000 resamples, seed 0; for the "
    "chroma-histogram distance, which resampling biases upward, the value plus and minus 1.96 "
    "standard deviations of its resamples; for FCD 1.96 standard deviations by the delta method",
    "model": "float32, moving statistics in batch normalization unless its name says otherwise, "
    "no test-time augmentation",
}
"""How every number of an evaluation was measured."""

_ALIKE = (
    "psnr", "ssim", "ciede2000", "colorfulness", "colorfulness_ratio", "blotches",
    "chroma_distance", "no_color", "own_mean_chroma",
)  # fmt: skip
PHOTOGRAPH_PROTOCOL: dict[str, str] = {name: PROTOCOL[name] for name in _ALIKE} | {
    "fcd": "the Fréchet distance between the judge's features of colorized and of real images, "
    "taken one by one (diagonal covariances); comparable only with values of the same judge and "
    "number of images: half as many give a value about 15 % higher",
    "agreement": "share of images that the judge puts in the same of its classes as the real image",
    "judge": "a classifier of photographs that no model was trained with: EfficientNet-Lite2 "
    "(ImageNet), or the one whose file was given; it sees the central square",
    "image": "each at its own size, the longer side at most 512, as `colorize` delivers it: with "
    "the luminance of its input, in uint8",
    "faithful": "vividness 0 of the same model",
    "louder": "its faithful end with a color strength that gives it the colorfulness of the "
    "model: what a model's vividness has to surpass in the other scores",
    "mean": PROTOCOL["mean"],
    "interval": "95 %, over images: bootstrap percentiles of 1,000 resamples, seed 0; for the "
    "chroma-histogram distance and FCD, which resampling biases upward, the value plus and minus "
    "1.96 standard deviations of its resamples",
}
"""How every number of an evaluation on photographs was measured."""


def title_of(name: str) -> str:
    """Returns what tables and figures call a score or a predictor."""
    if name in SCORES:
        return SCORES[name].title
    titles = {"model": "the model", "against": "the other model", REAL: "real images", **BASELINES}
    titles |= {"faithful": "its faithful end", "louder": "its faithful end, louder"}
    return titles.get(name, name)
