"""Scores: their intervals, one score against another, and the images behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from .images import image_grid
from .style import BLUE, GRAY, GREEN, SMALL, VERMILION, plain_axes

__all__ = [
    "best_median_worst",
    "psnr_scatter",
    "quality_curves",
    "ranked_images",
    "score_intervals",
    "score_plane",
    "wrapped_squares",
]

_COLUMNS = 4  # of panels


def score_intervals(
    scores: Mapping[str, Mapping[str, tuple[float, float | None, float | None]]],
    *,
    highlight: Sequence[str] = (),
    reference: str = "",
) -> Figure:
    """Draws one panel per score, with a point and an interval for every predictor.

    Args:
        scores: score title to predictor title to (value, low, high); low and high are `None`
            if the interval is unknown. A predictor may lack a score.
        highlight: predictors in another color than the rest.
        reference: a predictor whose value is also drawn as a vertical line.
    """
    predictors = list(dict.fromkeys(name for panel in scores.values() for name in panel))
    columns = min(_COLUMNS, len(scores))
    rows = -(-len(scores) // columns)
    margin = 0.08 * max(map(len, predictors), default=0)
    figure = Figure(
        (2.5 * columns + margin, rows * (0.28 * len(predictors) + 0.85)), layout="constrained"
    )
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes in grid.flat[len(scores) :]:
        axes.set_axis_off()
    for axes, (title, panel) in zip(grid.flat, scores.items(), strict=False):
        for place, name in enumerate(predictors):
            if name not in panel:
                continue
            value, low, high = panel[name]
            shade = VERMILION if name in highlight else BLUE
            if low is not None and high is not None:
                axes.plot([low, high], [place, place], color=shade, lw=2.2, solid_capstyle="butt")
                axes.plot([low, high], [place, place], "|", color=shade, ms=7, mew=1.6)
            axes.plot(value, place, "o", color=shade, ms=4.5, gid=name)
        if reference in panel:
            axes.axvline(panel[reference][0], color=GRAY, lw=1.0, ls=":", zorder=0)
        axes.set_title(title, fontsize=SMALL)
        axes.set_ylim(len(predictors) - 0.4, -0.6)
        axes.set_yticks(range(len(predictors)), predictors, fontsize=SMALL)
        axes.tick_params(axis="x", labelsize=8)
        axes.tick_params(axis="y", length=0)
        axes.locator_params(axis="x", nbins=4)
        axes.margins(x=0.12)
        plain_axes(axes, grid="x")
        axes.spines["left"].set_visible(False)
    return figure


def score_plane(
    points: Mapping[str, tuple[float, float]],
    *,
    titles: tuple[str, str] = ("", ""),
    highlight: Sequence[str] = (),
    named: Sequence[str] | None = None,
) -> Figure:
    """Draws predictors as points in the plane of two scores.

    Args:
        points: predictor title to its two scores, horizontal and vertical.
        titles: of the two scores.
        highlight: predictors in another color.
        named: predictors whose titles are written beside them; the default is all.
    """
    figure = Figure((6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for name, (across, up) in points.items():
        shade = VERMILION if name in highlight else BLUE
        axes.plot(across, up, "o", color=shade, ms=5, alpha=0.8, gid=name)
        if named is None or name in named:
            place = {"xytext": (5, 3), "textcoords": "offset points"}
            axes.annotate(name, (across, up), **place, fontsize=SMALL, color=shade)
    axes.set_xlabel(titles[0], fontsize=SMALL)
    axes.set_ylabel(titles[1], fontsize=SMALL)
    axes.tick_params(labelsize=8)
    axes.margins(x=0.12)
    plain_axes(axes)
    return figure


def quality_curves(
    curves: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]],
    *,
    goals: Mapping[str, tuple[float, float]],
    goal_title: str,
) -> Figure:
    """Draws scores against training time on a logarithmic axis.

    Args:
        curves: score title to runner to its (seconds, score) pairs in order.
        goals: score title to the (seconds, score) at which another run ended.
        goal_title: the name of that run.
    """
    figure = Figure((9.0, 3.6), layout="constrained")
    grid = figure.subplots(1, len(curves), squeeze=False)[0]
    for axes, (score, runners) in zip(grid, curves.items(), strict=True):
        for (name, points), shade in zip(runners.items(), (BLUE, VERMILION, GREEN), strict=False):
            seconds, values = zip(*points, strict=True)
            axes.plot(seconds, values, "o-", color=shade, ms=3.5, lw=1.4, label=name)
        axes.plot(*goals[score], "*", color=BLUE, ms=11, label=goal_title)
        axes.axhline(goals[score][1], color=BLUE, lw=0.8, ls=":")
        axes.set_xscale("log")
        axes.set_xlabel("seconds of training", fontsize=SMALL)
        axes.set_title(score, fontsize=SMALL)
        axes.tick_params(labelsize=8)
        plain_axes(axes)
    figure.axes[0].legend(fontsize=8, frameon=False)
    return figure


def psnr_scatter(report_psnr: np.ndarray, psnr: np.ndarray) -> Figure:
    """Draws the report's PSNR of each image against its true PSNR.

    Args:
        report_psnr, psnr: (count,) in dB. Images for which either is not finite are left out.

    Returns:
        The number of images in each hexagon, with Pearson's and Spearman's correlation and
        the line of equal scores.

    Raises:
        ValueError: the two differ in length, or fewer than two images remain.
    """
    from scipy.stats import pearsonr, spearmanr

    values = np.array([report_psnr, psnr], np.float64)
    report_psnr, psnr = values[:, np.isfinite(values).all(axis=0)]
    pearson, spearman = (f(psnr, report_psnr).statistic for f in (pearsonr, spearmanr))
    figure = Figure((6.2, 4.6), layout="constrained")
    axes = figure.subplots()
    drawn = axes.hexbin(
        psnr, report_psnr, gridsize=45, mincnt=1, cmap="cividis", norm=LogNorm(), lw=0.1
    )
    bar = figure.colorbar(drawn, ax=axes, label="number of images", shrink=0.9)
    bar.outline.set_visible(False)
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    bar.ax.minorticks_off()
    axes.axis(axes.axis())  # the line of equal scores must not change the limits
    span = [min(psnr.min(), report_psnr.min()), max(psnr.max(), report_psnr.max())]
    axes.plot(span, span, color=GRAY, lw=1.0, ls="--", label="equal scores", zorder=3)
    axes.set_xlabel("true PSNR (dB)")
    axes.set_ylabel("report-protocol PSNR (dB)")
    axes.set_title(f"{len(psnr):,} images", fontsize=10)
    axes.text(
        0.98,
        0.03,
        f"correlation: Pearson {pearson:.2f}, Spearman {spearman:.2f}",
        transform=axes.transAxes,
        ha="right",
        fontsize=SMALL,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 2},
    )
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    plain_axes(axes, grid=None)
    return figure


def wrapped_squares() -> Figure:
    """Draws the square of every difference of two 8-bit numbers, and what 8 bits keep of it.

    The report's PSNR averages the latter (`metrics.report_psnr`).
    """
    error = np.arange(256)
    square = error.astype(np.uint8) ** 2  # wraps around: that is the point
    figure = Figure((7.0, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot(error, error**2, color=BLUE, lw=2.2, label="squared error")
    axes.plot(error, square, ".-", color=VERMILION, lw=0.8, ms=3.5, label="squared error in uint8")
    axes.annotate(
        "15: the largest error whose square fits in 8 bits",
        (15, 225),
        (33, 330),
        fontsize=SMALL,
        arrowprops={"arrowstyle": "-", "color": GRAY, "lw": 0.8},
    )
    axes.set_xlim(0, 130)
    axes.set_ylim(0, 650)
    axes.set_xlabel("error in one channel of a pixel (8-bit levels)")
    axes.set_ylabel("squared error")
    axes.legend(fontsize=8, frameon=False, loc="center right", bbox_to_anchor=(1.0, 0.62))
    plain_axes(axes, grid=None)
    return figure


def best_median_worst(
    scores: np.ndarray, each: int = 8, *, better: str = "higher"
) -> dict[str, np.ndarray]:
    """Returns which images score best, closest to the median, and worst.

    Args:
        scores: (count,); NaN ranks last.
        each: number of images per group, at most a third of all.
        better: `"higher"` or `"lower"`.

    Returns:
        `"best"`, `"median"` and `"worst"` to indices into `scores`, from better to worse. Equal
        scores keep their order.

    Raises:
        KeyError: `better` is neither.
    """
    sign = {"higher": -1.0, "lower": 1.0}[better]
    order = np.argsort(sign * np.asarray(scores, np.float64), kind="stable")
    each = max(1, min(each, len(order) // 3))
    middle = (len(order) - each) // 2
    groups = order[:each], order[middle : middle + each], order[len(order) - each :]
    return dict(zip(("best", "median", "worst"), groups, strict=True))


def ranked_images(
    real: np.ndarray,
    fake: np.ndarray,
    scores: np.ndarray,
    *,
    better: str = "higher",
    each: int = 8,
    digits: int = 2,
    title: str = "",
) -> Figure:
    """Draws the images with the best, the median and the worst scores.

    Args:
        real, fake: (count, h, w, 3), uint8 or float in [0, 1].
        scores: (count,), of `fake` against `real`; the captions.
        better, each: as in `best_median_worst`.
        digits: decimals of the captions.
        title: above the images, such as the name of the score.

    Returns:
        For each group a row of real images above a row of colorized ones, from better to worse.
        The images of `best_median_worst` alone give the same figure as all images.
    """
    rows, titles, captions = [], [], []
    for group, chosen in best_median_worst(scores, each, better=better).items():
        rows += [[real[i] for i in chosen], [fake[i] for i in chosen]]
        titles += [f"{group}: real", "colorized"]
        captions += [[""] * len(chosen), [f"{scores[i]:.{digits}f}" for i in chosen]]
    figure = image_grid(rows, row_titles=titles, captions=captions)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure
