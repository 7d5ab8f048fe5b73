"""Images in rows: grids, the report's Figure 3, maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from .style import GRAY, SMALL, draw_image

__all__ = ["heat_maps", "image_grid"]


def image_grid(
    rows: Sequence[Sequence[np.ndarray]],
    *,
    row_titles: Sequence[str] = (),
    column_titles: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
    inches: float = 0.8,
) -> Figure:
    """Draws rows of images.

    Args:
        rows: images, (h, w), (h, w, 1) or (h, w, 3), uint8 or float in [0, 1]; an array
            (rows, columns, h, w, 3) works too. Rows may differ in length.
        row_titles: to the left of each row.
        column_titles: above each column.
        captions: below each image.
        inches: side of one image.

    Raises:
        ValueError: there is no image, an image has another shape, or titles or captions are
            missing.
    """
    columns = max(map(len, rows))
    side = inches + 0.06
    height = side + (0.18 if captions else 0.0)
    margin = 0.085 * max(map(len, row_titles), default=0)
    figure = Figure((columns * side + margin, len(rows) * height + 0.4))
    figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, row in zip(grid, rows, strict=True):
        for axes in line[len(row) :]:
            axes.set_axis_off()
        for axes, cell in zip(line, row, strict=False):
            draw_image(axes, cell)
    style = {"rotation": 0, "ha": "right", "va": "center", "fontsize": SMALL, "labelpad": 6}
    for axes, title in zip(grid[:, 0] if row_titles else (), row_titles, strict=True):
        axes.set_ylabel(title, **style)
    for axes, title in zip(grid[0] if column_titles else (), column_titles, strict=True):
        axes.set_title(title, fontsize=SMALL)
    for line, row, texts in zip(grid, rows, captions, strict=True) if captions else ():
        for axes, text in zip(line[: len(row)], texts, strict=True):
            axes.set_xlabel(text, fontsize=7, labelpad=2)
    return figure


def heat_maps(maps: Mapping[str, np.ndarray]) -> Figure:
    """Draws non-negative maps side by side, each scaled to its own maximum.

    Args:
        maps: title to (h, w) values; exact zeros stay white.

    Raises:
        ValueError: there is no map.
    """
    figure = Figure((1.75 * len(maps), 2.2), layout="constrained")
    grid = figure.subplots(1, len(maps), squeeze=False)[0]
    for axes, (title, values) in zip(grid, maps.items(), strict=True):
        seen = np.ma.masked_equal(values, 0.0)
        axes.imshow(seen, cmap="cividis", vmin=0.0, interpolation="nearest")
        axes.set_title(title, fontsize=SMALL)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_color(GRAY)
    return figure
