"""Compares the report's training step in float32 and bfloat16.

    python benchmarks/training_step.py

Times `Trainer.train_steps` with `Config.report()` at a batch size of 64 on this machine's CPU, with
random data in memory. Both are built first and then take turns for `--rounds` rounds in one
process, so that their ratios hold even if the speed of the machine drifts. The script prints the
result and writes `benchmarks/training_step.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from pix2pix_color import Config, Trainer, make_strategy

VARIANTS = {
    "float32": ("training.precision=float32",),
    "mixed_bfloat16": ("training.precision=mixed_bfloat16",),
}


def main() -> None:
    """Runs the benchmark, prints the result, and writes the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    batch = Config.report().training.batch_size
    random = np.random.default_rng(0)
    lightness = random.uniform(0, 100, (batch, 32, 32, 1)).astype(np.float32)
    chroma = random.uniform(-0.5, 0.5, (batch, 32, 32, 2)).astype(np.float32)
    batches = tf.data.Dataset.from_tensors((lightness, chroma)).repeat()
    runs = {}
    for name, changes in VARIANTS.items():
        trainer = Trainer(Config.report().override(*changes), strategy=make_strategy("cpu"))
        runs[name] = (trainer, iter(batches), [])
        trainer.train_steps(runs[name][1], 2)  # excludes tracing from the measurement
    for _ in range(options.rounds):
        for trainer, iterator, rates in runs.values():
            start = time.perf_counter()
            trainer.train_steps(iterator, options.steps)
            rates.append(batch * options.steps / (time.perf_counter() - start))
    first = next(iter(runs.values()))[2]
    result = {
        "batch": batch,
        "steps": options.steps,
        "rounds": options.rounds,
        "cpu_count": os.cpu_count(),
        "machine": platform.machine(),
        "tensorflow": tf.__version__,
        "intra_op_threads": os.environ.get("TF_NUM_INTRAOP_THREADS", "default"),
        "variants": {
            name: {
                "images_per_second_median": round(statistics.median(rates), 1),
                "speedup_median": round(
                    statistics.median(r / p for r, p in zip(rates, first, strict=True)), 2
                ),
            }
            for name, (_, _, rates) in runs.items()
        },
    }
    print(json.dumps(result, indent=2))
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
