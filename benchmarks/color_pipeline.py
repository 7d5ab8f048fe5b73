"""Compares the tf.data pipeline from uint8 images to Lab batches with a loop over scikit-image.

    python benchmarks/color_pipeline.py

Both convert the same 60,000 random 32x32 images (as many as CIFAR-10 has) into batches of 256 in
float32 Lab. They alternate `--repeats` times in one process, after a first pass of the pipeline
that includes its compilation and is reported separately. The script prints the medians and their
ratio and writes `benchmarks/color_pipeline.json`. Compare speeds only within one run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from skimage.color import rgb2lab

from pix2pix_color.data import ImageDataset

BATCH = 256


def make_pipeline(images: np.ndarray) -> Callable[[], int]:
    """Returns a function that iterates over the package's batches and counts the images."""
    source = tf.data.Dataset.from_tensor_slices(images)
    batches = ImageDataset("random", "train", source, len(images), 0).batches(BATCH)
    return lambda: sum(int(lightness.shape[0]) for lightness, _ in batches)


def loop(images: np.ndarray) -> int:
    """Converts the images one by one with scikit-image, stacks batches, and counts the images."""
    seen = 0
    for first in range(0, len(images), BATCH):
        part = images[first : first + BATCH]
        seen += len(np.stack([rgb2lab(image).astype(np.float32) for image in part]))
    return seen


def timed(function: Callable[[], int], expected: int) -> float:
    """Returns the wall-clock seconds of one call."""
    start = time.perf_counter()
    if function() != expected:
        raise RuntimeError("images were lost")
    return time.perf_counter() - start


def main() -> None:
    """Runs the benchmark, prints the result, and writes the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=60_000)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    shape = (options.count, 32, 32, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    pipeline = make_pipeline(images)
    first = timed(pipeline, len(images))  # includes compilation
    rounds = [
        (timed(pipeline, len(images)), timed(lambda: loop(images), len(images)))
        for _ in range(options.repeats)
    ]
    result = {
        "images": options.count,
        "batch": BATCH,
        "repeats": options.repeats,
        "cpu_count": os.cpu_count(),
        "machine": platform.machine(),
        "tensorflow": tf.__version__,
        "pipeline_first_pass_seconds": round(first, 3),
        "pipeline_seconds_median": round(statistics.median(p for p, _ in rounds), 3),
        "skimage_loop_seconds_median": round(statistics.median(s for _, s in rounds), 3),
        "speedup_median": round(statistics.median(s / p for p, s in rounds), 2),
        "speedup_min": round(min(s / p for p, s in rounds), 2),
    }
    print(json.dumps(result, indent=2))
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
