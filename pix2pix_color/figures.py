"""The report's figures: arrays in, a matplotlib `Figure` out.

No function here runs a model, reads or writes a file, or touches pyplot's global state.
Save a figure with `figure.savefig(path)`; notebooks use `pix2pix_color.notebook.show`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure

from . import color

__all__ = [
    "REPORT_BANDS",
    "REPORT_STEPS",
    "accuracy_curve",
    "chroma_histogram",
    "class_samples",
    "comparison_table",
    "heat_maps",
    "image_grid",
    "lab_planes",
    "loss_curves",
    "loss_parts",
]

REPORT_STEPS = 502_450
"""Where the report's Figures 4 and 5 end: 650 epochs of 773 steps."""

REPORT_BANDS: dict[str, tuple[tuple[int, float, float], ...]] = {
    "generator_loss": (
        (500, 6.5, 11.5),
        (1_000, 6.5, 9.5),
        (3_000, 6.2, 9.6),
        (8_000, 7.0, 10.2),
        (15_000, 6.4, 9.0),
        (25_000, 5.6, 7.5),
        (40_000, 5.1, 6.6),
        (60_000, 4.8, 6.4),
        (80_000, 4.8, 6.6),
        (100_000, 5.0, 6.9),
        (140_000, 5.2, 7.6),
        (200_000, 5.4, 8.7),
        (300_000, 5.9, 10.0),
        (400_000, 6.2, 10.8),
        (REPORT_STEPS, 6.5, 11.0),
    ),
    "discriminator_loss": (
        (0, 1.35, 1.50),
        (2_700, 1.35, 1.45),
        (3_200, 1.0, 1.7),
        (8_000, 0.8, 1.9),
        (20_000, 0.9, 1.8),
        (40_000, 1.0, 1.7),
        (80_000, 0.9, 1.4),
        (140_000, 0.6, 1.3),
        (200_000, 0.6, 1.4),
        (300_000, 0.5, 1.3),
        (400_000, 0.5, 1.2),
        (REPORT_STEPS, 0.4, 1.2),
    ),
    "discriminator_accuracy": (
        (0, 0.49, 0.51),
        (2_700, 0.49, 0.51),
        (3_200, 0.20, 0.97),
        (10_000, 0.04, 1.00),
        (20_000, 0.17, 0.99),
        (30_000, 0.30, 0.98),
        (40_000, 0.45, 0.97),
        (50_000, 0.50, 0.95),
        (80_000, 0.51, 0.97),
        (140_000, 0.55, 0.99),
        (200_000, 0.56, 1.00),
        (300_000, 0.59, 1.00),
        (400_000, 0.61, 1.00),
        (REPORT_STEPS, 0.65, 1.00),
    ),
}
"""(step, lower edge, upper edge) of each curve of the report's Figures 4 and 5.

Read off the printed plots, which give no numbers: good to about 0.3 in the generator's loss,
0.1 in the discriminator's and 0.03 in its accuracy. The generator's loss starts at 38.
"""

# Okabe and Ito's palette: told apart by readers with any kind of colour vision.
_BLUE, _VERMILION, _GREEN, _GRAY = "#0072B2", "#D55E00", "#009E73", "#8C8C8C"
_SMALL = 9


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _draw_image(axes: Axes, image: np.ndarray) -> None:
    """Draws uint8 or float [0, 1] pixels, (h, w), (h, w, 1) or (h, w, 3), as sharp squares."""
    image = np.asarray(image)
    if image.ndim == 3 and image.shape[-1] == 1:
        image = image[..., 0]
    _require(
        image.ndim == 2 or (image.ndim == 3 and image.shape[-1] == 3),
        f"An image has the shape (h, w), (h, w, 1) or (h, w, 3), not {image.shape}.",
    )
    brightest = 255 if image.dtype == np.uint8 else 1.0
    if brightest == 1.0:
        image = np.clip(image, 0.0, 1.0)
    axes.imshow(image, cmap="gray", vmin=0, vmax=brightest, interpolation="nearest")
    _hide_frame(axes)


