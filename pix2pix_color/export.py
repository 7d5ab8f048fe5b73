"""Turns a trained generator into the files that people use.

The SavedModel is the product: uint8 images of any height and width in, gray or RGB; uint8
RGB out; colour conversion, resizing and merging inside the graph. It runs in any program that
has TensorFlow, without this package and without Keras.
"""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import keras
import tensorflow as tf

from .config import Config
from .files import ChecksumError, replacing, verify_checksums, write_checksums
from .inference import any_size, colorize_images

__all__ = [
    "ChecksumError",
    "ExportError",
    "export_run",
    "export_saved_model",
    "verify_checksums",
]


class ExportError(RuntimeError):
    """A model that cannot be exported as asked."""


def export_saved_model(
    generator: keras.Model,
    path: str | Path,
    *,
    render_size: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes a SavedModel that colourizes uint8 images of any size.

    Signatures: `serving_default`, uint8 (batch, height, width, 1 or 3) to uint8 RGB of the
    same size; `chroma`, float32 lightness (batch, rows, columns, 1), L in [0, 100], sides
    multiples of the training image size, to chroma (a, b) / 128.

    Args:
        generator: as from `Trainer.inference_generator`.
        path: the folder to write.
        render_size: see `inference.colorize_images`; the default is the training image size.
        overwrite: replace an existing folder.

    Returns:
        `path`.

    Raises:
        ExportError: the folder exists, or the render size does not fit.
    """
    path, multiple = Path(path), generator.input_shape[1] or 32
    render_size = multiple if render_size is None else render_size
    if render_size < multiple or render_size % multiple:
        raise ExportError(f"The render size must be a multiple of {multiple}, not {render_size}.")
    _refuse_existing(path, overwrite)
    network = any_size(generator)
    archive = keras.export.ExportArchive()
    archive.add_endpoint(
        "serving_default",
        lambda images: colorize_images(images, network, render_size, multiple),
        [tf.TensorSpec([None, None, None, None], tf.uint8, name="images")],
    )
    archive.add_endpoint(
        "chroma",
        lambda lightness: network(lightness, training=False),
        [tf.TensorSpec([None, None, None, 1], tf.float32, name="lightness")],
    )
    with replacing(path) as temporary:
        archive.write_out(str(temporary), verbose=False)
    return path


def _refuse_existing(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise ExportError(f"{path} exists already: choose another name, or ask to overwrite it.")


def export_run(
    run_folder: str | Path,
    destination: str | Path,
    *,
    render_size: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Makes a folder to ship of a finished run.

    It holds `generator.keras`, `saved_model/`, `config.json`, `history.csv`, a model card
    `README.md`, `SHA256SUMS`, and the run's `metrics.json` and `samples.png` where
    `pix2pix-color evaluate` has written them.

    Raises:
        ExportError: not a run folder with a trained generator, or the destination exists.
    """
    run, destination = Path(run_folder), Path(destination)
    for name in ("config.json", "history.csv", "generator.keras"):
        if not (run / name).is_file():
            raise ExportError(f"{run} is not a finished run: it has no {name}.")
    _refuse_existing(destination, overwrite)
    config = Config.from_json((run / "config.json").read_text(encoding="utf-8"))
    generator = keras.models.load_model(run / "generator.keras", compile=False)
    with replacing(destination) as temporary:
        temporary.mkdir()
        for name in ("config.json", "history.csv", "generator.keras"):
            shutil.copyfile(run / name, temporary / name)
        for name in ("metrics.json", "samples.png"):
            if (run / name).is_file():
                shutil.copyfile(run / name, temporary / name)
        export_saved_model(generator, temporary / "saved_model", render_size=render_size)
        card = model_card(temporary, destination.name, config)
        (temporary / "README.md").write_text(card, encoding="utf-8")
        write_checksums(temporary)
    return destination


def model_card(folder: Path, name: str, config: Config) -> str:
    """Returns the Markdown model card of a shipped folder, from the files in it."""
    with open(folder / "history.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    training, last = config.training, rows[-1]
    lines = [
        f"# Model card: `{name}`",
        "",
        "Colourizes gray images: a U-Net generator trained against a PatchGAN discriminator "
        "(pix2pix), after the report *Grayscale Image Colorization with GAN* (Ansaldo and "
        "Kjorholt, 2023).",
        "",
        "## How it was trained",
        "",
        f"- Data: `{config.data.dataset}`, train split, {config.data.image_size}x"
        f"{config.data.image_size} pixels"
        + (", gray images left out." if config.data.drop_gray else "."),
        f"- {_iterations(folder, rows):,} iterations of the {training.steps:,} that `config.json` "
        f"plans; batch {training.batch_size}, seed {training.seed}, `{training.precision}`, "
        f"one run.",
        f"- Loss: adversarial (weight {training.adversarial_weight:g}) + {training.l1_weight:g} x "
        f"mean absolute chroma error; Adam, {training.generator_learning_rate:g} and "
        f"{training.discriminator_learning_rate:g}.",
        f"- Last row of `history.csv` (step {last['step']}): generator loss "
        f"{float(last['generator_loss']):.2f}, discriminator loss "
        f"{float(last['discriminator_loss']):.2f}, discriminator accuracy "
        f"{float(last['discriminator_accuracy']):.2f}.",
        "",
        "## Scores",
        "",
        *_score_lines(folder),
        "",
        "## What it can and cannot do",
        "",
        f"- It learned small pictures of ten kinds of objects ({config.data.image_size}x"
        f"{config.data.image_size} pixels). On photographs of any size it predicts colour on a "
        "small copy and keeps the full luminance: colours are soft and follow large shapes.",
        "- It guesses: the true colour of a gray car cannot be known. Expect blotches and "
        "wrong, sometimes brownish, colours; never take them for evidence.",
        "- It never changes luminance, and never depends on other images of the batch: batch "
        "normalization uses its moving statistics.",
        "",
        "## Files",
        "",
        "`generator.keras` (lightness 0-100 to (a, b) / 128), `saved_model/` (uint8 images of any "
        "size, gray or RGB, to uint8 RGB; needs TensorFlow only), `config.json`, `history.csv`, "
        "`metrics.json`, `SHA256SUMS`"
        + (
            ", `evaluation/` (every score on both splits, with intervals and figures)."
            if (folder / "evaluation").is_dir()
            else "."
        ),
    ]
    return "\n".join(lines) + "\n"


def _iterations(folder: Path, rows: list[dict[str, str]]) -> int:
    path = folder / "metrics.json"
    recorded = json.loads(path.read_text(encoding="utf-8")).get("step") if path.is_file() else None
    return int(recorded) if recorded else int(rows[-1]["step"]) + 1


def _score_lines(folder: Path) -> list[str]:
    path = folder / "metrics.json"
    if not path.is_file():
        return ["Not measured: run `pix2pix-color evaluate` on the run folder and export again."]
    summary = json.loads(path.read_text(encoding="utf-8"))
    lines = [
        f"`{summary['dataset']}`, {summary['split']} split, {summary['count']:,} images; mean and "
        "95 % interval.",
        "",
        "| score | no colour at all | this model |",
        "| --- | --- | --- |",
    ]
    for name, title in (
        ("psnr", "true RGB PSNR (dB)"),
        ("ssim", "true RGB SSIM"),
        ("report_psnr", "PSNR in the report's protocol (dB)"),
        ("report_ssim", "SSIM in the report's protocol"),
    ):
        digits = 2 if "psnr" in name else 4
        cells = []
        for predictor in ("no_colour", "model"):
            mean = summary["scores"][predictor][name]
            low, high = summary["intervals"][predictor][name]
            cells.append(f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]")
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return [
        *lines,
        "",
        "The report's protocol squares a uint8 difference in uint8 and compares gray with gray; "
        "it cannot see whether colours are right.",
    ]
