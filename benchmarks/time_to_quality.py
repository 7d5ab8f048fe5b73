"""Measures how soon the new presets match the final scores of the report's recipe.

    python benchmarks/time_to_quality.py

Two processes run at the same time, each with one thread on its own core. One trains the report's
recipe. The other trains a shortened `Config.stable()`, followed by a shortened `Config.vivid()`
that starts from it. At regular intervals, each process stops its clock and scores its generator on
the same first test images of CIFAR-10. The goals are the scores of the shipped model `report` on
these images: its PSNR for the `stable` part and its FCD for the `vivid` part. The report's recipe
takes too long to finish here, so its total time is its time per step in this run multiplied by the
number of steps of the shipped model. The time to build the graphs is not counted. The presets run
without the classifier that conditions them, whose own training takes about as long as this whole
benchmark on both cores.

The script prints its log and writes it for notebook 09 to `time_to_quality.json` in the folder of
the package's published results.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import queue
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0, 1]
SCORES = ("psnr", "ssim", "colorfulness_ratio", "semantic_accuracy", "fcd")
REPORT_EVERY = 500  # steps between two scores of the report's recipe
QUIET = ("training.sample_every=0",)
UNGUIDED = ("generator.guide=",)


def main() -> None:
    """Runs the benchmark, prints the result, and writes the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stable-steps", type=int, default=3_400)
    parser.add_argument("--vivid-steps", type=int, default=400)
    parser.add_argument("--precision", default="float32", help="precision of both processes")
    parser.add_argument("--images", type=int, default=2_000, help="test images to score")
    options = parser.parse_args()
    if len(CORES) < 2:
        raise SystemExit("This benchmark needs two cores.")
    goal = goals(options.images)
    context = multiprocessing.get_context("spawn")
    lines, finished, barrier = context.Queue(), context.Event(), context.Barrier(2)
    settings = (options.precision, options.stable_steps, options.vivid_steps, options.images)
    processes = [
        context.Process(target=target, args=(core, settings, barrier, finished, lines), daemon=True)
        for target, core in ((run_report, CORES[0]), (run_ours, CORES[1]))
    ]
    for process in processes:
        process.start()
    log = list(collected(processes, lines))
    result = {
        "machine": platform.machine(),
        "cores": "one per process",
        "images": options.images,
        "precision": options.precision,
        "stable_steps": options.stable_steps,
        "vivid_steps": options.vivid_steps,
        "goal": goal,
        **summary(goal, log),
        "log": log,
    }
    print(json.dumps({k: v for k, v in result.items() if k != "log"}, indent=2))
    from pix2pix_color.experiments import PUBLISHED

    text = json.dumps(result, indent=1) + "\n"
    (PUBLISHED / "time_to_quality.json").write_text(text, encoding="utf-8")


def goals(images: int) -> dict[str, Any]:
    """Returns the scores of the shipped model `report` on the same images, and its steps."""
    from pix2pix_color import Colorizer

    colorizer = Colorizer.load("report")
    return {"steps": colorizer.model.step, **Scorer(images)(colorizer.generator)}


class Scorer:
    """Scores a generator on the first test images."""

    def __init__(self, images: int) -> None:
        from pix2pix_color.data import load_dataset

        self.dataset = load_dataset("cifar10", "test", limit=images)
        self.reference = load_dataset("cifar10", "train", limit=images)

    def __call__(self, generator: Any) -> dict[str, float]:
        from pix2pix_color.evaluation import evaluate

        evaluation = evaluate(
            generator, self.dataset, baselines=False, reference=self.reference, progress=False
        )
        scores = evaluation.summary()["scores"]["model"]
        return {name: round(scores[name], 4) for name in SCORES}


