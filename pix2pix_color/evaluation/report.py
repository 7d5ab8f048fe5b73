"""Scores a model and makes what is shown of it: tables, figures, and a folder of files.

write_report("report", "scores")
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import color, figures
from ..colorizer import Colorizer
from ..config import Config
from ..data import ImageDataset, load_dataset
from ..errors import EvaluationError, ModelError
from ..files import replacing
from .images import images_at, sample_images
from .photographs import Colorize, evaluate_photographs, load_judge, matching_strength
from .protocol import SCORES, title_of
from .results import Evaluation, aligned
from .scoring import evaluate

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

__all__ = ["as_text", "sample_grid", "write_photograph_report", "write_report"]


def write_report(
    model: str | Path,
    folder: str | Path | None = None,
    *,
    against: str | Path | None = None,
    dataset: str = "cifar10",
    split: str = "test",
    limit: int | None = None,
    overwrite: bool = False,
    say: Callable[[str], None] = print,
) -> Evaluation:
    """Scores a model beside the baselines and writes everything that is shown of it.

    The files are `metrics.json`, `scores.csv` (one row per image), `table.md` and figures:
    `samples.png`, `scores.png`, `psnr-against-report-psnr.png`, and the best, median and worst
    images by true PSNR and by CIEDE2000.

    Args:
        model: anything that `Colorizer.load` takes, such as the name of a shipped model.
        folder: where the files go; `None` writes none.
        against: a second model, to compare with on the same images.
        dataset, split: as in `load_dataset`, read as the model's configuration says.
        limit: only the first images. The reference is the whole train split nevertheless.
        overwrite: replace existing files.
        say: called with each line about what happens.

    Returns:
        The scores. `extra` holds the model's name and step and, with a second model, its name and
        step and the difference of the two.

    Raises:
        EvaluationError: the folder is not empty, or a model cannot be scored on these images.
        ModelError: a model does not exist or cannot be loaded.
        DataError: a data set does not exist or cannot be read.
    """
    folder = _output_folder(folder, overwrite)
    colorizers = {"model": Colorizer.load(model)}
    if against is not None:
        colorizers["against"] = Colorizer.load(against)
    config = colorizers["model"].config
    images = reference = _load(config, dataset, split, limit, say)
    if split != "train" or limit is not None:
        reference = _load(config, dataset, "train", None, say)
    generators = {name: colorizer.generator for name, colorizer in colorizers.items()}
    evaluation = evaluate(generators, images, reference=reference)
    extra = {}
    for name, colorizer in colorizers.items():
        # The name alone: a file that is passed on must not tell this machine's folders.
        extra[name] = Path(colorizer.name).name
        extra["step" if name == "model" else "against_step"] = colorizer.model.step
    if against is not None:
        extra["difference"] = evaluation.difference("model", "against").summary()
    evaluation = dataclasses.replace(evaluation, extra=extra)
    if folder:
        evaluation.write(folder)
        made = _figures(evaluation, generators["model"], images)
        for name, figure in made.items():
            _save(folder / name, figure)
        say(f"Saved metrics.json, scores.csv, table.md and {len(made)} figures in {folder}.")
    return evaluation


def _output_folder(folder: str | Path | None, overwrite: bool) -> Path | None:
    folder = None if folder is None else Path(folder)
    if folder and folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise EvaluationError(f"{folder} is not empty. Choose another folder or --overwrite.")
    return folder


def _load(
    config: Config, name: str, split: str, limit: int | None, say: Callable[[str], None]
) -> ImageDataset:
    say(f"Reading {name} ({split})...")
    options = {"image_size": config.data.image_size, "drop_gray": config.data.drop_gray}
    dataset = load_dataset(name, split, limit=limit, **options)
    for note in dataset.notes:
        say(note)
    counts = f"{dataset.count:,} images; {dataset.gray_count:,} gray images dropped"
    say(f"Data: {dataset.name} ({split}), {counts}.")
    return dataset


def write_photograph_report(
    model: str | Path,
    paths: Sequence[Path],
    folder: str | Path | None = None,
    *,
    against: str | Path | None = None,
    judge: str | Path | None = None,
    vividness: float | None = None,
    render_size: int | None = None,
    strength: float = 1.0,
    name: str = "photographs",
    overwrite: bool = False,
    say: Callable[[str], None] = print,
) -> Evaluation:
    """Scores a model on photographs, as `colorize` delivers them.

    A model with a vividness setting is compared with its faithful end, as it is and louder. The
    files are `metrics.json`, `scores.csv`, `table.md` and `scores.png`.

    Args:
        model, folder, against, overwrite, say: as in `write_report`.
        paths, name: as in `evaluate_photographs`.
        judge: as in `load_judge`; without it and its package, two scores are left out.
        vividness, render_size, strength: of the model, as in `Colorizer`.

    Raises:
        ColorizerError: a setting is out of range, or the model has no vividness.
        EvaluationError, ImageFileError, ModelError: as there.
    """
    folder, judging, why = _output_folder(folder, overwrite), None, ""
    try:
        judging = load_judge(judge)
    except ModelError as error:
        if judge is not None:
            raise
        why = str(error).rstrip(".")
    colorizer, settings = Colorizer.load(model), {"render_size": render_size}
    if vividness is not None:
        colorizer = colorizer.at_vividness(vividness)
    rows: dict[str, Colorize] = {
        "model": functools.partial(colorizer, strength=strength, **settings)
    }
    extra = {"model": Path(colorizer.name).name, "step": colorizer.model.step}
    extra |= {"render_size": render_size or colorizer.render_size, "strength": f"{strength:g}"}
    if colorizer.vividness:
        faithful = colorizer.at_vividness(0.0)
        say("Finding the strength that makes the faithful end as colorful...")
        louder = matching_strength(faithful, rows["model"], paths, **settings)
        rows["faithful"] = functools.partial(faithful, **settings)
        rows["louder"] = functools.partial(faithful, strength=louder, **settings)
        extra |= {"vividness": f"{colorizer.vividness:g}", "louder": f"strength {louder:.3f}"}
    if against is not None:
        other = rows["against"] = Colorizer.load(against)
        extra |= {"against": Path(other.name).name, "against_step": other.model.step}
    evaluation = evaluate_photographs(rows, paths, judge=judging, name=name)
    if against is not None:
        extra["difference"] = evaluation.difference("model", "against").summary()
    left_out = dict.fromkeys(evaluation.left_out, why)
    evaluation = dataclasses.replace(evaluation, extra=extra, left_out=left_out)
    if folder:
        evaluation.write(folder)
        _save(folder / "scores.png", _score_figure(evaluation))
        say(f"Saved metrics.json, scores.csv, table.md and scores.png in {folder}.")
    return evaluation


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
    lines += [f"Left out: {title_of(name)}: {why}." for name, why in evaluation.left_out.items()]
    return "\n".join(lines)


# Figures ------------------------------------------------------------------------------------


def _save(path: Path, figure: Figure) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _score_figure(evaluation: Evaluation) -> Figure:
    titles = [title_of(name) for name in evaluation.models]
    return figures.score_intervals(evaluation.panels(), highlight=titles)


def _figures(
    evaluation: Evaluation, generator: keras.Model, dataset: ImageDataset
) -> dict[str, Figure]:
    """Returns the figures of an evaluation and its "model" by their file names."""
    made = {
        "samples.png": sample_grid({"colorized": generator}, dataset),
        "scores.png": _score_figure(evaluation),
    }
    scores = evaluation.per_image["model"]
    both = scores["report_psnr"], scores["psnr"]
    if np.sum(np.isfinite(both).all(axis=0)) > 1:
        made["psnr-against-report-psnr.png"] = figures.psnr_scatter(*both)
    for name in ("psnr", "ciede2000"):
        score, values = SCORES[name], scores[name]
        groups = figures.best_median_worst(values, better=score.better)
        chosen = np.unique(np.concatenate([*groups.values()]))
        real = images_at(dataset, chosen)
        made[f"images-by-{name}.png"] = figures.ranked_images(
            real,
            _colorized(generator, real),
            values[chosen],
            better=score.better,
            digits=score.digits,
            title=f"{score.title}: {evaluation.dataset}, {evaluation.split}",
        )
    return made


def sample_grid(generators: Mapping[str, keras.Model], dataset: ImageDataset) -> Figure:
    """Returns eight uncurated samples: in gray, real, and a row for each generator by its title."""
    real = sample_images(dataset, 8)
    lightness, chroma = color.split(real)
    rows = {"gray": np.asarray(color.merge(lightness, 0 * chroma)), "real": real}
    rows |= {title: _colorized(generator, real) for title, generator in generators.items()}
    return figures.image_grid([*rows.values()], row_titles=[*rows])


def _colorized(generator: keras.Model, images: np.ndarray) -> np.ndarray:
    lightness, _ = color.split(images)
    return np.asarray(color.merge(lightness, generator(lightness, training=False)))
