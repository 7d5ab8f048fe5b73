"""Figures of the report and of scores: arrays in, a matplotlib `Figure` out.

No function here runs a model, reads or writes a file, or touches pyplot's global state.
Save a figure with `figure.savefig(path)`; notebooks use `pix2pix_color.notebook.show`.
"""

from .color_space import chroma_histogram, lab_planes
from .images import heat_maps, image_grid
from .scores import (
    best_median_worst,
    psnr_scatter,
    quality_curves,
    ranked_images,
    score_intervals,
    score_plane,
    wrapped_squares,
)
from .training import REPORT_BANDS, REPORT_STEPS, accuracy_curve, loss_curves, loss_parts

__all__ = [
    "REPORT_BANDS",
    "REPORT_STEPS",
    "accuracy_curve",
    "best_median_worst",
    "chroma_histogram",
    "heat_maps",
    "image_grid",
    "lab_planes",
    "loss_curves",
    "loss_parts",
    "psnr_scatter",
    "quality_curves",
    "ranked_images",
    "score_intervals",
    "score_plane",
    "wrapped_squares",
]
