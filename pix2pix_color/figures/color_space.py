"""Colors: the planes of Lab, and how pixels are distributed over the ab plane."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure

from .. import color
from .style import BLUE, GRAY, SMALL, VERMILION, draw_image, hide_frame

__all__ = ["chroma_histogram", "lab_planes"]

_LIMIT = 100  # of a and b in the histogram


def _ab_colormap(channel: int, limit: float) -> ListedColormap:
    """Returns the colors of a (channel 1) or b (channel 2) from -limit to limit at L = 65."""
    lab = np.zeros((256, 3), np.float32)
    lab[:, 0], lab[:, channel] = 65.0, np.linspace(-limit, limit, 256)
    return ListedColormap(np.asarray(color.lab_to_rgb(lab)))


def lab_planes(rgb: np.ndarray) -> Figure:
    """Splits one image into L, a and b, each drawn in the colors that it encodes.

    Args:
        rgb: (h, w, 3), uint8 or float in [0, 1].

    Returns:
        The image, L in [0, 100], and a and b on a common scale that is symmetric about gray.

    Raises:
        ValueError: not a single RGB image.
    """
    lab = np.asarray(color.rgb_to_lab(rgb))
    limit = max(20.0, 10.0 * np.ceil(np.abs(lab[..., 1:]).max() / 10.0))
    figure = Figure((10.0, 2.7), layout="constrained")
    grid = figure.subplots(1, 4)
    draw_image(grid[0], rgb)
    grid[0].set_title("image", fontsize=SMALL)
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
        hide_frame(axes)
        axes.set_title(title, fontsize=SMALL)
        bar = figure.colorbar(drawn, ax=axes, shrink=0.85, ticks=[low, (low + high) / 2, high])
        bar.ax.tick_params(labelsize=8)
        bar.outline.set_visible(False)
    return figure


def chroma_histogram(chroma: np.ndarray) -> Figure:
    """Draws how often each chroma occurs, beside the colors of the ab plane.

    Args:
        chroma: (..., 2), (a, b) / 128 as from `color.split`.

    Returns:
        Two plots with the same axes, -100 to 100: the colors of sRGB at L = 65, and the share of
        pixels in bins of 2x2 units on a logarithmic scale, with mean and median.

    Raises:
        ValueError: the last axis does not have length 2.
    """
    a, b = (np.reshape(chroma, (-1, np.shape(chroma)[-1])) * color.CHROMA_SCALE).T
    edges = np.arange(-_LIMIT, _LIMIT + 1, 2)
    counts, _, _ = np.histogram2d(a, b, bins=[edges, edges])
    share = np.ma.masked_equal(counts.T / len(a), 0.0)
    image = {"extent": 2 * (-_LIMIT, _LIMIT), "origin": "lower", "interpolation": "nearest"}

    figure = Figure((9.0, 4.2), layout="constrained")
    key, plot = figure.subplots(1, 2, sharex=True, sharey=True)
    key.imshow(_ab_plane(), **image)
    key.set_title("the colors of the ab plane (L = 65)", fontsize=SMALL)
    drawn = plot.imshow(share, cmap="cividis", norm=LogNorm(), **image)
    plot.set_title("share of pixels", fontsize=SMALL)
    plot.plot(a.mean(), b.mean(), "o", color=VERMILION, mec="white", ms=8, label="mean")
    plot.plot(np.median(a), np.median(b), "D", color=BLUE, mec="white", ms=6, label="median")
    plot.legend(fontsize=8, loc="upper left", frameon=False)
    bar = figure.colorbar(drawn, ax=plot, shrink=0.9)
    bar.outline.set_visible(False)
    for axes in (key, plot):
        axes.axhline(0, color=GRAY, lw=0.5)
        axes.axvline(0, color=GRAY, lw=0.5)
        axes.set_xlabel("a: green to red")
        axes.spines[:].set_visible(False)
    key.set_ylabel("b: blue to yellow")
    figure.get_layout_engine().set(wspace=0.06)  # or the tick labels would touch
    return figure


def _ab_plane() -> np.ndarray:
    """Returns RGBA (201, 201, 4) of the plane at L = 65, transparent outside sRGB."""
    steps = np.linspace(-_LIMIT, _LIMIT, 201, dtype=np.float32)
    a, b = np.meshgrid(steps, steps)
    lab = np.stack([np.full_like(a, 65.0), a, b], axis=-1)
    rgb = np.asarray(color.lab_to_rgb(lab))
    inside = np.abs(np.asarray(color.rgb_to_lab(rgb)) - lab).max(axis=-1) < 1.0
    return np.concatenate([rgb, inside[..., None].astype(np.float32)], axis=-1)
