"""What the figures share: colors, sizes, plain axes, and how an image is drawn."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

# The palette of Okabe and Ito, for readers with any kind of color vision.
BLUE, VERMILION, GREEN, GRAY = "#0072B2", "#D55E00", "#009E73", "#8C8C8C"
SMALL = 9


def draw_image(axes: Axes, image: np.ndarray) -> None:
    """Draws uint8 or float [0, 1] pixels, (h, w), (h, w, 1) or (h, w, 3), as sharp squares."""
    image = np.asarray(image)
    brightest = 255 if image.dtype == np.uint8 else 1.0
    image = np.clip(image, 0, brightest)  # rounding may leave [0, 1], of which imshow would warn
    axes.imshow(image, cmap="gray", vmin=0, vmax=brightest, interpolation="nearest")
    hide_frame(axes)


def hide_frame(axes: Axes) -> None:
    """Removes the ticks and the frame of an image."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def plain_axes(axes: Axes, grid: str | None = "both") -> None:
    """Leaves only the left and the bottom axis, with a light grid along `grid` behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    if grid is not None:
        axes.grid(axis=grid, color="0.92", lw=0.8)
        axes.set_axisbelow(True)
