"""Compares the export formats of a shipped network: size, agreement with Keras, and speed.

    pip install "pix2pix_color[onnx,lite]"
    python benchmarks/exports.py

Exports the shipped model `report` in each format into a temporary folder, colorizes
64 test photographs of 32x32 pixels from scikit-image with each, and compares the RGB images
with those of Keras in levels of 255. Each format then loads its file and colorizes one image, and
predicts the chroma of the 64 images one by one and as one batch. The formats take turns
`--repeats` times in one process on all cores. Speeds are medians of ratios to Keras within a
round; compare them only within one run. The script writes `benchmarks/exports.json` and
`benchmarks/exports.md`.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from pix2pix_color import color
from pix2pix_color.data import load_dataset
from pix2pix_color.export import QUANTIZATIONS, convert_to_lite, convert_to_onnx
from pix2pix_color.model_folder import ModelFolder

COUNT = 64
Network = Callable[[np.ndarray], np.ndarray]


def load_keras(path: Path) -> Network:
    model = ModelFolder(path).generator()
    # The same call as in `Colorizer`; for one image, model.predict is many times slower.
    function = tf.function(lambda lightness: model(lightness, training=False), autograph=False)
    return lambda lightness: function(tf.constant(lightness)).numpy()


def load_saved_model(path: Path) -> Network:
    model = tf.saved_model.load(str(path))
    chroma = model.signatures["chroma"]

    def run(lightness: np.ndarray) -> np.ndarray:
        assert model is not None  # keeps the variables alive
        return chroma(lightness=tf.constant(lightness))["chroma"].numpy()

    return run


def load_onnx(path: Path) -> Network:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda lightness: session.run(["chroma"], {"lightness": lightness})[0]


def load_lite(path: Path) -> Network:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=os.cpu_count())
    chroma = interpreter.get_signature_runner()

    def run(lightness: np.ndarray) -> np.ndarray:
        return np.concatenate([chroma(lightness=one[None])["chroma"] for one in lightness])

    return run


def export_all(folder: Path) -> dict[str, tuple[Path, Callable[[Path], Network], bool]]:
    """Returns the file, the loader, and whether batches are supported, by format."""
    report = ModelFolder("report")
    generator = report.generator()
    formats = {
        "Keras": (report.path, load_keras, True),
        "SavedModel, `chroma`": (report.saved_model, load_saved_model, True),
        "ONNX": (folder / "generator.onnx", load_onnx, True),
    }
    formats["ONNX"][0].write_bytes(convert_to_onnx(generator))
    for quantization in QUANTIZATIONS:
        path = folder / f"{quantization}.tflite"
        path.write_bytes(convert_to_lite(generator, quantization))
        formats[f"LiteRT {quantization}"] = (path, load_lite, False)
    return formats


def as_rgb(lightness: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    chroma = color.fit_chroma_to_gamut(lightness, chroma)
    return color.to_uint8(color.merge(lightness, chroma)).numpy().astype(int)


def size_of(path: Path) -> int:
    """Returns the size in bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def measure(lightness: np.ndarray, folder: Path, repeats: int) -> dict[str, dict]:
    formats = export_all(folder)
    networks = {name: load(path) for name, (path, load, _) in formats.items()}
    expected = as_rgb(lightness, networks["Keras"](lightness))
    one, table = lightness[:1], {}
    for name, (path, _, _) in formats.items():
        difference = np.abs(as_rgb(lightness, networks[name](lightness)) - expected)
        table[name] = {
            "bytes": size_of(path),
            "worst_levels": int(difference.max()),
            "mean_levels": round(float(difference.mean()), 4),
        }
        networks[name](one)
    turns: dict[str, dict[str, list[float]]] = {
        name: {"load": [], "one": [], "batch": []} for name in formats
    }
    for _ in range(repeats):
        for name, (path, load, batches) in formats.items():
            turn, network = turns[name], networks[name]
            turn["load"].append(seconds(lambda p=path, f=load: f(p)(one)))
            turn["one"].append(seconds(lambda n=network: [n(image[None]) for image in lightness]))
            if batches:
                turn["batch"].append(seconds(lambda n=network: n(lightness)))
    for name, turn in turns.items():
        table[name]["load_seconds_median"] = round(statistics.median(turn["load"]), 3)
        for kind in ("one", "batch"):
            keras_turns = turns["Keras"][kind]
            ratios = [k / mine for k, mine in zip(keras_turns, turn[kind], strict=False)]
            table[name][f"speed_{kind}"] = round(statistics.median(ratios), 2) if ratios else None
    return table


def as_markdown(result: dict) -> str:
    """Returns the Markdown page of a result."""
    lines = [
        "# Export formats of the shipped network",
        "",
        f"Measured by `benchmarks/exports.py` on {COUNT} test photographs of 32x32 pixels. "
        "Differences are between the RGB images and those of Keras, in levels of 255. Load is the "
        "time to load the file and colorize one image. Speed is the number of images per second "
        f"relative to Keras, as the median of {result['repeats']} rounds in one process on "
        f"{result['cpu_count']} cores. LiteRT files take one image at a time; the int8 file was "
        "calibrated on 200 training photographs.",
        "",
        "| format | bytes | largest difference | mean difference | load (s) | speed, one by one "
        f"| speed, batch of {COUNT} |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, row in result["formats"].items():
        batch = "" if row["speed_batch"] is None else f"{row['speed_batch']:.2f}"
        lines.append(
            f"| {name} | {row['bytes']:,} | {row['worst_levels']} | {row['mean_levels']:.4f} "
            f"| {row['load_seconds_median']:.2f} | {row['speed_one']:.2f} | {batch} |"
        )
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return "\n".join([*lines, "", f"{versions}.", ""])


def main() -> None:
    """Runs the benchmark, prints the table, and writes it and the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    photographs = load_dataset("photographs", "test", limit=COUNT)
    images = np.stack(list(photographs.images.as_numpy_iterator()))
    lightness = color.split(images)[0].numpy()
    with tempfile.TemporaryDirectory() as folder:
        formats = measure(lightness, Path(folder), options.repeats)
    packages = ("tensorflow", "keras", "tf2onnx", "onnxruntime", "ai-edge-litert", "numpy")
    result = {
        "images": len(images),
        "repeats": options.repeats,
        "cpu_count": os.cpu_count(),
        "machine": platform.machine(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "formats": formats,
    }
    path = Path(__file__)
    path.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(as_markdown(result), encoding="utf-8")
    print(as_markdown(result))


if __name__ == "__main__":
    main()
