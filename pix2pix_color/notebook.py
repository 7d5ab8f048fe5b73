"""Settings, a quiet start and display functions for the notebooks.

settings = setup()
images = settings.load("train")
settings.show(figures.image_grid([...]), "01-samples")
"""

from __future__ import annotations

import dataclasses
import io
import os
import shutil
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from .startup import without_stderr

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

    from .data import ImageDataset

__all__ = ["Settings", "plot_network", "say", "setup"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of a notebook.

    Attributes:
        fast: use tiny sizes (`PIX2PIX_COLOR_FAST=1`).
        dataset: name or folder for `load_dataset` (`PIX2PIX_COLOR_DATASET`).
        model: name or folder for `Colorizer.load` (`PIX2PIX_COLOR_MODEL`).
        output: folder in which `show` also saves each figure (`PIX2PIX_COLOR_OUTPUT`), or `None`.
    """

    fast: bool = False
    dataset: str = "cifar10"
    model: str = "report"
    output: Path | None = None

    @property
    def is_cifar10(self) -> bool:
        """Whether the results can be compared with the report's."""
        return self.dataset == "cifar10"

    def load(self, split: str, limit: int | None = None, **options) -> ImageDataset:
        """Loads a split of the notebook's data set; see `data.load_dataset`.

        Raises:
            DataError: the data set is not available. A banner explains what to do; no other data
                set replaces it.
        """
        from .data import load_dataset
        from .errors import DataError

        try:
            return load_dataset(self.dataset, split, limit=limit, **options)
        except DataError:
            say(
                f"> **The data set `{self.dataset}` is not available.** To run this notebook on "
                "the photographs included in scikit-image, write "
                '`settings = setup(dataset="photographs")` in the set-up cell or set '
                "`PIX2PIX_COLOR_DATASET=photographs`. Those results are not the report's."
            )
            raise

    def show(self, figure: Figure | bytes, name: str, width: int | None = None) -> None:
        """Displays a figure and, if `output` is set, saves it as `name`.png.

        Args:
            figure: a matplotlib figure or the bytes of a PNG.
            name: file name without extension.
            width: displayed width in pixels; the default is that of the PNG.
        """
        from IPython.display import Image, display

        from .files import write_atomically

        png = figure if isinstance(figure, bytes) else _to_png(figure)
        if self.output is not None:
            write_atomically(self.output / f"{name}.png", png)
        display(Image(data=png, format="png", width=width))


def setup(
    *, dataset: str | None = None, fast: bool | None = None, shows_results: bool = False
) -> Settings:
    """Reads the settings, starts TensorFlow without its start-up messages, and shows a banner.

    Args:
        dataset: overrides `PIX2PIX_COLOR_DATASET`; the default is CIFAR-10.
        fast: overrides `PIX2PIX_COLOR_FAST`.
        shows_results: the notebook only shows results that are included in the package, which do
            not depend on the settings; the banner says so.
    """
    environment = os.environ.get
    output = environment("PIX2PIX_COLOR_OUTPUT")
    settings = Settings(
        fast=environment("PIX2PIX_COLOR_FAST", "0") not in ("", "0") if fast is None else fast,
        dataset=dataset or environment("PIX2PIX_COLOR_DATASET") or "cifar10",
        model=environment("PIX2PIX_COLOR_MODEL") or "report",
        output=Path(output) if output else None,
    )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with without_stderr():
        import tensorflow as tf

        tf.zeros(()).numpy()  # initializes the devices, which log too
    if shows_results:
        say(
            "> **Nothing is trained here.** The results below come with the package; they were "
            "measured on CIFAR-10."
        )
        return settings
    if not settings.is_cifar10:
        say(
            f"> **Data: {Path(settings.dataset).name}, not CIFAR-10.** Do not compare the results "
            "below with the report's."
        )
    if settings.fast:
        say("> **Fast mode:** tiny sizes that show that everything runs. Draw no conclusions.")
    return settings


def say(markdown: str) -> None:
    """Displays Markdown: a banner, a table of results, or a sentence with computed numbers."""
    from IPython.display import Markdown, display

    display(Markdown(markdown))


def plot_network(model: keras.Model, *, dpi: int = 72) -> bytes:
    """Draws a network like the report's Figures 1 and 2, with Graphviz or graphviz-pure.

    `keras.utils.plot_model` cannot be used: it first asks Graphviz for a PostScript file, which
    graphviz-pure does not write.

    Returns:
        A PNG.

    Raises:
        RuntimeError: neither Graphviz nor graphviz-pure is installed.
    """
    import keras

    graph = keras.utils.model_to_dot(model, show_shapes=True, show_layer_names=True, dpi=dpi)
    beside = os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", "")))
    program = shutil.which("dot") or shutil.which("graphviz-pure", path=beside)
    if program is None:
        raise RuntimeError(
            "Drawing a network needs Graphviz: pip install graphviz-pure, or install Graphviz "
            "itself (https://graphviz.org/download)."
        )
    return graph.create(prog=program, format="png")


def _to_png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