def _hide_frame(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _row_title(axes: Axes, text: str) -> None:
    axes.set_ylabel(text, rotation=0, ha="right", va="center", fontsize=_SMALL, labelpad=6)


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
            (rows, columns, h, w, 3) will do. Rows may differ in length.
        row_titles: a text to the left of each row.
        column_titles: a text above each column.
        captions: a text below each image.
        inches: side of one image.

    Raises:
        ValueError: no image, an image of another shape, or titles that do not fit the rows.
    """
    columns = max((len(row) for row in rows), default=0)
    _require(columns > 0, "image_grid needs at least one image.")
    _require(len(row_titles) in (0, len(rows)), "image_grid needs one title a row.")
    _require(len(column_titles) in (0, columns), "image_grid needs one title a column.")
    _require(
        not captions or [len(c) for c in captions] == [len(row) for row in rows],
        "image_grid needs one caption an image.",
    )
    margin = 0.085 * max(map(len, row_titles), default=0)
    height = inches + (0.24 if captions else 0.06)
    figure = Figure((columns * (inches + 0.06) + margin, len(rows) * height + 0.3))
    figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for i, row in enumerate(rows):
        for j, axes in enumerate(grid[i]):
            if j >= len(row):
                axes.set_axis_off()
                continue
            _draw_image(axes, row[j])
            if captions:
                axes.set_xlabel(captions[i][j], fontsize=7, labelpad=2)
        if row_titles:
            _row_title(grid[i, 0], row_titles[i])
    for axes, title in zip(grid[0], column_titles, strict=False):
        axes.set_title(title, fontsize=_SMALL)
    return figure


def class_samples(images: Mapping[str, Sequence[np.ndarray]]) -> Figure:
    """Draws one row of images for each class (report section 4.1).

    Args:
        images: class name to images, uint8 or float in [0, 1], (h, w, 3).

    Raises:
        ValueError: no image.
    """
    return image_grid(list(images.values()), row_titles=list(images))


def _ab_colormap(channel: int, limit: float) -> ListedColormap:
    """Returns the real colours of a (channel 1) or b (channel 2) from -limit to limit."""
    lab = np.zeros((256, 3), np.float32)
    lab[:, 0], lab[:, channel] = 65.0, np.linspace(-limit, limit, 256)
    return ListedColormap(np.asarray(color.lab_to_rgb(lab)))


def lab_planes(rgb: np.ndarray) -> Figure:
    """Splits one image into L, a and b, each in the colours that it stands for.

    Args:
        rgb: (h, w, 3), uint8 or float in [0, 1].

    Returns:
        Four images with their scales: the image, L in [0, 100], and a and b on one common
        scale, symmetric about gray.

    Raises:
        ValueError: not a single RGB image.
    """
    rgb = np.asarray(rgb)
    _require(rgb.ndim == 3 and rgb.shape[-1] == 3, f"rgb must be (h, w, 3), not {rgb.shape}.")
    lab = np.asarray(color.rgb_to_lab(rgb))
    limit = max(20.0, 10.0 * np.ceil(np.abs(lab[..., 1:]).max() / 10.0))
    figure = Figure((10.0, 2.7), layout="constrained")
    grid = figure.subplots(1, 4)
    _draw_image(grid[0], rgb)
    grid[0].set_title("image", fontsize=_SMALL)
    planes = (
        ("L: lightness, the input", "gray", 0.0, 100.0),
        ("a: green to red", _ab_colormap(1, limit), -limit, limit),
        ("b: blue to yellow", _ab_colormap(2, limit), -limit, limit),
    )
    for channel, (title, colors, low, high) in enumerate(planes):
        axes = grid[channel + 1]
        drawn = axes.imshow(
            lab[..., channel], cmap=colors, vmin=low, vmax=high, interpolation="nearest"
        )
        _hide_frame(axes)
        axes.set_title(title, fontsize=_SMALL)
        bar = figure.colorbar(drawn, ax=axes, shrink=0.85, ticks=[low, (low + high) / 2, high])
        bar.ax.tick_params(labelsize=8)
        bar.outline.set_visible(False)
    return figure


def chroma_histogram(chroma: np.ndarray, *, limit: int = 100, bin_size: int = 2) -> Figure:
    """Draws how often each chroma occurs, beside the colours it stands for.

    Args:
        chroma: (..., 2), (a, b) / 128 as from `color.split`.
        limit: largest |a| and |b| shown.
        bin_size: side of a bin, in units of a and b.

    Returns:
        Two plots on the same axes: the colours that sRGB can show at L = 65, and the share of
        pixels in each bin on a logarithmic scale, with the mean and the median marked.

    Raises:
        ValueError: the last axis is not of length 2, or there is no value.
    """
    chroma = np.asarray(chroma)
    _require(
        chroma.ndim >= 1 and chroma.shape[-1] == 2 and chroma.size > 0,
        f"chroma must be (..., 2), not {chroma.shape}.",
    )
    a, b = (chroma.reshape(-1, 2) * color.CHROMA_SCALE).T
    edges = np.arange(-limit, limit + bin_size, bin_size)
    counts, _, _ = np.histogram2d(a, b, bins=[edges, edges])
    share = np.ma.masked_equal(counts.T / len(a), 0.0)
    extent = (edges[0], edges[-1], edges[0], edges[-1])

    figure = Figure((9.0, 4.2), layout="constrained")
    key, plot = figure.subplots(1, 2, sharex=True, sharey=True)
    key.imshow(_ab_plane(limit), extent=extent, origin="lower", interpolation="nearest")
    key.set_title("the colours of the ab plane (L = 65)", fontsize=_SMALL)
    drawn = plot.imshow(
        share,
        extent=extent,
        origin="lower",
        interpolation="nearest",
        cmap="cividis",
        norm=LogNorm(max(share.min(), 1e-8), share.max()),
    )
    plot.set_title("share of pixels", fontsize=_SMALL)
    plot.plot(a.mean(), b.mean(), "o", color=_VERMILION, mec="white", ms=8, label="mean")
    plot.plot(np.median(a), np.median(b), "D", color=_BLUE, mec="white", ms=6, label="median")
    plot.legend(fontsize=8, loc="upper left", frameon=False)
    bar = figure.colorbar(drawn, ax=plot, shrink=0.9)
    bar.outline.set_visible(False)
    for axes in (key, plot):
        axes.axhline(0, color=_GRAY, lw=0.5)
        axes.axvline(0, color=_GRAY, lw=0.5)
        axes.set_xlabel("a: green to red")
        axes.spines[:].set_visible(False)
    key.set_ylabel("b: blue to yellow")
    return figure


def _ab_plane(limit: int, size: int = 201) -> np.ndarray:
    """Returns RGBA (size, size, 4) of the plane at L = 65, clear where sRGB has no such colour."""
    steps = np.linspace(-limit, limit, size, dtype=np.float32)
    a, b = np.meshgrid(steps, steps)
    lab = np.stack([np.full_like(a, 65.0), a, b], axis=-1)
    rgb = np.asarray(color.lab_to_rgb(lab))
    inside = np.abs(np.asarray(color.rgb_to_lab(rgb)) - lab).max(axis=-1) < 1.0
    return np.concatenate([rgb, inside[..., None].astype(np.float32)], axis=-1)


def heat_maps(maps: Mapping[str, np.ndarray]) -> Figure:
    """Draws non-negative maps beside each other, each scaled to its own maximum.

    Args:
        maps: title to (h, w) values; exact zeros stay white.

    Raises:
        ValueError: no map, or a map that is not (h, w).
    """
    _require(len(maps) > 0, "heat_maps needs at least one map.")
    figure = Figure((1.75 * len(maps), 2.2), layout="constrained")
    grid = figure.subplots(1, len(maps), squeeze=False)[0]
    for axes, (title, values) in zip(grid, maps.items(), strict=True):
        values = np.asarray(values)
        _require(values.ndim == 2, f"A map has the shape (h, w), not {values.shape}.")
        seen = np.ma.masked_equal(values, 0.0)
        axes.imshow(seen, cmap="cividis", vmin=0.0, interpolation="nearest")
        axes.set_title(title, fontsize=_SMALL)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_color(_GRAY)
    return figure


def comparison_table(
    gray: np.ndarray,
    real: np.ndarray,
    fake: np.ndarray,
    *,
    row_titles: Sequence[str] = (),
    columns: Mapping[str, Sequence[str]] | None = None,
) -> Figure:
    """Draws the report's Figure 3: gray, real and colourized images with their scores.

    Args:
        gray, real, fake: (count, h, w, 3) or (count, h, w, 1), uint8 or float in [0, 1].
        row_titles: a text to the left of each row.
        columns: heading to a text for each row, for example both protocols' scores.

    Raises:
        ValueError: the three differ in number, or a column has not one text a row.
    """
    columns = columns or {}
    count = len(real)
    _require(
        len(gray) == len(fake) == count > 0, "gray, real and fake must hold as many images each."
    )
    _require(len(row_titles) in (0, count), "comparison_table needs one title a row.")
    _require(
        all(len(texts) == count for texts in columns.values()),
        "Each column needs one text a row.",
    )
    margin = 0.085 * max(map(len, row_titles), default=0)
    widths = [1.3] * 3 + [1.55] * len(columns)
    figure = Figure((sum(widths) + margin, 1.36 * count + 0.5))
    figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    grid = figure.subplots(count, len(widths), squeeze=False, width_ratios=widths)
    for i in range(count):
        for axes, image in zip(grid[i], (gray[i], real[i], fake[i]), strict=False):
            _draw_image(axes, image)
        for axes, texts in zip(grid[i, 3:], columns.values(), strict=True):
            axes.set_axis_off()
            axes.text(0.5, 0.5, texts[i], ha="center", va="center", fontsize=_SMALL)
        if row_titles:
            _row_title(grid[i, 0], row_titles[i])
    for axes, title in zip(grid[0], ("gray", "real", "colourized", *columns), strict=True):
        axes.set_title(title, fontsize=_SMALL)
    return figure


# Figures 4 and 5 ------------------------------------------------------------------------


def _column(history: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    names = getattr(getattr(history, "dtype", None), "names", None) or history
    _require(name in names, f"The history has no column {name!r}, but: {', '.join(names)}.")
    return np.atleast_1d(np.asarray(history[name], np.float64))


def _running_mean(steps: np.ndarray, values: np.ndarray, window: int) -> tuple:
    """Returns the centred means of `window` rows, at their middle steps."""
    kernel = np.ones(window) / window
    return np.convolve(steps, kernel, "valid"), np.convolve(values, kernel, "valid")


def _draw_curve(
    axes: Axes, history: Mapping[str, np.ndarray], name: str, label: str, shade: str, smooth: int
) -> None:
    steps, values = _column(history, "step"), _column(history, name)
    smoothed = 1 < smooth <= len(steps)
    axes.plot(
        steps,
        values,
        color=shade,
        lw=0.6 if smoothed else 1.0,
        alpha=0.35 if smoothed else 1.0,
        label=None if smoothed else label,
        rasterized=True,
    )
    if smoothed:
        axes.plot(
            *_running_mean(steps, values, smooth),
            color=shade,
            lw=1.6,
            label=f"{label}, mean of {smooth} rows",
        )


def _draw_band(axes: Axes, name: str, label: str | None) -> None:
    steps, low, high = np.array(REPORT_BANDS[name]).T
    axes.fill_between(steps, low, high, color=_GRAY, alpha=0.3, lw=0, label=label, gid=name)
    for edge in (low, high):  # stays visible where the run's own curve lies over it
        axes.plot(steps, edge, color="0.25", lw=0.9, ls="--", zorder=3, gid=f"{name}_edge")


def _curve_axes(x_max: float, y_range: tuple[float, float], y_label: str) -> tuple[Figure, Axes]:
    figure = Figure((8.0, 4.0), layout="constrained")
    axes = figure.subplots()
    axes.set_xlim(-0.02 * x_max, 1.02 * x_max)
    axes.set_ylim(*y_range)
    axes.set_xlabel("iteration")
    axes.set_ylabel(y_label)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.92", lw=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _last_step(history: Mapping[str, np.ndarray]) -> float:
    return max(1.0, _column(history, "step").max())


def loss_curves(
    history: Mapping[str, np.ndarray],
    *,
    x_max: float | None = REPORT_STEPS,
    y_max: float = 40.0,
    smooth: int = 0,
    report: bool = True,
) -> Figure:
    """Draws the report's Figure 4: both losses against the iteration.

    Args:
        history: columns `step`, `generator_loss`, `discriminator_loss` of a `history.csv`, as
            from `numpy.genfromtxt(path, delimiter=",", names=True)`.
        x_max: last iteration on the axis; the report's by default, `None` for the run's own.
        y_max: largest loss on the axis (Figure 4: 40).
        smooth: rows to average over the raw curve; 0 for the raw curve alone.
        report: draw the range of the report's curves too (`REPORT_BANDS`).

    Raises:
        ValueError: a column is missing.
    """
    figure, axes = _curve_axes(x_max or _last_step(history), (-0.04 * y_max, y_max), "loss")
    if report:
        _draw_band(axes, "generator_loss", "report, range read off its Figure 4")
        _draw_band(axes, "discriminator_loss", None)
        if y_max > 38:
            axes.plot(0, 38, "v", color="0.25", ms=6, ls="none", label="report, step 0")
    _draw_curve(axes, history, "generator_loss", "generator loss", _BLUE, smooth)
    _draw_curve(axes, history, "discriminator_loss", "discriminator loss", _VERMILION, smooth)
    axes.legend(fontsize=8, framealpha=0.85, edgecolor="none", loc="upper right")
    return figure


def accuracy_curve(
    history: Mapping[str, np.ndarray],
    *,
    x_max: float | None = REPORT_STEPS,
    smooth: int = 0,
    report: bool = True,
) -> Figure:
    """Draws the report's Figure 5: the discriminator's accuracy against the iteration.

    Args:
        history: columns `step` and `discriminator_accuracy` (0 to 1) of a `history.csv`.
        x_max, smooth, report: as in `loss_curves`.

    Raises:
        ValueError: a column is missing.
    """
    figure, axes = _curve_axes(
        x_max or _last_step(history), (-0.03, 1.03), "discriminator accuracy"
    )
    if report:
        name = "discriminator_accuracy"
        _draw_band(axes, name, "report, range read off its Figure 5")
    _draw_curve(axes, history, "discriminator_accuracy", "accuracy", _BLUE, smooth)
    axes.axhline(0.5, color="0.4", lw=0.8, ls=":")
    axes.legend(fontsize=8, framealpha=0.85, edgecolor="none", loc="lower right")
    return figure


def loss_parts(
    history: Mapping[str, np.ndarray], *, l1_weight: float = 100.0, smooth: int = 0
) -> Figure:
    """Draws what the generator's loss is made of: weighted L1 and adversarial part.

    Args:
        history: columns `step`, `l1_loss` (not yet weighted) and `adversarial_loss`.
        l1_weight: what L1 is multiplied by in the sum (report: 100).
        smooth: as in `loss_curves`.

    Raises:
        ValueError: a column is missing.
    """
    weighted = {
        "step": _column(history, "step"),
        "l1_loss": l1_weight * _column(history, "l1_loss"),
        "adversarial_loss": _column(history, "adversarial_loss"),
    }
    y_max = 1.2 * np.quantile(weighted["l1_loss"] + weighted["adversarial_loss"], 0.98)
    figure, axes = _curve_axes(_last_step(history), (0.0, y_max), "part of the generator's loss")
    _draw_curve(axes, weighted, "l1_loss", f"{l1_weight:g} x L1", _GREEN, smooth)
    _draw_curve(axes, weighted, "adversarial_loss", "adversarial", _VERMILION, smooth)
    axes.legend(fontsize=8, framealpha=0.85, edgecolor="none", loc="upper right")
    return figure
