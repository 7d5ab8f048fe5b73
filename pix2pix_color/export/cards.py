"""The model card of a shipped folder, from the files in it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from ..config import Config, TrainingConfig
from ..evaluation.protocol import PROTOCOL, SCORES
from ..evaluation.results import markdown, value_text
from ..files import write_atomically, write_checksums
from ..model_folder import ModelFolder

__all__ = ["write_card"]

_KINDS = {"unet": "U-Net", "residual": "residual U-Net"}
_SCORES = (
    *("psnr", "ssim", "colorfulness_ratio", "semantic_accuracy", "fcd"),
    *("report_psnr", "report_ssim"),
)


def write_card(folder: Path, name: str | None = None) -> None:
    """Writes the model card and the checksums of an exported folder, from the files in it.

    A line of `card.md` that starts with @NAME is left out unless NAME holds or is a file.

    Args:
        folder: with at least `config.json`.
        name: of the model; the default is that of the folder.
    """
    model = ModelFolder(folder)
    config, generator = model.config, model.config.generator
    data, training = config.data, config.training
    perceptual = training.perceptual_network if training.perceptual_weight else ""
    holds = {
        "guide": generator.guide,
        "adversarial": training.adversarial_weight,
        "perceptual": perceptual,
        "judged": perceptual == "classifier",
        "ensemble": generator.self_ensemble,
    }
    lines = []
    for line in Path(__file__).with_name("card.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("@"):
            condition, _, line = line[1:].partition(" ")
            if not holds.get(condition, (folder / condition).exists()):
                continue
        lines.append(line)
    augmented = ", random flips" if data.flip else ""
    augmented += f", random shifts of up to {data.shift} pixels" if data.shift else ""
    augmented += ", without gray images" if data.drop_gray else ""
    card = "\n".join(lines).format(
        name=name or folder.resolve().name,
        kind=_kind(config),
        data=data,
        augmented=augmented,
        guide=Path(generator.guide).name,
        perceptual=Path(perceptual).name,
        step="An unknown number" if model.step is None else f"{model.step:,}",
        training=training,
        losses=_losses(training),
        scores=_scores(folder / "metrics.json"),
    )
    write_atomically(folder / "README.md", card + "\n")
    write_checksums(folder)


def _kind(config: Config) -> str:
    kind = config.generator.kind
    generator = f"a {_KINDS.get(kind, kind)} generator"
    if not config.training.adversarial_weight:
        return f"{generator} trained without a discriminator"
    start = config.training.initial_generator
    verb = f"fine-tuned from `{Path(start).name}`" if start else "trained"
    return f"{generator} {verb} against a PatchGAN discriminator (pix2pix)"


def _losses(training: TrainingConfig) -> str:
    weights = {
        name.removesuffix("_weight").replace("_", " "): value
        for name, value in dataclasses.asdict(training).items()
        if name.endswith("_weight") and value
    }
    return " + ".join(f"{weight:g} x {name}" for name, weight in weights.items())


def _scores(metrics: Path) -> str:
    if not metrics.is_file():
        return "Not measured: run `pix2pix-color evaluate` on the run folder and export again."
    summary = json.loads(metrics.read_text(encoding="utf-8"))

    def cell(predictor: str, score: str) -> str:
        interval = summary["intervals"][predictor][score]
        return value_text(summary["scores"][predictor][score], SCORES[score].digits, interval)

    rows = [
        [SCORES[score].heading, cell("no_color", score), cell("model", score)]
        for score in _SCORES
        if score in summary["scores"]["model"]  # two need a classifier
    ]
    return (
        f"`{summary['dataset']}`, {summary['split']} split, {summary['count']:,} images; mean and "
        "95 % interval; arrows point to the better side.\n\n"
        + markdown(["score", "no color at all", "this model"], rows)
        + f"\nFCD is {PROTOCOL['fcd']}. The report's protocol squares uint8 differences in uint8 "
        "and compares gray versions; it cannot see whether colors are right."
    )
