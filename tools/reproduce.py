"""Reproduces the report from the shipped model: notebooks, figures, a training run, scores.

    make reproduce
    python -m tools.reproduce [FOLDER]      # the default is reproduced/

Works from the root of a checkout, without a network and without CIFAR-10, in minutes. No committed
file changes.
"""

from __future__ import annotations

import functools
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pix2pix_color.errors import DataError, Pix2PixColorError
from pix2pix_color.files import verify_checksums, write_atomically
from pix2pix_color.startup import start_tensorflow

from .notebooks import run_notebooks

if TYPE_CHECKING:
    from pix2pix_color import Colorizer

__all__ = ["ReproductionError", "choose_dataset", "reproduce"]

MODEL = "report"
SCORED_IMAGES = 2_000
"""How many test images are scored; scoring all of them takes minutes on two cores."""

_MARKER = ".made-by-pix2pix-color"
_TITLES = {
    "cifar10": "CIFAR-10",
    "photographs": "the photographs included in scikit-image, NOT CIFAR-10",
}
_say = functools.partial(print, flush=True)


class ReproductionError(Pix2PixColorError):
    """Something that the reproduction needs is missing, or a notebook failed."""


def reproduce(folder: str | Path = "reproduced", *, checkout: str | Path = ".") -> None:
    """Reproduces the report with the shipped model, without a network, in minutes.

    Args:
        folder: where the results go. A previous reproduction is replaced; any other existing
            folder is kept.
        checkout: the root of the project.

    Raises:
        ReproductionError: `checkout` is not one, `folder` exists, or a notebook failed.
        ChecksumError: the files of the shipped model are not the original ones.
    """
    checkout, folder = Path(checkout).resolve(), Path(folder).resolve()
    start = time.monotonic()
    # Number 10 trains the report's model, for hours.
    notebooks = [p for p in sorted((checkout / "notebooks").glob("*.ipynb")) if p.name[:2] != "10"]
    model = checkout / "saved_models" / MODEL
    if not (notebooks and model.is_dir()):
        raise ReproductionError(
            f"{checkout} lacks notebooks/ or saved_models/{MODEL}: run this from the root of a "
            "complete checkout."
        )
    _say(f"[1/5] The shipped model: {verify_checksums(model)} files match their SHA-256.")
    dataset, banner = choose_dataset()
    _say(banner)
    create_folder(folder)
    _say(f"[2/5] The notebooks, on {_TITLES[dataset]}:")
    settings = {
        "PIX2PIX_COLOR_DATASET": dataset,
        "PIX2PIX_COLOR_MODEL": str(model),
        "PIX2PIX_COLOR_OUTPUT": str(folder / "figures"),
    }
    failed = run_notebooks(notebooks, folder / "notebooks", settings)
    _say("[3/5] A short training run of a tiny network on photographs (not the report's run):")
    _train_briefly(folder / "run")
    _say("[4/5] A photograph of any size:")
    colorizer = _colorize_photograph(model, folder)
    _say(f"[5/5] The scores, on {_TITLES[dataset]}:")
    _score(colorizer, dataset, folder / "scores.md")
    _say(
        f"Done in {time.monotonic() - start:.0f} s. Results:\n"
        f"  {folder / 'figures'}: the figures\n"
        f"  {folder / 'notebooks'}: the executed notebooks\n"
        f"  {folder / 'scores.md'}: the table of scores\n"
        f"  {folder / 'colorized.png'}: a photograph, colorized from {folder / 'gray.png'}\n"
        f"  {folder / 'run'}: the short training run"
    )
    if failed:
        raise ReproductionError(
            f"{len(failed)} of {len(notebooks)} notebooks failed ({'; '.join(failed)}). See "
            f"{folder / 'notebooks'}."
        )


def create_folder(folder: Path) -> None:
    """Creates an empty folder for the results, in place of those of an earlier reproduction.

    Raises:
        ReproductionError: the folder exists and is not from a reproduction.
    """
    if folder.exists():
        if not (folder / _MARKER).is_file():
            raise ReproductionError(
                f"{folder} exists and was not created by this command: move it or choose another "
                "folder."
            )
        shutil.rmtree(folder)
    (folder / "figures").mkdir(parents=True)
    (folder / _MARKER).touch()


def choose_dataset() -> tuple[str, str]:
    """Returns the data set to use, and what a reader must know about it before any result.

    It is CIFAR-10 if TensorFlow Datasets has it or can download it, otherwise `"photographs"`.
    """
    from pix2pix_color import load_dataset

    try:
        load_dataset("cifar10", "test", limit=1)
    except DataError as error:
        lines = (
            str(error),
            "The results below use crops of the photographs included in scikit-image instead.",
            "They are NOT CIFAR-10 results: do not compare them with the report's.",
        )
        return "photographs", "\n".join(("*" * 84, *(f"* {line}" for line in lines), "*" * 84))
    return "cifar10", "Data: CIFAR-10."


def _train_briefly(folder: Path) -> None:
    from pix2pix_color import Config, Trainer, load_dataset

    config = Config.fast()
    trainer = Trainer(config, folder)
    images = load_dataset(config.data.dataset, "train", image_size=config.data.image_size)
    scores = trainer.fit(images)
    _say(f"  {trainer.current_step} steps; final generator loss {scores['generator_loss']:.2f}")


def _colorize_photograph(model: Path, folder: Path) -> Colorizer:
    import skimage.data
    from PIL import Image

    from pix2pix_color import Colorizer

    gray, colorized = folder / "gray.png", folder / "colorized.png"
    Image.fromarray(skimage.data.coffee()).convert("L").save(gray)
    colorizer = Colorizer.load(model)
    colorizer.colorize_file(gray, colorized)
    _say(f"  {gray} -> {colorized}")
    return colorizer


def _score(colorizer: Colorizer, dataset: str, path: Path) -> None:
    from pix2pix_color import evaluate, load_dataset

    size = colorizer.generator.input_shape[1]
    images = load_dataset(dataset, "test", image_size=size, limit=SCORED_IMAGES)
    evaluation = evaluate(colorizer.generator, images)
    steps = colorizer.model.step
    trained = f"trained for {steps:,} iterations" if steps else "number of iterations not recorded"
    text = (
        f"Model `{MODEL}`, {trained}; scored on {evaluation.count:,} color images from the first "
        f"{SCORED_IMAGES:,} of the test split. The true scores measure color. The report's own "
        "protocol cannot: it rates an image without any color just as highly."
    )
    table = f"# Scores on {_TITLES[dataset]}\n\n{text}\n\n{evaluation.table()}"
    write_atomically(path, table)
    _say(f"{text}\n\n{evaluation.table(short=True)}")


if __name__ == "__main__":
    start_tensorflow()
    try:
        reproduce(*sys.argv[1:2])
    except Pix2PixColorError as error:
        sys.exit(f"reproduce: error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
