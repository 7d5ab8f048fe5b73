"""The command `evaluate`: scores as a table, as JSON, and as a folder of files and figures."""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import CommandError
from ...files import write_atomically
from ...startup import start_tensorflow
from .train import load
from .values import DATASETS, MODELS, positive

if TYPE_CHECKING:
    import keras
    import numpy as np
    from matplotlib.figure import Figure

    from ...colorizer import Colorizer
    from ...data import ImageDataset
    from ...evaluation import Evaluation

_FILES = (
    "metrics.json",
    "scores.csv",
    "table.md",
    "samples.png",
    "scores.png",
    "psnr-against-report-psnr.png",
)
_SPLITS = ("train", "test")
_RANKED = 8  # best, median and worst images of each score
_MAIN = (
    "psnr",
    "ssim",
    "ciede2000",
    "chroma_auc_rebalanced",
    "colorfulness_ratio",
    "semantic_accuracy",
    "fcd",
    "report_psnr",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `pix2pix-color evaluate`."""
    parser.add_argument("--model", metavar="MODEL", default="report", help=MODELS)
    parser.add_argument(
        "--against", metavar="MODEL", help="a second model, to compare on the same images"
    )
    parser.add_argument("--dataset", metavar="DATA", default="cifar10", help=DATASETS)
    parser.add_argument("--split", metavar="NAME", default="test", help="train, test or both")
    parser.add_argument("--limit", metavar="N", type=positive, help="use only the first N images")
    parser.add_argument("--batch-size", metavar="N", type=positive, default=256)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        type=Path,
        help="also write metrics.json, scores.csv (every image), table.md and figures there",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace those files")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--inception",
        action="store_true",
        help="also the Inception FID, with weights that Keras downloads: many minutes",
    )


def run(options: argparse.Namespace) -> int:
    """Scores a model beside its baselines, as a table or as JSON, on one split or on both."""
    splits = _SPLITS if options.split == "both" else (options.split,)
    folders = _folders(options, splits)
    start_tensorflow()
    from ...colorizer import Colorizer

    # Where the output goes to a program, everything but the JSON goes to the error output.
    aside = sys.stderr if options.json else sys.stdout
    colorizers = {"model": Colorizer.load(options.model)}
    if options.against is not None:
        colorizers["against"] = Colorizer.load(options.against)
    datasets, reference = _data(options, colorizers["model"], splits, aside)
    done: dict[str, Evaluation] = {}
    contents: dict[str, dict[str, Any]] = {}
    for split, dataset in datasets.items():
        done[split] = evaluation = _score(options, colorizers, dataset, reference)
        facts = _facts(options, colorizers, evaluation, dataset)
        contents[split] = {**facts, **evaluation.summary()}
        if not options.json:
            _print_tables(options, evaluation, facts)
        if split in folders:
            names = _write(evaluation, folders[split], colorizers["model"], dataset, facts)
            print(f"Saved {names} in {folders[split]}.", file=aside, flush=True)
    if options.json:
        content = contents if len(done) > 1 else contents[splits[0]]
        print(json.dumps(content, indent=2), flush=True)
    if len(done) > 1:
        _side_by_side(options, done)
    return 0


def _folders(options: argparse.Namespace, splits: tuple[str, ...]) -> dict[str, Path]:
    """Returns where each split's files go, and refuses to replace any unasked."""
    output = options.output
    if output is None:
        return {}
    folders = {split: output / split if len(splits) > 1 else output for split in splits}
    targets = [folder / name for folder in folders.values() for name in _FILES]
    for target in [*targets, *([output / "side_by_side.md"] if len(splits) > 1 else [])]:
        if target.exists() and not options.overwrite:
            raise CommandError(f"{target} exists. Use another folder or --overwrite.")
    return folders


def _data(
    options: argparse.Namespace, colorizer: Colorizer, splits: tuple[str, ...], aside: Any
) -> tuple[dict[str, ImageDataset], ImageDataset]:
    """Returns the data set of each split, and the whole train split, which is the reference."""
    from ...config import Config

    config = colorizer.config or Config.report()
    datasets = {
        split: load(config, options.dataset, split, options.limit, aside) for split in splits
    }
    if "train" in datasets and options.limit is None:
        return datasets, datasets["train"]
    return datasets, load(config, options.dataset, "train", None, aside)


def _score(
    options: argparse.Namespace,
    colorizers: dict[str, Colorizer],
    dataset: ImageDataset,
    reference: ImageDataset,
) -> Evaluation:
    from ...errors import EvaluationError
    from ...evaluation import evaluate

    try:
        return evaluate(
            {name: colorizer.generator for name, colorizer in colorizers.items()},
            dataset,
            reference=reference,
            batch_size=options.batch_size,
        )
    except EvaluationError as error:
        models = " and ".join(filter(None, (options.model, options.against)))
        raise CommandError(f"{models} cannot be scored: {error}") from error


def _facts(
    options: argparse.Namespace,
    colorizers: dict[str, Colorizer],
    evaluation: Evaluation,
    dataset: ImageDataset,
) -> dict[str, Any]:
    """Returns what metrics.json says beside the scores."""
    # The name alone: a file to pass on says nothing of this machine's folders.
    facts: dict[str, Any] = {"model": Path(options.model).name}
    facts["step"] = steps_taken(colorizers["model"])
    if options.against is not None:
        facts["against"] = Path(options.against).name
        facts["against_step"] = steps_taken(colorizers["against"])
        facts["difference"] = evaluation.difference("model", "against").summary()
    if options.inception:
        facts["inception_fid"] = _inception(colorizers, dataset)
    return facts


def _inception(colorizers: dict[str, Colorizer], dataset: ImageDataset) -> dict[str, float]:
    import tensorflow as tf

    from ... import color
    from ...evaluation import inception_fid
    from ...evaluation.inception import load_inception

    network = load_inception()

    def colorized(generator: keras.Model) -> tf.data.Dataset:
        def colorize(images: tf.Tensor) -> tf.Tensor:
            lightness, _ = color.split(images)
            return color.to_uint8(color.merge(lightness, generator(lightness, training=False)))

        return dataset.images.batch(64).map(colorize).unbatch()

    return {
        name: round(
            inception_fid(dataset.images, colorized(colorizer.generator), network=network), 4
        )
        for name, colorizer in colorizers.items()
    }


def _print_tables(
    options: argparse.Namespace, evaluation: Evaluation, facts: dict[str, Any]
) -> None:
    from ...evaluation import SCORES
    from ...evaluation.tables import aligned

    steps = f", trained for {facts['step']:,} steps" if facts["step"] else ""
    lines = ["", f"Model {options.model}{steps}."]
    if options.against is not None:
        lines.append(f"The other model: {options.against}.")
    lines += ["", aligned(evaluation.table(intervals=False))]
    if options.against is not None:
        lines.append(aligned(evaluation.difference("model", "against").table()))
    for name, value in facts.get("inception_fid", {}).items():
        lines.append(f"Inception FID with Keras's weights, {facts[name]}: {value:.2f}")
    for name, reason in evaluation.left_out.items():
        lines.append(f"Left out: {SCORES[name].title if name in SCORES else name}: {reason}.")
    print("\n".join(lines), flush=True)


def _side_by_side(options: argparse.Namespace, done: dict[str, Evaluation]) -> None:
    from ...evaluation import side_by_side

    tables = side_by_side(done["train"], done["test"])
    if not options.json:
        print(f"Train and test side by side:\n\n{tables}", flush=True)
    if options.output is not None:
        write_atomically(options.output / "side_by_side.md", tables)


def steps_taken(colorizer: Colorizer) -> int | None:
    """Returns the steps a model was trained for, from its folder; None where it cannot be known."""
    if colorizer.folder is None:
        return None
    scores, history = colorizer.folder / "metrics.json", colorizer.folder / "history.csv"
    if (colorizer.folder / "SHA256SUMS").is_file() and scores.is_file():
        return json.loads(scores.read_text(encoding="utf-8")).get("step")
    if colorizer.config is None or not history.is_file():
        return None
    last = int(history.read_text(encoding="utf-8").splitlines()[-1].partition(",")[0])
    # A generator is saved at the end of a run; only every log_every-th step has a row.
    training = colorizer.config.training
    return training.steps if last < training.steps <= last + training.log_every else last + 1


# Files --------------------------------------------------------------------------------------


def _write(
    evaluation: Evaluation,
    folder: Path,
    colorizer: Colorizer,
    dataset: ImageDataset,
    facts: dict[str, Any],
) -> str:
    """Writes everything about one split into a folder, and returns in words what."""
    evaluation.write(folder, **facts)
    figures = _figures(evaluation, colorizer.generator, dataset)
    for name, figure in figures.items():
        write_atomically(folder / name, _png(figure))
    return f"metrics.json, scores.csv, table.md and {len(figures)} figures"


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _figures(
    evaluation: Evaluation, generator: keras.Model, dataset: ImageDataset
) -> dict[str, Figure]:
    """Returns the figures by their file names."""
    import numpy as np

    from ... import figures
    from ...evaluation import predictor_title

    made = {"samples.png": _sample_grid(generator, dataset)}
    titles = [predictor_title(name) for name in evaluation.models]
    made["scores.png"] = figures.score_intervals(evaluation.panels(_MAIN), highlight=titles)
    scores = evaluation.per_image["model"]
    known = np.isfinite(scores["psnr"]) & np.isfinite(scores["report_psnr"])
    if known.sum() > 1:
        made["psnr-against-report-psnr.png"] = figures.psnr_scatter(
            scores["report_psnr"], scores["psnr"]
        )
    return made | _ranked(evaluation, generator, dataset)


def _ranked(
    evaluation: Evaluation, generator: keras.Model, dataset: ImageDataset
) -> dict[str, Figure]:
    """Returns a grid of best, median and worst images for each score with a direction."""
    import numpy as np

    from ... import figures
    from ...evaluation import SCORES, images_at

    chosen: dict[str, np.ndarray] = {}
    for name, score in SCORES.items():
        values = evaluation.per_image["model"].get(score.column)
        if values is not None and score.better in ("higher", "lower") and name == score.column:
            groups = figures.best_median_worst(values, _RANKED, better=score.better)
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
            each=_RANKED,
            digits=score.digits,
            title=f"{score.title}: {evaluation.dataset}, {evaluation.split}",
        )
    return made


def _colorized(generator: keras.Model, images: np.ndarray) -> np.ndarray:
    import numpy as np

    from ... import color

    lightness, _ = color.split(images)
    return np.asarray(color.merge(lightness, generator(lightness, training=False)))


def _sample_grid(generator: keras.Model, dataset: ImageDataset, count: int = 8) -> Figure:
    """Returns gray, real and colorized rows of images that nobody has chosen."""
    import numpy as np

    from ... import color, figures
    from ...evaluation import sample_images

    real = sample_images(dataset, count)
    lightness, chroma = color.split(real)
    gray = np.asarray(color.merge(lightness, 0 * chroma))
    rows = [gray, real, _colorized(generator, real)]
    return figures.image_grid(rows, row_titles=("gray", "real", "colorized"))
