"""Scores, as plain functions over batches: the true ones, and the report's own.

A score takes images (batch, height, width, 3) and returns a value for each: the mean over
images is left to the caller. NaN in an image gives NaN for that image, and no images give no
values. What a graph or a Lab image cannot tell is not checked: outside a graph, scores of RGB
refuse values outside [0, 1], and no score can tell that its Lab is RGB.

Every score of the report's protocol has `report_` in its name. It cannot see whether the
colors are right, and is kept so that the report's numbers can be reproduced: do not use it
to compare models.
"""

from .color_difference import (
    chroma_auc,
    chroma_errors,
    ciede2000,
    ciede2000_map,
    mae_ab,
    nazeri_accuracy,
)
from .colorfulness import colorfulness
from .discrimination import discriminator_accuracy
from .distributions import (
    CHROMA_BIN,
    chroma_bins,
    chroma_histogram,
    class_rebalancing,
    feature_statistics,
    frechet_distance,
    jensen_shannon_distance,
    pixel_weights,
)
from .fidelity import mae_rgb, psnr, ssim
from .report import report_psnr, report_ssim

__all__ = [
    "CHROMA_BIN",
    "chroma_auc",
    "chroma_bins",
    "chroma_errors",
    "chroma_histogram",
    "ciede2000",
    "ciede2000_map",
    "class_rebalancing",
    "colorfulness",
    "discriminator_accuracy",
    "feature_statistics",
    "frechet_distance",
    "jensen_shannon_distance",
    "mae_ab",
    "mae_rgb",
    "nazeri_accuracy",
    "pixel_weights",
    "psnr",
    "report_psnr",
    "report_ssim",
    "ssim",
]
