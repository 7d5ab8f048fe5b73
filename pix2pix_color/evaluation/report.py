"""Scores a model and makes what is shown of it: tables, figures, and a folder of files.

write_report("report", "scores", splits=("train", "test"))
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import color, figures
from ..colorizer import Colorizer
from ..config import Config
from ..data import ImageDataset, load_dataset
from ..errors import EvaluationError
from ..files import write_atomically
from .images import images_at, sample_images
from .protocol import SCORES, predictor_title, score_title
from .results import Evaluation
from .scoring import evaluate
from .splits import side_by_side
from .tables import aligned

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

__all__ = ["as_text", "make_figures", "write_report"]

MAIN_SCORES = (
    "psnr",
    "ssim",
    "ciede2000",
    "chroma_auc_rebalanced",
    "colorfulness_ratio",
    "semantic_accuracy",
    "fcd",
    "report_psnr",
)
"""The scores in `scores.png`."""

IMAGES_PER_GROUP = 8  # best, median and worst images of each score

_FILES = (
    "metrics.json",
    "scores.csv",
    "table.md",
    "samples.png",
    "scores.png",
    "psnr-against-report-psnr.png",
)
_SIDE_BY_SIDE = "side_by_side.md"


def write_report(
    model: str | Path,
    folder: str | Path | None = None,
    *,
    against: str | Path | None = None,
    dataset: str = "cifar10",
    splits: Sequence[str] = ("test",),
    limit: int | None = None,
    batch_size: int = 256,
    overwrite: bool = False,
    say: Callable[[str], None] = print,
    on_split: Callable[[Evaluation], None] | None = None,
) -> dict[str, Evaluation]:
    """Scores a model beside the baselines and writes everything that is shown of it.

    The files are `metrics.json`, `scores.csv` (one row per image), `table.md` and figures:
    `samples.png`, `scores.png`, `psnr-against-report-psnr.png`, `images-by-SCORE.png`. With two
    splits each has a subfolder of its name, beside `side_by_side.md`.

    Args:
        model: anything that `Colorizer.load` takes, such as the name of a shipped model.
        folder: where the files go; `None` writes none.
        against: a second model, to compare with on the same images.
        dataset: as in `load_dataset`, read as the model's configuration says.
        splits: `"train"`, `"test"` or both.
        limit: only the first images. The reference is the whole train split nevertheless.
        batch_size: number of images that a generator sees at a time.
        overwrite: replace existing files.
        say: called with each line about what happens.
        on_split: called with the scores of each split as soon as its files are written.

    Returns:
        split to scores. `extra` holds the model's name and step and, with a second model, its
        name and step and the difference of the two.

    Raises:
        EvaluationError: a file is in the way, or a model cannot be scored on these images.
        ModelError: a model does not exist or cannot be loaded.
        DataError: a data set does not exist or cannot be read.
    """
    folders: dict[str, Path] = {}
    if folder is not None:
        folder = Path(folder)
        folders = {split: folder / split if len(splits) > 1 else folder for split in splits}
        if not overwrite:
            _refuse_existing(folder, folders)
    colorizers = {"model": Colorizer.load(model)}
    if against is not None:
        colorizers["against"] = Colorizer.load(against)
    config = colorizers["model"].config or Config.report()
    datasets = {split: _load(config, dataset, split, limit, say) for split in splits}
    reference = datasets.get("train") if limit is None else None
    reference = reference or _load(config, dataset, "train", None, say)
    done: dict[str, Evaluation] = {}
    for split, images in datasets.items():
        evaluation = done[split] = _score(colorizers, images, reference, batch_size)
        if split in folders:
            evaluation.write(folders[split])
            made = make_figures(evaluation, colorizers["model"].generator, images)
            for name, figure in made.items():
                write_atomically(folders[split] / name, _png(figure))
            files = f"metrics.json, scores.csv, table.md and {len(made)} figures"
            say(f"Saved {files} in {folders[split]}.")
        if on_split is not None:
            on_split(evaluation)
    if folder is not None and len(done) > 1:
        write_atomically(folder / _SIDE_BY_SIDE, side_by_side(done["train"], done["test"]))
    return done


def _refuse_existing(folder: Path, folders: dict[str, Path]) -> None:
    targets = [folder / name for folder in folders.values() for name in _FILES]
    for target in [*targets, *([folder / _SIDE_BY_SIDE] if len(folders) > 1 else [])]:
        if target.exists():
            raise EvaluationError(f"{target} exists. Choose another folder or --overwrite.")


def _load(
    config: Config, name: str, split: str, limit: int | None, say: Callable[[str], None]
) -> ImageDataset:
    say(f"Reading {name} ({split})...")
    options = {"image_size": config.data.image_size, "drop_gray": config.data.drop_gray}
    dataset = load_dataset(name, split, limit=limit, **options)
    for note in dataset.notes:
        say(note)
    say(
        f"Data: {dataset.name} ({split}), {dataset.count:,} images; {dataset.gray_count:,} gray "
        "images dropped."
    )
    return dataset


def _score(
    colorizers: dict[str, Colorizer],
    dataset: ImageDataset,
    reference: ImageDataset,
    batch_size: int,
) -> Evaluation:
    generators = {name: colorizer.generator for name, colorizer in colorizers.items()}
    try:
        evaluation = evaluate(generators, dataset, reference=reference, batch_size=batch_size)
    except EvaluationError as error:
        names = " and ".join(colorizer.name for colorizer in colorizers.values())
        raise EvaluationError(f"{names} cannot be scored: {error}") from error
    extra: dict[str, Any] = {}
    for name, colorizer in colorizers.items():
        # The name alone: a file that is passed on must not tell this machine's folders.
        extra[name] = Path(colorizer.name).name
        extra["step" if name == "model" else "against_step"] = colorizer.model.step
    if "against" in colorizers:
        extra["difference"] = evaluation.difference("model", "against").summary()
    return dataclasses.replace(evaluation, extra=extra)


def as_text(evaluation: Evaluation) -> str:
    """Returns the scores of `write_report` as tables to be read in a terminal."""
    extra = evaluation.extra
    steps = f", trained for {extra['step']:,} steps" if extra.get("step") else ""
    lines = ["", f"Model {extra['model']}{steps}."]
    if "against" in extra:
        lines.append(f"The other model: {extra['against']}.")
    lines += ["", aligned(evaluation.table(intervals=False))]
    if "against" in extra:
        lines.append(aligned(evaluation.difference("model", "against").table()))
    lines += [f"Left out: {score_title(name)}: {why}." for name, why in evaluation.left_out.items()]
    return "\n".join(lines)


# Figures ------------------------------------------------------------------------------------


def make_figures(
    evaluation: Evaluation, generator: keras.Model, dataset: ImageDataset
) -> dict[str, Figure]:
    """Returns the figures of an evaluation by their file names.

    Args:
        evaluation: with a predictor named "model".
        generator: that model, from lightness to chroma.
        dataset: the images that were scored.
    """
    made = {"samples.png": _sample_grid(generator, dataset)}
    titles = [predictor_title(name) for name in evaluation.models]
    made["scores.png"] = figures.score_intervals(evaluation.panels(MAIN_SCORES), highlight=titles)
    scores = evaluation.per_image["model"]
    if np.sum(np.isfinite(scores["psnr"]) & np.isfinite(scores["report_psnr"])) > 1:
        made["psnr-against-report-psnr.png"] = figures.psnr_scatter(
            scores["report_psnr"], scores["psnr"]
        )
    return made | _ranked(evaluation, generator, dataset)


def _sample_grid(generator: keras.Model, dataset: ImageDataset, count: int = 8) -> Figure:
    """Returns gray, real and colorized rows of uncurated samples."""
    real = sample_images(dataset, count)
    lightness, chroma = color.split(real)
    gray = np.asarray(color.merge(lightness, 0 * chroma))
    rows = [gray, real, _colorized(generator, real)]
    return figures.image_grid(rows, row_titles=("gray", "real", "colorized"))


def _ranked(
    evaluation: Evaluation, generator: keras.Model, dataset: ImageDataset
) -> dict[str, Figure]:
    """Returns a grid of best, median and worst images for each score with a direction."""
    chosen: dict[str, np.ndarray] = {}
    for name, score in SCORES.items():
        values = evaluation.per_image["model"].get(name)
        if values is not None and score.better in ("higher", "lower"):
            groups = figures.best_median_worst(values, IMAGES_PER_GROUP, better=score.better)
            chosen[name] = np.unique(np.concatenate(list(groups.values())))
    needed = np.unique(np.concatenate(list(chosen.values())))
    real = images_at(dataset, needed)
    fake = _colorized(generator, real)
    made = {}
    for name, images in chosen.items():
        places = np.searchsorted(needed, images)
        score = SCORES[name]
        made[f"images-by-{name.replace('_', '-')}.png"] = figures.ranked_images(
            real[places],
            fake[places],
            evaluation.per_image["model"][name][images],
            better=score.better,
            each=IMAGES_PER_GROUP,
            digits=score.digits,
            title=f"{score.title}: {evaluation.dataset}, {evaluation.split}",
        )
    return made


def _colorized(generator: keras.Model, images: np.ndarray) -> np.ndarray:
    lightness, _ = color.split(images)
    return np.asarray(color.merge(lightness, generator(lightness, training=False)))


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
