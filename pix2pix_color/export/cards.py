"""The model card of a shipped folder, from the files in it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from ..config import Config, DataConfig, TrainingConfig
from ..model_folder import ModelFolder

__all__ = ["model_card"]


def model_card(model: ModelFolder, name: str) -> str:
    """Returns the Markdown model card of an exported folder, from the files in it."""
    folder, config = model.path, model.run_config()
    with open(folder / "history.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    training, last = config.training, rows[-1]
    lines = [
        f"# Model card: `{name}`",
        "",
        f"Colorizes gray images with {_described(config)}, after the report *Grayscale Image "
        "Colorization with GAN* (Ansaldo and Kjorholt, 2023).",
        "",
        "## How it was trained",
        "",
        f"- Data: `{config.data.dataset}`, train split, {config.data.image_size}x"
        f"{config.data.image_size} pixels{_augmentation(config.data)}"
        + (", without gray images." if config.data.drop_gray else "."),
        *_guide_lines(config.generator.guide),
        f"- {model.step or int(last['step']) + 1:,} of {training.steps:,} planned iterations; "
        f"batch {training.batch_size}, seed {training.seed}, `{training.precision}`, "
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
        f"- It was trained on {config.data.image_size}x{config.data.image_size} images. For "
        "photographs of any size it predicts color on a small copy and keeps the full "
        "luminance: colors are soft and follow large shapes.",
        "- Its colors are guesses: the true color of a gray car cannot be known. Expect blotches "
        "and wrong, sometimes brownish, colors, and never take them as evidence.",
        *_ensemble_lines(config.generator.self_ensemble),
        "- It never changes luminance, and an image's colors do not depend on the rest of the "
        "batch: batch normalization uses moving statistics.",
        "",
        "## Files",
        "",
        *_file_lines(folder),
    ]
    return "\n".join(lines) + "\n"


_FILES = {
    "saved_model": "images of any size, gray or RGB, uint8 or as encoded files, to color images; "
    "needs TensorFlow only; weights in half precision",
    "SERVING.md": "how to serve it with TensorFlow Serving",
    "generator.onnx": "the network, for images of any size, for ONNX Runtime",
    "generator.tflite": "the network, for one image of the training size, for LiteRT",
    "generator-float16.tflite": "the same with 16-bit weights",
    "generator-int8.tflite": "the same with 8-bit arithmetic",
    "config.json": "every hyperparameter",
    "model.json": "the number of steps, and the architecture of the guiding classifier",
    "history.csv": "the losses during training",
    "metrics.json": "every score of the test split",
    "evaluation": "every score, with intervals and figures",
    "samples.png": "uncurated samples",
}


def _augmentation(data: DataConfig) -> str:
    """Returns what was done to the images."""
    mirrored = ", random flips" if data.flip else ""
    return f"{mirrored}, random shifts of up to {data.shift} pixels" if data.shift else mirrored


def _guide_lines(guide: str) -> list[str]:
    if not guide:
        return []
    line = (
        f"- Conditioned on the classifier `{Path(guide).name}`, which was trained on labels "
        "beforehand and stayed frozen: its features of the gray image are injected into the "
        "coarsest feature maps."
    )
    if guide == "classifier":
        line += " The same classifier measures semantic accuracy and FCD."
    return [line]


def _ensemble_lines(self_ensemble: bool) -> list[str]:
    line = (
        "- It uses flip test-time augmentation: the mean of an image and its mirror image, at "
        "twice the operations."
    )
    return [line] if self_ensemble else []


def _losses(training: TrainingConfig) -> str:
    """Returns the terms of the generator's loss."""
    terms = []
    if training.adversarial_weight:
        terms.append(f"adversarial (weight {training.adversarial_weight:g})")
    for weight, name in (
        (training.l1_weight, "mean absolute chroma error"),
        (training.rgb_weight, "log mean squared RGB error"),
        (training.distribution_weight, "cross-entropy of the color distribution"),
        (training.feature_matching_weight, "feature matching"),
        (
            training.perceptual_weight,
            f"perceptual distance in the features of {_perceptual_network(training)}",
        ),
    ):
        if weight:
            terms.append(f"{weight:g} x {name}")
    return " + ".join(terms)


def _perceptual_network(training: TrainingConfig) -> str:
    """Returns whose features the perceptual loss compares."""
    name = training.perceptual_network
    return "the evaluation classifier" if name == "classifier" else f"`{Path(name).name}`"


def _described(config: Config) -> str:
    """Returns what kind of model it is."""
    kind = "residual U-Net" if config.generator.kind == "residual" else "U-Net"
    if not config.training.adversarial_weight:
        return f"a {kind} generator trained without a discriminator"
    start = config.training.initial_generator
    verb = f"fine-tuned from `{Path(start).name}`" if start else "trained"
    return f"a {kind} generator {verb} against a PatchGAN discriminator (pix2pix)"


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
    if not training.perceptual_weight or training.perceptual_network != "classifier":
        return []
    return [
        "- It was trained with the features of the evaluation classifier: its semantic accuracy "
        "and FCD say how well it learned those, not how well it colorizes."
    ]


def _file_lines(folder: Path) -> list[str]:
    lines = []
    for name, text in _FILES.items():
        path = folder / name
        if path.exists():
            lines.append(f"- `{name}{'/' if path.is_dir() else ''}`: {text}.")
    return [*lines, "- `SHA256SUMS`: checksums of all files, for `sha256sum --check`."]


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
        ("colorfulness_ratio", "colorfulness relative to real images"),
        ("semantic_accuracy", "semantic accuracy"),
        (
            "fcd",
            "FCD, the Frechet distance between classifier features of colorized and real images",
        ),
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
        "The report's protocol squares uint8 differences in uint8 and compares gray versions; it "
        "cannot see whether colors are right.",
    ]
