r"""The models beside each other: one table, what they cost, and the dial between the last two.

    python -m benchmarks.models [--l1-alone runs/l1]

Scores the shipped models `report`, `stable` and `vivid`, the dial of `vivid` at a few points, and
the report's generator trained with its L1 loss alone, on all test images of CIFAR-10
beside what needs no model. The last is not shipped; train it with

    pix2pix-color train --run runs/l1 --steps 6_000 --set training.adversarial_weight=0 \
        --set training.precision=mixed_bfloat16

or leave out `--l1-alone`: its scores are then kept from the last table, and only its steps timed
again.

Training seconds are steps times the seconds of a step, each configuration's steps timed in turn in
this process (`--rounds` times, the median), on all cores with nothing beside, and all in float32:
whether bfloat16 is faster or slower is the processor's. `vivid` starts from `stable`, whose seconds
it therefore includes. The classifier that guides a model was trained before; what that took, by its
own `metrics.json`, is given apart. Needs CIFAR-10 for TensorFlow Datasets.

Prints, and writes `benchmarks/models.md` and, for notebook 09, `models.json` where the package
keeps its results.
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
from pix2pix_color.apps.cli.evaluate import steps_taken
from pix2pix_color.config import Config
from pix2pix_color.data import load_dataset
from pix2pix_color.evaluation import BASELINES, SCORES, evaluate
from pix2pix_color.evaluation.tables import markdown, value_text
from pix2pix_color.experiments import PUBLISHED
from pix2pix_color.experiments.cost import cost_of, flops_per_image
from pix2pix_color.files import shipped_folder
from tools.reproduce import fill_readme

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
# The baseline that is not shipped, and its configuration.
L1_ALONE = "L1 alone"
L1_CONFIG = Config.report().override("training.steps=6_000", "training.adversarial_weight=0")
RESULT = PUBLISHED / "models.json"
PAIRS = (("stable", "report"), ("vivid", "report"), ("vivid", "stable"))


def main() -> None:
    """Measures, prints, and writes both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--l1-alone", type=Path, help="its run folder")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    colorizers = {name: Colorizer.load(name) for name in ("report", "stable", "vivid")}
    if options.l1_alone is not None:
        colorizers[L1_ALONE] = Colorizer.load(options.l1_alone)
    taken = {name: (one.config, steps_taken(one)) for name, one in colorizers.items()}
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
    """Returns what each model's training took: its steps as run, its seconds as timed here."""
    dataset = load_dataset("cifar10", "train", limit=6_400)
    timed = {}
    for name, (as_run, _) in runs.items():
        # Wherever it started, its steps cost the same.
        config = as_run.override("training.initial_generator=", "training.precision=float32")
        trainer = Trainer(config, strategy=make_strategy("cpu"))
        trainer.objective.prepare(dataset)
        batches = dataset.training_batches(
            config.training.batch_size, flip=config.data.flip, shift=config.data.shift
        )
        timed[name] = (trainer, iter(batches), [])
        trainer.train_steps(timed[name][1], 2)  # tracing is not what is measured
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
            "generator_parameters": cost_of(config).generator_parameters,
        }
    costs["vivid"]["seconds"] += costs["stable"]["seconds"]
    return costs


def guide_seconds(config: Config) -> int:
    """Returns what the training of the classifier took that guides a model; 0 without one."""
    if not config.generator.guide:
        return 0
    folder = shipped_folder() / config.generator.guide
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["seconds"]


def seconds_text(cost: dict[str, Any]) -> str:
    """Returns training seconds, and after a plus those of the guide."""
    guide = f" + {cost['guide_seconds']:,}" if cost["guide_seconds"] else ""
    return f"{cost['seconds']:,}{guide}"


def page(result: dict[str, Any]) -> str:
    """Returns both tables in Markdown."""

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

    head = ["", *(SCORES[score].heading for score in SHOWN), "training seconds", "GFLOP an image"]
    rows = [row(name, BASELINES[name]) for name in BESIDE]
    rows += [row(name, name) for name in result["costs"]]
    dial = [row(f"vividness {v:g}", f"{v:g}")[:-2] for v in DIAL]
    return (
        "# The models beside each other\n\n"
        f"CIFAR-10, {result['split']} split, {result['count']:,} images; value and 95 % interval; "
        "arrows point to better. How it was measured: `benchmarks/models.py`.\n\n"
        f"{markdown(head, rows)}\n"
        "Training seconds on 2 cores: steps times the seconds of a step in float32, timed in turn "
        "in one process; those of `vivid` hold those of `stable`, which it starts from. After a "
        "plus: the classifier that guides both, which is trained once, on labels.\n\n"
        "## The dial\n\n"
        "The SavedModel of `vivid` at points of its dial: weights between those of `stable` and "
        f"of `vivid`.\n\n{markdown(['vividness', *head[1:-2]], dial)}"
    )


def update_readme(result: dict[str, Any]) -> None:
    """Writes a short table between the README's two `models` comments."""
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
    said += " After a plus: the classifier that guides."
    readme = Path(__file__).parents[1] / "README.md"
    fill_readme(readme, "models", lambda: f"{markdown(head, rows)}\n{said}")


if __name__ == "__main__":
    main()