class Runner:
    """Trains with a clock that is paused for scoring, and sends a log line after each score.

    The time per step excludes the first calls, which build the graph.
    """

    def __init__(self, name: str, core: int, images: int, lines: Any) -> None:
        os.sched_setaffinity(0, {core})
        os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
        from pix2pix_color.data import load_dataset

        self.name, self.lines, self.scorer = name, lines, Scorer(images)
        self.dataset = load_dataset("cifar10", "train")
        self.before = 0.0  # seconds of the completed parts

    def train(
        self, config: Any, part: str, every: int, folder: Path | None = None, others: Any = None
    ) -> Any:
        """Trains to the end, or until the other process has finished, and returns the trainer."""
        import keras

        from pix2pix_color import Trainer, make_strategy

        trainer = Trainer(config, folder, make_strategy("cpu"))
        steady = {"steps": 0, "seconds": 0.0}

        class Clock(keras.callbacks.Callback):
            def on_train_begin(self, logs: Any = None) -> None:
                self.first = trainer.current_step

            def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
                self.start = time.perf_counter()

            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                first, _, rows = trainer.recent
                if first > self.first:
                    steady["seconds"] += time.perf_counter() - self.start
                    steady["steps"] += len(rows)
                self.model.stop_training = others is not None and others.is_set()

        end, seconds = config.training.steps, 0.0
        for mark in [*range(every, end, every), end]:
            trainer.fit(self.dataset, steps=mark, callbacks=[Clock()], verbose=0)
            pace = steady["seconds"] / steady["steps"]
            seconds = trainer.current_step * pace
            self.lines.put(
                {
                    "runner": self.name,
                    "part": part,
                    "step": trainer.current_step,
                    "seconds": round(self.before + seconds, 1),
                    "seconds_a_step": round(pace, 4),
                    **self.scorer(trainer.inference_generator()),
                }
            )
            if others is not None and others.is_set():
                break
        self.before += seconds
        return trainer


def run_report(core: int, settings: tuple, barrier: Any, finished: Any, lines: Any) -> None:
    """Trains the report's recipe until the other process has finished."""
    from pix2pix_color.config import Config

    precision, _, _, images = settings
    runner = Runner("report", core, images, lines)
    config = Config.report().override(f"training.precision={precision}", *QUIET)
    barrier.wait()
    runner.train(config, "report", REPORT_EVERY, others=finished)
    lines.put(None)


def run_ours(core: int, settings: tuple, barrier: Any, finished: Any, lines: Any) -> None:
    """Trains the two shortened presets, the second from the first."""
    from pix2pix_color.config import Config
    from pix2pix_color.export import export_saved_model

    precision, stable_steps, vivid_steps, images = settings
    runner = Runner("ours", core, images, lines)
    stable = Config.stable().override(*shortened(stable_steps, precision))
    with tempfile.TemporaryDirectory() as folder:
        barrier.wait()
        trainer = runner.train(stable, "stable", max(1, stable_steps // 6))
        export_saved_model(trainer.inference_generator(), Path(folder) / "saved_model")
        (Path(folder) / "config.json").write_text(stable.to_json(), encoding="utf-8")
        vivid = Config.vivid().override(
            *shortened(vivid_steps, precision), f"training.initial_generator={folder}"
        )
        runner.train(vivid, "vivid", max(1, vivid_steps // 5))
    finished.set()
    lines.put(None)


def shortened(steps: int, precision: str) -> tuple[str, ...]:
    """Returns the changes to a preset for a run with this number of steps."""
    momentum = "training.ema_momentum=0.99"  # more would include the initial weights
    short = f"training.steps={steps}", f"training.warmup_steps={steps // 20}", momentum
    return *short, f"training.precision={precision}", *UNGUIDED, *QUIET


def collected(processes: list, lines: Any) -> Iterator[dict[str, Any]]:
    """Yields log lines until both processes have finished; stops both if one fails."""
    running = len(processes)
    while running:
        try:
            line = lines.get(timeout=5)
        except queue.Empty:
            if any(process.exitcode for process in processes):
                for process in processes:
                    process.kill()
                raise SystemExit("A process has failed; its traceback is above.") from None
            continue
        if line is None:
            running -= 1
            continue
        print(json.dumps(line), flush=True)
        yield line


def summary(goal: dict[str, Any], log: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns when each goal was reached, also as a share of the report recipe's total time."""
    pace = [line for line in log if line["runner"] == "report"][-1]["seconds_a_step"]
    whole = pace * goal["steps"]
    ours = [line for line in log if line["runner"] == "ours"]
    psnr = next((line for line in ours if line["psnr"] >= goal["psnr"]), None)
    fcd = next(
        (line for line in ours if line["part"] == "vivid" and line["fcd"] <= goal["fcd"]), None
    )
    result: dict[str, Any] = {"report_seconds_to_its_end": round(whole)}
    for name, line in (("psnr", psnr), ("fcd", fcd)):
        seconds = line["seconds"] if line else None
        result[f"{name}_reached_after_seconds"] = seconds
        result[f"{name}_share_of_report_seconds"] = round(seconds / whole, 4) if seconds else None
    return result


if __name__ == "__main__":
    main()
