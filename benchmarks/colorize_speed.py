"""Measures how fast the default model colorizes files, relative to references in the same run.

    python benchmarks/colorize_speed.py

There are three comparisons:

- `cold`: the whole process `pix2pix-color colorize one.jpg`, compared with
  `python -c "import tensorflow"`.
- `large`: a 12-megapixel JPEG, from file to file in a warm process, compared with Pillow alone,
  which decodes the file, resizes it down to 1,024 pixels and up again, and encodes it with the
  same settings. A second reference resizes once, to half the size, and therefore encodes only a
  quarter of the pixels.
- `folder`: photographs of half a megapixel in a folder job, compared with a loop over
  `colorize_file`, and with one single-threaded process per core, each with its share of the
  files, which shows what the cores can do at best.

All alternatives take turns, and the results are medians. The inputs are made from the photographs
that ship with scikit-image. The script prints the result and writes
`benchmarks/colorize_speed.json`.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import skimage.data
from PIL import Image

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
QUALITY = {"quality": 95, "subsampling": 0}  # the settings for colorized JPEGs


def main() -> None:
    """Runs the benchmark, prints the result, and writes the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--photographs", type=int, default=400, help="files in the folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        result = {
            "machine": platform.machine(),
            "cores": CORES,
            "rounds": options.rounds,
            "cold": cold(place, options.rounds),
            "large": large(place, options.rounds),
            "folder": whole_folder(place, options.photographs, options.rounds),
        }
    print(json.dumps(result, indent=2))
    text = json.dumps(result, indent=2) + "\n"
    Path(__file__).with_suffix(".json").write_text(text, encoding="utf-8")


def seconds_of(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(ours: Callable, others: dict[str, Callable], rounds: int) -> dict[str, float]:
    """Returns the median seconds, and the medians of the ratios within each round."""
    times: dict[str, list[float]] = {"ours": [], **{name: [] for name in others}}
    for _ in range(rounds):
        times["ours"].append(seconds_of(ours))
        for name, other in others.items():
            times[name].append(seconds_of(other))
    result = {f"{name}_seconds": round(statistics.median(t), 3) for name, t in times.items()}
    for name in others:
        ratios = [a / b for a, b in zip(times["ours"], times[name], strict=True)]
        result[f"ratio_to_{name}"] = round(statistics.median(ratios), 2)
    return result


def photograph(width: int, height: int) -> Image.Image:
    """Returns a gray photograph of the given size."""
    return Image.fromarray(skimage.data.coffee()).resize((width, height)).convert("L")


def cold(place: Path, rounds: int) -> dict[str, float]:
    source, target = place / "one.jpg", place / "color.jpg"
    photograph(800, 600).save(source, **QUALITY)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": True}
    module = [sys.executable, "-m", "pix2pix_color", "colorize", str(source)]
    command = [*module, "-o", str(target), "--overwrite"]
    subprocess.run(command, **quiet)  # warms the file cache of the operating system
    return compare(
        lambda: subprocess.run(command, **quiet),
        {"import": lambda: subprocess.run([sys.executable, "-c", "import tensorflow"], **quiet)},
        rounds,
    )


def large(place: Path, rounds: int) -> dict[str, float]:
    from pix2pix_color import Colorizer

    source, target = place / "large.jpg", place / "large-color.jpg"
    noisy = np.asarray(photograph(4_000, 3_000)).astype(int)
    noisy += np.random.default_rng(0).normal(0, 4, noisy.shape).astype(int)  # sensor noise
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).convert("RGB").save(source, **QUALITY)
    colorizer = Colorizer.load()

    def down_and_up() -> None:
        with Image.open(source) as image:
            small = image.resize((1_024, 768))
            small.resize(image.size).save(place / "pillow.jpg", **QUALITY)

    def to_half() -> None:
        with Image.open(source) as image:
            image.resize((2_000, 1_500)).save(place / "pillow.jpg", **QUALITY)

    def ours() -> None:
        colorizer.colorize_file(source, target, overwrite=True)

    ours()
    return compare(ours, {"pillow_down_and_up": down_and_up, "pillow_to_half": to_half}, rounds)


def whole_folder(place: Path, count: int, rounds: int) -> dict[str, float]:
    from pix2pix_color import Colorizer
    from pix2pix_color.apps.file_jobs import colorize_folder

    album = place / "album"
    album.mkdir()
    for number in range(count):  # 0.5 megapixels
        photograph(820 - number % 20, 610).save(album / f"{number:04d}.jpg", **QUALITY)
    files = sorted(album.iterdir())
    colorizer = Colorizer.load()
    colorizer.colorize_file(files[0], place / "first.jpg")

    def loop(output: Path) -> float:
        output.mkdir()
        return seconds_of(
            lambda: [colorizer.colorize_file(file, output / file.name) for file in files]
        )

    def job(output: Path) -> float:
        return seconds_of(lambda: colorize_folder(colorizer, album, output))

    def processes(output: Path) -> float:
        shares = [(files[core::CORES], output / str(core)) for core in range(CORES)]
        # Each spawned process starts TensorFlow itself; this time is not counted.
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(CORES, context) as pool:
            return max(pool.map(alone, *zip(*shares, strict=True)))

    times: dict[str, list[float]] = {"loop": [], "job": [], "processes": []}
    for _ in range(rounds):
        for way in (loop, job, processes):
            with tempfile.TemporaryDirectory(dir=place) as output:
                times[way.__name__].append(way(Path(output) / "done"))

    def ratio(name: str, other: str) -> float:
        pairs = zip(times[name], times[other], strict=True)
        return round(statistics.median(a / b for a, b in pairs), 2)

    return {
        "photographs": count,
        "megapixels": 0.5,
        "job_images_per_second": round(count / statistics.median(times["job"]), 1),
        "loop_seconds_over_job": ratio("loop", "job"),
        "job_seconds_over_processes": ratio("job", "processes"),
    }


def alone(files: list[Path], output: Path) -> float:
    """Returns the seconds that a single-threaded process takes for its share of the files."""
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    from pix2pix_color import Colorizer

    colorizer = Colorizer.load()
    output.mkdir(parents=True)
    colorizer.colorize_file(files[0], output / "first.jpg", threads=1)

    def work() -> None:
        for file in files:
            colorizer.colorize_file(file, output / file.name, threads=1)

    time.sleep(3)  # waits until the other processes have started
    return seconds_of(work)


if __name__ == "__main__":
    main()
