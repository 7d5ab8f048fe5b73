"""The report's Figures 4 and 5: losses and accuracy against the iteration."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import BLUE, GRAY, GREEN, VERMILION, plain_axes

__all__ = ["REPORT_BANDS", "REPORT_STEPS", "accuracy_curve", "loss_curves", "loss_parts"]

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
"""(step, lower edge, upper edge) of the curves in the report's Figures 4 and 5.

Read off the printed plots, which give no numbers: accurate to about 0.3 for the generator's loss,
0.1 for the discriminator's and 0.03 for its accuracy. The generator's loss starts at 38.
"""


def _draw_curve(
    axes: Axes, history: Mapping[str, np.ndarray], name: str, label: str, shade: str, smooth: int
) -> None:
    steps, values = np.atleast_1d(history["step"]), np.atleast_1d(history[name])
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
        means = (np.convolve(x, np.ones(smooth) / smooth, "valid") for x in (steps, values))
        axes.plot(*means, color=shade, lw=1.6, label=f"{label}, mean of {smooth} rows")


def _draw_band(axes: Axes, name: str, label: str | None) -> None:
    steps, low, high = np.array(REPORT_BANDS[name]).T
    axes.fill_between(steps, low, high, color=GRAY, alpha=0.3, lw=0, label=label, gid=name)
    for edge in (low, high):  # stays visible under the curve of the run
        axes.plot(steps, edge, color="0.25", lw=0.9, ls="--", zorder=3, gid=f"{name}_edge")


def _curve_axes(
    history: Mapping[str, np.ndarray],
    x_max: float | None,
    y_range: tuple[float, float],
    y_label: str,
) -> tuple[Figure, Axes]:
    x_max = x_max or max(1, np.max(history["step"]))
    figure = Figure((8.0, 4.0), layout="constrained")
    axes = figure.subplots()
    axes.set_xlim(-0.02 * x_max, 1.02 * x_max)
    axes.set_ylim(*y_range)
    axes.set_xlabel("iteration")
    axes.set_ylabel(y_label)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    plain_axes(axes)
    return figure, axes


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
        x_max: last iteration on the axis; the default is the report's, `None` is the run's own.
        y_max: largest loss on the axis (Figure 4: 40).
        smooth: also draw the mean over this many rows; 0 draws only the raw curve.
        report: also draw the range of the report's curves (`REPORT_BANDS`).

    Raises:
        ValueError, KeyError: a column is missing.
    """
    figure, axes = _curve_axes(history, x_max, (-0.04 * y_max, y_max), "loss")
    if report:
        _draw_band(axes, "generator_loss", "report, range read off its Figure 4")
        _draw_band(axes, "discriminator_loss", None)
        if y_max > 38:
            axes.plot(0, 38, "v", color="0.25", ms=6, ls="none", label="report, step 0")
    _draw_curve(axes, history, "generator_loss", "generator loss", BLUE, smooth)
    _draw_curve(axes, history, "discriminator_loss", "discriminator loss", VERMILION, smooth)
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
        ValueError, KeyError: a column is missing.
    """
    figure, axes = _curve_axes(history, x_max, (-0.03, 1.03), "discriminator accuracy")
    if report:
        _draw_band(axes, "discriminator_accuracy", "report, range read off its Figure 5")
    _draw_curve(axes, history, "discriminator_accuracy", "accuracy", BLUE, smooth)
    axes.axhline(0.5, color="0.4", lw=0.8, ls=":")
    axes.legend(fontsize=8, framealpha=0.85, edgecolor="none", loc="lower right")
    return figure


def loss_parts(
    history: Mapping[str, np.ndarray], *, l1_weight: float = 100.0, smooth: int = 0
) -> Figure:
    """Draws the parts of the generator's loss: weighted L1 and adversarial.

    Args:
        history: columns `step`, `l1_loss` (unweighted) and `adversarial_loss`.
        l1_weight: the factor of L1 in the sum (report: 100).
        smooth: as in `loss_curves`.

    Raises:
        ValueError, KeyError: a column is missing.
    """
    weighted = {
        "step": history["step"],
        "l1_loss": l1_weight * history["l1_loss"],
        "adversarial_loss": history["adversarial_loss"],
    }
    y_max = 1.2 * np.quantile(weighted["l1_loss"] + weighted["adversarial_loss"], 0.98)
    figure, axes = _curve_axes(history, None, (0.0, y_max), "part of the generator's loss")
    _draw_curve(axes, weighted, "l1_loss", f"{l1_weight:g} x L1", GREEN, smooth)
    _draw_curve(axes, weighted, "adversarial_loss", "adversarial", VERMILION, smooth)
    axes.legend(fontsize=8, framealpha=0.85, edgecolor="none", loc="upper right")
    return figure
