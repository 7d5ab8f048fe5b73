"""Every score: its name, its title, which way is better, and how it is computed.

Two protocols stand side by side: the true one, and the report's own, whose names begin with
`report_` and which cannot see color (see `metrics`).
"""

from __future__ import annotations

import dataclasses

__all__ = ["BASELINES", "PROTOCOL", "REAL", "SCORES", "Score", "predictor_title"]


@dataclasses.dataclass(frozen=True)
class Score:
    """One number about a predictor on a data set.

    A score is a sum over images divided by another, or a distance between two sets of images.

    Attributes:
        title: in tables and figures, with its unit.
        better: `"higher"`, `"lower"`, `"one"` (the nearer to 1) or `""` (no direction).
        digits: decimals in tables.
        text: what it is, for the protocol of `metrics.json`.
        column: the per-image score that is averaged; empty for a distance between sets.
        weight: the per-image score of the real images that weighs each image.
        relative_to: the per-image score of the real images whose sum is divided by.
    """

    title: str
    better: str
    digits: int
    text: str
    column: str = ""
    weight: str = ""
    relative_to: str = ""

    @property
    def heading(self) -> str:
        """The title with an arrow to the better side."""
        return f"{self.title} {_ARROWS[self.better]}".rstrip()


_ARROWS = {"higher": "↑", "lower": "↓", "one": "→ 1", "": ""}

SCORES: dict[str, Score] = {
    "psnr": Score(
        "true PSNR (dB)",
        "higher",
        2,
        "true PSNR in dB: float RGB in [0, 1], peak 1, over all three channels",
        "psnr",
    ),
    "ssim": Score(
        "true SSIM",
        "higher",
        4,
        "true SSIM: float RGB, skimage's defaults, channel_axis=-1, data_range=1",
        "ssim",
    ),
    "mae_rgb": Score(
        "mean absolute error, RGB",
        "lower",
        4,
        "mean absolute error of float RGB in [0, 1], over all three channels",
        "mae_rgb",
    ),
    "mae_ab": Score(
        "mean absolute error, ab",
        "lower",
        2,
        "mean absolute error of a and b, in units of CIE Lab",
        "mae_ab",
    ),
    "ciede2000": Score(
        "CIEDE2000",
        "lower",
        2,
        "mean CIEDE2000 color difference of the pixels; 1 is about what an eye can just see",
        "ciede2000",
    ),
    "chroma_auc": Score(
        "AuC",
        "higher",
        4,
        "share of pixels within a distance of their true ab, averaged over the distances 0 to "
        "150 (Zhang et al. 2016)",
        "chroma_auc",
    ),
    "chroma_auc_rebalanced": Score(
        "AuC, class-rebalanced",
        "higher",
        4,
        "the same, each pixel weighted by how rare its true color is in the reference (Zhang et "
        "al. 2016), pooled over all pixels",
        "chroma_auc_rebalanced",
        weight="rebalancing_weight",
    ),
    "accuracy_2": Score(
        "accuracy, epsilon 2 %",
        "higher",
        4,
        "share of pixels whose L, a and b, in whole numbers, are all within 2 % of their ranges "
        "of 100, 220 and 220 (Nazeri et al. 2018)",
        "accuracy_2",
    ),
    "accuracy_5": Score(
        "accuracy, epsilon 5 %",
        "higher",
        4,
        "the same within 5 %",
        "accuracy_5",
    ),
    "colorfulness": Score(
        "colorfulness",
        "",
        2,
        "mean colorfulness of Hasler and Suesstrunk 2003, on the scale of 8-bit RGB",
        "colorfulness",
    ),
    "colorfulness_ratio": Score(
        "colorfulness / real",
        "one",
        3,
        "mean colorfulness divided by that of the real images",
        "colorfulness",
        relative_to="colorfulness",
    ),
    "chroma_distance": Score(
        "chroma-histogram distance",
        "lower",
        4,
        "Jensen-Shannon distance between the ab histograms (bins of 10, one around gray) of all "
        "predicted and of all real pixels, base 2, 0 to 1",
    ),
    "semantic_accuracy": Score(
        "semantic accuracy",
        "higher",
        4,
        "share of images whose class the reference classifier recognizes (after Zhang et al. 2016)",
        "recognized",
    ),
    "fcd": Score(
        "fcd",
        "lower",
        2,
        "Fréchet distance between the reference classifier's features of colorized and of real "
        "images; comparable only with values of the same classifier and image count, and not FID",
    ),
    "report_psnr": Score(
        "report-protocol PSNR (dB)",
        "higher",
        2,
        "the report's PSNR in dB: uint8 difference squared in uint8, which wraps",
        "report_psnr",
    ),
    "report_ssim": Score(
        "report-protocol SSIM",
        "higher",
        4,
        "the report's SSIM: of the gray versions of both images, uint8",
        "report_ssim",
    ),
}
"""Every score by its name, in the order of the tables."""

REAL = "real"
"""The real images' own name among the predictors: their colorfulness, how they are recognized."""

BASELINES: dict[str, str] = {
    "no_color": "no color at all",
    "mean_chroma": "mean chroma",
    "own_mean_chroma": "own mean chroma",
    "other_chroma": "other image's chroma",
}
"""The baselines' names and their titles in tables."""

PROTOCOL: dict[str, str] = {
    **{name: score.text for name, score in SCORES.items()},
    "image": "scored as delivered: predicted chroma with the true lightness, as RGB clipped to "
    "what sRGB can show",
    "no_color": "a = b = 0: what a model would return that does nothing",
    "mean_chroma": "the mean (a, b) of all pixels of the reference, everywhere",
    "own_mean_chroma": "the mean (a, b) of the very image, everywhere: an oracle, not a method",
    "other_chroma": "the chroma of the image half the data set away",
    "mean": "mean over images",
    "interval": "95 %, over images: bootstrap percentiles of 1,000 resamples, seed 0; for "
    "chroma_distance, which resampling biases upwards, the value and 1.96 standard deviations of "
    "its resamples to both sides, and for fcd 1.96 standard deviations by the delta method",
    "model": "float32, moving statistics of batch normalization unless its name says otherwise, no "
    "test-time augmentation",
}
"""How every number of an evaluation was measured."""


def predictor_title(name: str) -> str:
    """Returns what tables and figures call a predictor."""
    titles = {"model": "the model", "against": "the other model", REAL: "real images", **BASELINES}
    return titles.get(name, name)
