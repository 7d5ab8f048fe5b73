"""Images in rows: grids, class samples, the report's Figure 3, maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from .style import GRAY, SMALL, draw_image, require

__all__ = ["class_samples", "comparison_table", "heat_maps", "image_grid"]


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
    columns = max((len(row) for row in rows), default=0)
    require(columns > 0, "image_grid needs at least one image.")
    require(len(row_titles) in (0, len(rows)), "image_grid needs one title per row.")
    require(len(column_titles) in (0, columns), "image_grid needs one title per column.")
    require(
        not captions or [len(c) for c in captions] == [len(row) for row in rows],
        "image_grid needs one caption per image.",
    )
    height = inches + (0.24 if captions else 0.06)
    figure, grid = _rows_of_axes([inches + 0.06] * columns, height, row_titles, len(rows))
    for i, row in enumerate(rows):
        for j, axes in enumerate(grid[i]):
            if j >= len(row):
                axes.set_axis_off()
                continue
            draw_image(axes, row[j])
            if captions:
                axes.set_xlabel(captions[i][j], fontsize=7, labelpad=2)
    for axes, title in zip(grid[0], column_titles, strict=False):
        axes.set_title(title, fontsize=SMALL)
    return figure


def _rows_of_axes(
    widths: Sequence[float], height: float, row_titles: Sequence[str], rows: int
) -> tuple[Figure, np.ndarray]:
    """Returns a figure and its axes (rows, columns), with titles to the left of the rows."""
    margin = 0.085 * max(map(len, row_titles), default=0)
    figure = Figure((sum(widths) + margin, rows * height + 0.4))
    figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    grid = figure.subplots(rows, len(widths), squeeze=False, width_ratios=widths)
    style = {"rotation": 0, "ha": "right", "va": "center", "fontsize": SMALL, "labelpad": 6}
    for axes, title in zip(grid[:, 0], row_titles, strict=False):
        axes.set_ylabel(title, **style)
    return figure, grid


def class_samples(images: Mapping[str, Sequence[np.ndarray]]) -> Figure:
    """Draws one row of images per class (report section 4.1).

    Args:
        images: class name to images, uint8 or float in [0, 1], (h, w, 3).

    Raises:
        ValueError: there is no image.
    """
    return image_grid(list(images.values()), row_titles=list(images))


def heat_maps(maps: Mapping[str, np.ndarray]) -> Figure:
    """Draws non-negative maps side by side, each scaled to its own maximum.

    Args:
        maps: title to (h, w) values; exact zeros stay white.

    Raises:
        ValueError: there is no map, or a map is not (h, w).
    """
    require(len(maps) > 0, "heat_maps needs at least one map.")
    figure = Figure((1.75 * len(maps), 2.2), layout="constrained")
    grid = figure.subplots(1, len(maps), squeeze=False)[0]
    for axes, (title, values) in zip(grid, maps.items(), strict=True):
        values = np.asarray(values)
        require(values.ndim == 2, f"A map must be (h, w), not {values.shape}.")
        seen = np.ma.masked_equal(values, 0.0)
        axes.imshow(seen, cmap="cividis", vmin=0.0, interpolation="nearest")
        axes.set_title(title, fontsize=SMALL)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_color(GRAY)
    return figure


def comparison_table(
    gray: np.ndarray,
    real: np.ndarray,
    fake: np.ndarray,
    *,
    row_titles: Sequence[str] = (),
    columns: Mapping[str, Sequence[str]] | None = None,
) -> Figure:
    """Draws the report's Figure 3: gray, real and colorized images with their scores.

    Args:
        gray, real, fake: (count, h, w, 3) or (count, h, w, 1), uint8 or float in [0, 1].
        row_titles: to the left of each row.
        columns: heading to one text per row, such as the scores in both protocols.

    Raises:
        ValueError: the three differ in length, or a title or text is missing.
    """
    columns = columns or {}
    count = len(real)
    require(len(gray) == len(fake) == count > 0, "gray, real and fake must have the same length.")
    require(len(row_titles) in (0, count), "comparison_table needs one title per row.")
    require(
        all(len(texts) == count for texts in columns.values()),
        "Each column needs one text per row.",
    )
    widths = [1.3] * 3 + [1.55] * len(columns)
    figure, grid = _rows_of_axes(widths, 1.36, row_titles, count)
    for i in range(count):
        for axes, image in zip(grid[i], (gray[i], real[i], fake[i]), strict=False):
            draw_image(axes, image)
        for axes, texts in zip(grid[i, 3:], columns.values(), strict=True):
            axes.set_axis_off()
            axes.text(0.5, 0.5, texts[i], ha="center", va="center", fontsize=SMALL)
    for axes, title in zip(grid[0], ("gray", "real", "colorized", *columns), strict=True):
        axes.set_title(title, fontsize=SMALL)
    return figure
