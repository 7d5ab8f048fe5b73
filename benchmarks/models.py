r"""Compares all models, their training costs, and the interpolations between the last two.

    python benchmarks/models.py [--l1-alone runs/l1]

Scores the shipped models `report`, `stable`, and `vivid`, several vividness settings of `vivid`,
and the report's generator trained with its L1 loss alone, on all test images of CIFAR-10, beside
baselines that need no model. The L1 model is not shipped; train it with

    pix2pix-color train --run runs/l1 --steps 6_000 --set training.adversarial_weight=0 \
        --set training.precision=mixed_bfloat16

or omit `--l1-alone` to keep its scores from the last table and to measure only its step time again.

The training time is the number of steps multiplied by the time per step. The configurations take
turns in this process, and the time per step is the median of `--rounds` rounds, on all cores of an
otherwise idle machine. All times are in float32, because it depends on the processor whether
bfloat16 is faster. `vivid` starts from `stable`, so its time includes that of `stable`. The
training time of the classifier that conditions the generators comes from its own `metrics.json` and
is listed separately. The script needs CIFAR-10 from TensorFlow Datasets.

It prints the tables and writes `benchmarks/models.md` and, for notebook 09, `models.json` in the
folder of the package's published results.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from pix2pix_color import Colorizer, Trainer, make_strategy
from pix2pix_color.config import Config
from pix2pix_color.data import load_dataset
from pix2pix_color.evaluation import BASELINES, SCORES, evaluate, markdown, value_text
from pix2pix_color.experiments import PUBLISHED
from pix2pix_color.experiments.cost import cost_of, flops_per_image
from pix2pix_color.files import shipped_folder
from tools.release import fill_readme

SHOWN = (
    "psnr",
    "ssim",
    "ciede2000",
    "colorfulness_ratio",
    "chroma_distance",
    "semantic_accuracy",
    "fcd",
)
BESIDE = ("no_color", "own_mean_chroma")
DIAL = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0)
# The model that is not shipped, and its configuration.
L1_ALONE = "L1 alone"
L1_CONFIG = Config.report().override("training.steps=6_000", "training.adversarial_weight=0")
RESULT = PUBLISHED / "models.json"
PAIRS = (("stable", "report"), ("vivid", "report"), ("vivid", "stable"))


def main() -> None:
    """Runs the benchmark, prints the tables, and writes both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--l1-alone", type=Path, help="the run folder of the L1 model")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    colorizers = {name: Colorizer.load(name) for name in ("report", "stable", "vivid")}
    if options.l1_alone is not None:
        colorizers[L1_ALONE] = Colorizer.load(options.l1_alone)
    taken = {name: (one.config, one.model.step) for name, one in colorizers.items()}
    runs = {"report": taken["report"], L1_ALONE: (L1_CONFIG, L1_CONFIG.training.steps), **taken}
    costs = training_costs(runs, options.rounds)
    generators = {name: one.generator for name, one in colorizers.items()}
    dial = {f"vividness {v:g}": colorizers["vivid"].at_vividness(v).generator for v in DIAL}
    evaluation = evaluate(generators | dial, load_dataset("cifar10", "test"))
    summary = evaluation.summary()
    if options.l1_alone is None:
        last = json.loads(RESULT.read_text(encoding="utf-8"))
        for kind in ("scores", "intervals"):
            summary[kind][L1_ALONE] = last[kind][L1_ALONE]
    result = {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "rounds": options.rounds,
        "costs": costs,
        "differences": [evaluation.difference(*pair).summary() for pair in PAIRS],
        **summary,
    }
    text = page(result)
    print(text)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")
    update_readme(result)


