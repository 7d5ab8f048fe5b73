"""Scores as plain functions over batches: the true ones and the report's own.

A score takes images (batch, height, width, 3) and returns one value per image; the caller
averages. NaN in an image gives NaN for that image, and an empty batch gives no values. Scores of
RGB raise `ValueError` for values outside [0, 1], except inside a graph, where values are unknown.
No score can detect that its Lab input is RGB.

Every score of the report's protocol has `report_` in its name. That protocol cannot see whether
the colors are right; it serves to reproduce the report's numbers, not to compare models.
"""

from .colors import blotches, chroma_auc, ciede2000, colorfulness, mae_ab, nazeri_accuracy
from .distributions import (
    CHROMA_BIN,
    chroma_bins,
    chroma_histogram,
    class_rebalancing,
    frechet_distance,
    pixel_weights,
)
from .fidelity import mae_rgb, psnr, ssim
from .report import discriminator_accuracy, report_psnr, report_ssim

__all__ = [
    "CHROMA_BIN",
    "blotches",
    "chroma_auc",
    "chroma_bins",
    "chroma_histogram",
    "ciede2000",
    "class_rebalancing",
    "colorfulness",
    "discriminator_accuracy",
    "frechet_distance",
    "mae_ab",
    "mae_rgb",
    "nazeri_accuracy",
    "pixel_weights",
    "psnr",
    "report_psnr",
    "report_ssim",
    "ssim",
]
