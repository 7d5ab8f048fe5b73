"""The model card of a shipped folder, from the files in it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from ..config import Config, DataConfig, TrainingConfig

__all__ = ["model_card"]


def model_card(folder: Path, name: str, config: Config) -> str:
    """Returns the Markdown model card of a shipped folder, from the files in it."""
    with open(folder / "history.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    training, last = config.training, rows[-1]
    lines = [
        f"# Model card: `{name}`",
        "",
        f"Colorizes gray images: {_described(config)}, after the report *Grayscale Image "
        "Colorization with GAN* (Ansaldo and Kjorholt, 2023).",
        "",
        "## How it was trained",
        "",
        f"- Data: `{config.data.dataset}`, train split, {config.data.image_size}x"
        f"{config.data.image_size} pixels{_augmentation(config.data)}"
        + (", gray images left out." if config.data.drop_gray else "."),
        *_guide_lines(config.generator.guide),
        f"- {_iterations(folder, rows):,} iterations of the {training.steps:,} that `config.json` "
        f"plans; batch {training.batch_size}, seed {training.seed}, `{training.precision}`, "
        f"one run.",
        f"- Loss: {_losses(training)}; Adam, {_rates(training)}.",
        *_warnings(training),
        f"- Last row of `history.csv` (step {last['step']}): {_last(training, last)}.",
        "",
        "## Scores",
        "",
        *_score_lines(folder),
        "",
        "## What it can and cannot do",
        "",
        f"- It learned small pictures of ten kinds of objects ({config.data.image_size}x"
        f"{config.data.image_size} pixels). On photographs of any size it predicts color on a "
        "small copy and keeps the full luminance: colors are soft and follow large shapes.",
        "- It guesses: the true color of a gray car cannot be known. Expect blotches and "
        "wrong, sometimes brownish, colors; never take them for evidence.",
        *_ensemble_lines(config.generator.self_ensemble),
        "- It never changes luminance, and never depends on other images of the batch: batch "
        "normalization uses its moving statistics.",
        "",
        "## Files",
        "",
        *_file_lines(folder),
    ]
    return "\n".join(lines) + "\n"


_FILES = {
    "saved_model": "images of any size, gray or RGB, uint8 or as encoded files, to color images; "
    "needs TensorFlow only",
    "SERVING.md": "how TensorFlow Serving runs it",
    "generator.keras": "the network: lightness (n, rows, columns, 1), 0-100, to (a, b) / 128",
    "initial_generator.keras": "what `generator.keras` was trained on from: the other end of the "
    "SavedModel's dial of vividness",
    "generator.onnx": "the network, of any size, for ONNX Runtime",
    "generator.tflite": "the network, of one image of the training size, for LiteRT",
    "generator-float16.tflite": "the same, its weights in 16 bits",
    "generator-int8.tflite": "the same, calculated in 8 bits",
    "config.json": "every hyperparameter",
    "history.csv": "the course of the training",
    "metrics.json": "every score of the test split",
    "evaluation": "every score, with intervals and figures",
    "samples.png": "images that nobody has picked",
}


def _augmentation(data: DataConfig) -> str:
    """Returns what was done to the images."""
    mirrored = ", mirrored at random" if data.flip else ""
    return f"{mirrored}, shifted by up to {data.shift}" if data.shift else mirrored


def _guide_lines(guide: str) -> list[str]:
    if not guide:
        return []
    line = (
        f"- The classifier `{Path(guide).name}`, trained on labels before, tells it what a gray "
        "image may show, and did not learn here."
    )
    if guide == "classifier":
        line += " The same one measures semantic accuracy and fcd."
    return [line]


def _ensemble_lines(self_ensemble: bool) -> list[str]:
    line = "- It colorizes the mirror image too and gives the mean of both: twice the operations."
    return [line] if self_ensemble else []


def _losses(training: TrainingConfig) -> str:
    """Returns the terms of the generator's loss."""
    terms = []
    if training.adversarial_weight:
        terms.append(f"adversarial (weight {training.adversarial_weight:g})")
    for weight, name in (
        (training.l1_weight, "mean absolute chroma error"),
        (training.l2_weight, "mean squared chroma error"),
        (training.rgb_weight, "logarithm of the mean squared RGB error"),
        (training.distribution_weight, "cross-entropy of the distribution of colors"),
        (training.feature_matching_weight, "distance of the discriminator's features"),
        (training.perceptual_weight, f"distance of {_perceptual_network(training)} features"),
    ):
        if weight:
            terms.append(f"{weight:g} x {name}")
    return " + ".join(terms)


def _perceptual_network(training: TrainingConfig) -> str:
    """Returns whose features the perceptual loss compares, in the genitive."""
    name = training.perceptual_network
    known = {"classifier": "the reference classifier's", "vgg16": "VGG16's"}
    return known.get(name, f"the classifier `{Path(name).name}`'s")


def _described(config: Config) -> str:
    """Returns what kind of model it is."""
    kind = "residual U-Net" if config.generator.kind == "residual" else "U-Net"
    if not config.training.adversarial_weight:
        return f"a {kind} generator trained without a discriminator"
    start = config.training.initial_generator
    start = f", from `{Path(start).name}` on," if start else ""
    return f"a {kind} generator trained{start} against a PatchGAN discriminator (pix2pix)"


def _rates(training: TrainingConfig) -> str:
    rates = [training.generator_learning_rate]
    rates += [training.discriminator_learning_rate] if training.adversarial_weight else []
    schedule = training.learning_rate_schedule
    falling = "" if schedule == "constant" else f", falling to 0 ({schedule})"
    return " and ".join(f"{rate:g}" for rate in rates) + falling


def _last(training: TrainingConfig, row: dict[str, str]) -> str:
    names = ["generator_loss"]
    names += ["discriminator_loss", "discriminator_accuracy"] if training.adversarial_weight else []
    return ", ".join(f"{name.replace('_', ' ')} {float(row[name]):.2f}" for name in names)


def _warnings(training: TrainingConfig) -> list[str]:
    # What another network taught leaves the scores of this one clean.
    if not training.perceptual_weight or training.perceptual_network != "classifier":
        return []
    return [
        "- The reference classifier helped to train it: its semantic accuracy and fcd say how well "
        "it learned that, not how well it colorizes."
    ]


def _file_lines(folder: Path) -> list[str]:
    lines = []
    for name, text in _FILES.items():
        path = folder / name
        if path.exists():
            lines.append(f"- `{name}{'/' if path.is_dir() else ''}`: {text}.")
    return [*lines, "- `SHA256SUMS`: of all these, for `sha256sum --check`."]


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
        "| score | no color at all | this model |",
        "| --- | --- | --- |",
    ]
    for name, title in (
        ("psnr", "true RGB PSNR (dB)"),
        ("ssim", "true RGB SSIM"),
        ("colorfulness_ratio", "colorfulness, of that of the real images"),
        ("semantic_accuracy", "semantic accuracy"),
        ("fcd", "fcd, the distance of a classifier's features from those of the real images"),
        ("report_psnr", "PSNR in the report's protocol (dB)"),
        ("report_ssim", "SSIM in the report's protocol"),
    ):
        if name not in summary["scores"]["model"]:
            continue  # what needs a classifier, on other data
        digits = 2 if "psnr" in name or name == "fcd" else 4
        cells = []
        for predictor in ("no_color", "model"):
            mean = summary["scores"][predictor][name]
            low, high = summary["intervals"][predictor][name]
            cells.append(f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]")
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return [
        *lines,
        "",
        "The report's protocol squares a uint8 difference in uint8 and compares gray with gray; "
        "it cannot see whether colors are right.",
    ]
