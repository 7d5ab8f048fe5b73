"""Measures what preparing batches from TFRecords costs: alone, and beside the training step.

    python benchmarks/records.py --dataset "photos/*.tfrecord" --preset photo

Steps on batches that are prepared meanwhile and steps on one batch in memory take turns for
`--rounds` rounds; the difference is the share of a training step that is spent on data. The script
prints the result and writes `benchmarks/records.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf

from pix2pix_color import Config, Trainer, load_dataset, make_strategy


def main() -> None:
    """Runs the benchmark, prints the result, and writes the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--preset", default="report")
    parser.add_argument("--set", action="append", default=[], dest="changes")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    changes = (f"data.dataset={options.dataset}", *options.changes)
    config = Config.preset(options.preset).override(*changes)
    data, batch = config.data, config.training.batch_size
    dataset = load_dataset(data.dataset, image_size=data.image_size, drop_gray=data.drop_gray)
    batches = dataset.training_batches(
        batch, flip=data.flip, shift=data.shift, crop=data.crop, aged=data.aged, hinted=data.hinted
    )
    prepared = iter(batches)
    in_memory = iter(tf.data.Dataset.from_tensors(next(prepared)).repeat())
    trainer = Trainer(config, strategy=make_strategy("cpu"))
    seconds = {"alone": [], "step": [], "step_on_one_batch": []}

    def timed(name: str, run: Callable[[int], object]) -> None:
        run(8)  # traces, and empties or fills the batches that are prepared ahead
        start = time.perf_counter()
        run(options.steps)
        seconds[name].append((time.perf_counter() - start) / options.steps)

    for _ in range(options.rounds):
        timed("alone", lambda count: [next(prepared) for _ in range(count)])
        timed("step", lambda count: trainer.train_steps(prepared, tf.constant(count)))
        timed("step_on_one_batch", lambda count: trainer.train_steps(in_memory, tf.constant(count)))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    result = {
        "changes": options.changes,
        "preset": options.preset,
        "batch": batch,
        "cpu_count": os.cpu_count(),
        "images_per_second": {name: round(batch / s, 1) for name, s in medians.items()},
        "share_of_step_on_data": round(1 - medians["step_on_one_batch"] / medians["step"], 3),
    }
    print(json.dumps(result, indent=2))
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
