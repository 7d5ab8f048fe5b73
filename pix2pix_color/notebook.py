"""Settings, a quiet start and display functions for the notebooks.

settings = setup()
images = settings.load("train")
settings.show(figures.image_grid([...]), "01-samples")
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import io
import json
import os
import shutil
import subprocess
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .startup import without_stderr

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

    from .data import ImageDataset
    from .training import Trainer

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

    def live_figures(
        self, trainer: Trainer, dataset: ImageDataset, every: int = 1_000
    ) -> keras.callbacks.Callback:
        """Returns a callback that redraws the report's Figures 4 and 5 while a run is trained.

        Args:
            trainer: of a run with a folder.
            dataset: eight uncurated images of it are colorized as well.
            every: steps between two drawings.
        """
        import keras
        import numpy as np
        from IPython.display import clear_output

        from . import color, figures
        from .evaluation import sample_images

        real = sample_images(dataset, 8)
        lightness, chroma = color.split(real)
        start, first = time.monotonic(), trainer.current_step
        drawn = first // every

        def draw(logs=None) -> None:
            history = np.genfromtxt(trainer.folder / "history.csv", delimiter=",", names=True)
            fake = trainer.inference_generator()(lightness, training=False)
            rows = [color.merge(lightness, ab) for ab in (0 * chroma, chroma, fake)]
            step, end = trainer.current_step, trainer.config.training.steps
            minutes = (end - step) * (time.monotonic() - start) / max(1, step - first) / 60
            clear_output(wait=True)
            say(f"Step {step:,} of {end:,}, about {minutes:.0f} minutes left.")
            self.show(figures.loss_curves(history, x_max=None), "10-losses")
            self.show(figures.accuracy_curve(history, x_max=None), "10-accuracy")
            self.show(
                figures.image_grid(rows, row_titles=["gray", "real", "colorized"]), "10-images"
            )

        def draw_if_due(batch, logs=None) -> None:
            nonlocal drawn
            if trainer.current_step // every > drawn:
                drawn = trainer.current_step // every
                draw()

        return keras.callbacks.LambdaCallback(on_train_batch_end=draw_if_due, on_train_end=draw)


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
        import keras
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")
        tf.zeros(()).numpy()  # initializes the devices, which log too
    devices = [device.device_type for device in tf.config.list_logical_devices()]
    say(
        f"TensorFlow {tf.__version__}, Keras {keras.__version__}, {', '.join(devices)}; "
        f"pix2pix_color {_commit()}."
    )
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


def _commit() -> str:
    """Returns the commit of the checkout, or of the installation from a repository."""
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        if (folder.parent / ".git").exists():
            return subprocess.check_output(command, text=True).strip()
    with contextlib.suppress(importlib.metadata.PackageNotFoundError, KeyError, TypeError):
        package = importlib.metadata.distribution("pix2pix_color")
        origin = json.loads(package.read_text("direct_url.json") or "null")
        return origin["vcs_info"]["commit_id"][:7]
    return "of an unknown commit"


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