def training_costs(runs: dict[str, tuple[Config, int]], rounds: int) -> dict[str, dict[str, Any]]:
    """Returns the training cost of each model: its number of steps, and seconds measured here."""
    dataset = load_dataset("cifar10", "train", limit=6_400)
    timed = {}
    for name, (as_run, _) in runs.items():
        # The cost of a step does not depend on the initial generator.
        config = as_run.override("training.initial_generator=", "training.precision=float32")
        trainer = Trainer(config, strategy=make_strategy("cpu"))
        batches = dataset.training_batches(
            config.training.batch_size, flip=config.data.flip, shift=config.data.shift
        )
        timed[name] = (trainer, iter(batches), [])
        trainer.train_steps(timed[name][1], 2)  # excludes tracing from the measurement
    for _ in range(rounds):
        for trainer, iterator, seconds in timed.values():
            start = time.perf_counter()
            trainer.train_steps(iterator, 10).numpy()
            seconds.append((time.perf_counter() - start) / 10)
    costs: dict[str, dict[str, Any]] = {}
    for name, (config, steps) in runs.items():
        step = statistics.median(timed[name][2])
        costs[name] = {
            "steps": steps,
            "seconds_a_step": round(step, 4),
            "seconds": round(step * steps),
            "guide_seconds": guide_seconds(config),
            "gflop_an_image": round(flops_per_image(config) / 1e9, 3),
            "generator_parameters": cost_of(config)[0].parameters,
        }
    costs["vivid"]["seconds"] += costs["stable"]["seconds"]
    return costs


def guide_seconds(config: Config) -> int:
    """Returns the training time of the classifier that conditions a model, or 0 without one."""
    if not config.generator.guide:
        return 0
    folder = shipped_folder() / config.generator.guide
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["seconds"]


def seconds_text(cost: dict[str, Any]) -> str:
    """Returns the training seconds, followed by those of the conditioning classifier."""
    guide = f" + {cost['guide_seconds']:,}" if cost["guide_seconds"] else ""
    return f"{cost['seconds']:,}{guide}"


def page(result: dict[str, Any]) -> str:
    """Returns the Markdown page with both tables."""

    def row(name: str, title: str) -> list[str]:
        cells = [
            value_text(
                result["scores"][name].get(score),
                SCORES[score].digits,
                result["intervals"][name].get(score),
            )
            for score in SHOWN
        ]
        cost = result["costs"].get(name)
        spent = [seconds_text(cost), f"{cost['gflop_an_image']:g}"] if cost else ["", ""]
        return [title, *cells, *spent]

    head = ["", *(SCORES[score].heading for score in SHOWN), "training seconds", "GFLOP per image"]
    rows = [row(name, BASELINES[name]) for name in BESIDE]
    rows += [row(name, name) for name in result["costs"]]
    dial = [row(f"vividness {v:g}", f"{v:g}")[:-2] for v in DIAL]
    return (
        "# Comparison of the models\n\n"
        f"CIFAR-10, {result['split']} split, {result['count']:,} images, measured by "
        "`benchmarks/models.py`. Each cell has a value and its 95% interval, and the arrows point "
        "toward better values.\n\n"
        f"{markdown(head, rows)}\n"
        "The training time is the number of steps multiplied by the time per step in float32 on 2 "
        "cores; all models were timed in turn in one process. The time of `vivid` includes that "
        "of `stable`, from which it starts. The number after the plus sign is the training time "
        "of the classifier that conditions both models; it is trained once, on labeled images."
        "\n\n## Vividness\n\n"
        "The vividness setting of `vivid` interpolates between the weights of `stable` (0) and "
        f"`vivid` (1).\n\n{markdown(['vividness', *head[1:-2]], dial)}"
    )


def update_readme(result: dict[str, Any]) -> None:
    """Writes a short table between the two `models` comments of the README."""
    shown = ("psnr", "ssim", "colorfulness_ratio", "semantic_accuracy", "fcd")
    head = ["", *(SCORES[score].heading for score in shown), "training seconds, 2 cores"]
    rows = []
    for name in (*BESIDE, *result["costs"], "real"):
        values = result["scores"][name]
        cells = [value_text(values.get(score), SCORES[score].digits) for score in shown]
        cost = result["costs"].get(name)
        title = BASELINES.get(name, "real images" if name == "real" else f"`{name}`")
        rows.append([title, *cells, seconds_text(cost) if cost else ""])
    said = f"CIFAR-10, test split, {result['count']:,} images, one run each."
    said += " The number after the plus sign is for the classifier that conditions both models."
    readme = Path(__file__).parents[1] / "README.md"
    fill_readme(readme, "models", f"{markdown(head, rows)}\n{said}")


if __name__ == "__main__":
    main()
