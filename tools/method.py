"""Draws the method on one screen, for the README and notebook 2.

    python -m tools.method    # writes docs/method.png and attaches it to the notebook

The example is a photograph from scikit-image at 32x32 pixels, colorized by the shipped `vivid`.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path

import nbformat
import numpy as np
import skimage.data
import skimage.transform
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle

from pix2pix_color import Colorizer, color
from pix2pix_color.files import write_atomically
from pix2pix_color.startup import start_tensorflow

_INK, _GENERATOR, _DISCRIMINATOR = "0.2", "#0072B2", "#D55E00"


def draw() -> bytes:
    """Returns the drawing as a PNG."""
    crop = skimage.data.chelsea()[:, 75:375]
    real = skimage.transform.resize(crop, (32, 32), anti_aliasing=True, preserve_range=True)
    lightness, chroma = color.split(np.round(real).astype(np.uint8)[None])
    fake = Colorizer.load("vivid").generator(lightness, training=False)
    gray = np.asarray(color.merge(lightness, 0 * chroma))[0]
    planes = {  # chroma alone, at a medium lightness
        name: np.asarray(color.merge(0 * lightness + 65, ab))[0]
        for name, ab in (("real", chroma), ("fake", fake))
    }

    figure = Figure((9.6, 3.7))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, 96)
    axes.set_ylim(0, 37)
    axes.set_axis_off()
    _image(axes, gray, 2, 13, "gray image\nL, 32x32x1")
    axes.add_patch(
        Polygon(
            [(17, 25), (24, 20.5), (31, 25), (31, 13), (24, 17.5), (17, 13)],
            fc="#D9E9F2", ec=_GENERATOR, lw=1.5,
        )
    )  # fmt: skip
    for height, reach in ((23.2, 3.9), (21.6, 1.6)):
        _arrow(axes, (24 - reach, height), (24 + reach, height), _GENERATOR, "--", 0.9)
    axes.text(24, 26.4, "generator: U-Net", ha="center", color=_GENERATOR, weight="bold")
    axes.text(24, 11.6, "skip connections dashed", ha="center", va="top", size=8, color=_GENERATOR)
    _image(axes, planes["fake"], 36, 20, "generated (a, b)")
    _image(axes, planes["real"], 36, 3, "real (a, b)")
    box = FancyBboxPatch((60, 10), 13, 15, fc="#F8E6DA", ec=_DISCRIMINATOR, lw=1.5)
    axes.add_patch(box)
    axes.text(66.5, 26.6, "discriminator: PatchGAN", ha="center", color=_DISCRIMINATOR,
              weight="bold")  # fmt: skip
    axes.text(66.5, 17.5, "sees L with\neither (a, b)", ha="center", va="center", size=8)
    for i in range(4):
        for j in range(4):
            shade = str(0.95 - 0.35 * ((3 * i + 5 * j) % 7) / 6)
            cell = Rectangle((80 + 3 * i, 11.5 + 3 * j), 3, 3, fc=shade, ec="white", lw=1)
            axes.add_patch(cell)
    axes.text(86, 24.4, "p(real) of\n16 patches", ha="center", va="bottom", size=9, color=_INK)
    _arrow(axes, (13, 19), (16.4, 19))
    _arrow(axes, (31.6, 20), (35.4, 25))
    _arrow(axes, (47.4, 25), (59, 19.5))
    _arrow(axes, (47.4, 9), (59, 15))
    _arrow(axes, (74.2, 17.5), (79, 17.5))
    axes.add_patch(
        FancyArrowPatch((7.5, 25), (66.5, 28.8), connectionstyle="arc3,rad=-0.22",
                        arrowstyle="-|>", mutation_scale=9, color=_INK, lw=1, ls=":")
    )  # fmt: skip
    axes.text(20, 34.4, "L is copied: it is shown to the discriminator and becomes the result's "
              "lightness", size=8, color=_INK)  # fmt: skip
    axes.annotate("100 x L1", (41.4, 14.6), (49, 16.6), size=9, color=_GENERATOR, va="center",
                  arrowprops={"arrowstyle": "-", "color": _GENERATOR, "lw": 0.8})  # fmt: skip
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def _image(axes: Axes, pixels: np.ndarray, left: float, bottom: float, title: str) -> None:
    axes.imshow(pixels, extent=(left, left + 11, bottom, bottom + 11), interpolation="nearest",
                zorder=2, aspect="auto")  # fmt: skip
    axes.set_xlim(0, 96)
    axes.set_ylim(0, 37)
    axes.text(left + 5.5, bottom - 0.7, title, ha="center", va="top", size=9, color=_INK)


def _arrow(axes: Axes, start, end, color: str = _INK, style: str = "-", width: float = 1.2) -> None:
    arrow = FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9, color=color, lw=width,
                            ls=style, shrinkA=0, shrinkB=0)  # fmt: skip
    axes.add_patch(arrow)


def _main() -> None:
    start_tensorflow()
    png = draw()
    write_atomically(Path("docs/method.png"), png)
    path = Path("notebooks/02_networks.ipynb")
    notebook = nbformat.read(path, as_version=4)
    data = base64.b64encode(png).decode()
    notebook.cells[0]["attachments"] = {"method.png": {"image/png": data}}
    nbformat.write(notebook, path)


if __name__ == "__main__":
    _main()
