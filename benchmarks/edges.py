"""Measures what the image's own lightness adds when chroma is enlarged, and what it costs.

    python benchmarks/edges.py PHOTOGRAPHS...

PHOTOGRAPHS are files or folders of color photographs. Each is colored twice from the same small
chroma: along the edges of its lightness, as `apply_chroma` does, and with plain linear
enlargement. The chroma is the photograph's own, shrunk as a perfect model of that size would
predict it, or the prediction of a shipped model. The error is the mean distance in (a, b) from the
photograph: within 4 pixels of strong edges of lightness (more than 8 L per pixel, after a blur of
one pixel) and in all pixels; and the PSNR of RGB.

The times are for 12 megapixels, from `skimage.data.coffee`. Both alternatives take turns, and the
ratio is the median of the ratios within each round.

The script prints the result and writes `benchmarks/edges.json` and `benchmarks/edges.md`.
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

import numpy as np
import skimage.data
import tensorflow as tf
from scipy import ndimage

from pix2pix_color import inference
from pix2pix_color.color import color_pixels, rgb_to_lab
from pix2pix_color.colorizer import Colorizer
from pix2pix_color.evaluation import markdown
from pix2pix_color.image_files import read_image_file

MODELS, SIZES = ("stable", "vivid"), (32, 96)
TRUTH = ((32, 1), (96, 1), (128, 4), (256, 4))  # render size, stride
NEAR, STRONG = 4, 8.0


def plain(image: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """Colors an image as `apply_chroma` does, with linear enlargement alone."""
    height, width = image.shape[:2]
    to_rows, to_columns = (
        inference._resizing(*sizes) for sizes in zip(chroma.shape, image.shape[:2], strict=False)
    )
    columns = [np.ascontiguousarray((to_columns @ p.T).T) for p in np.moveaxis(chroma, -1, 0)]
    result = np.empty((height, width, 3), image.dtype)

    def merge(band: slice) -> None:
        colors = [(to_rows[band] @ plane).reshape(-1) for plane in columns]
        pixels = image[band].reshape(-1, image.shape[-1])
        result[band] = color_pixels(pixels, colors).reshape(-1, width, 3)

    for _ in inference._in_bands(merge, image.shape, None):
        pass
    return result


def errors(rgb: np.ndarray, truth: np.ndarray, near: np.ndarray) -> tuple[float, float, float]:
    """Returns the (a, b) distance near edges and everywhere, and the PSNR in dB."""
    distance = np.linalg.norm(np.subtract(*(rgb_to_lab(x)[..., 1:] for x in (rgb, truth))), axis=-1)
    squared = np.mean((rgb.astype(np.float64) - truth) ** 2)
    return distance[near].mean(), distance.mean(), 10 * np.log10(255**2 / squared)


def compare(truth: np.ndarray, chroma: np.ndarray, stride: int, near: np.ndarray) -> list[tuple]:
    """Returns the errors of plain and of guided enlargement."""
    small = inference.shrink_lightness(truth, chroma.shape[:2])
    guided = inference.apply_chroma(truth, small, chroma, stride=stride)
    return [errors(rgb, truth, near) for rgb in (plain(truth, chroma), guided)]


def quality(paths: list[Path]) -> dict[str, dict]:
    colorizers = {name: Colorizer.load(name) for name in MODELS}
    found: dict[str, list] = {}
    for path in paths:
        truth = read_image_file(path).pixels
        if truth.dtype != np.uint8 or truth.shape[-1] != 3:
            continue
        lab = rgb_to_lab(truth).numpy()
        slopes = [ndimage.gaussian_filter1d(lab[..., 0], 1, axis, order=1) for axis in (0, 1)]
        strong = np.hypot(*slopes) > STRONG
        if not strong.any():
            continue
        near = ndimage.distance_transform_edt(~strong) <= NEAR

        for size, stride in TRUTH:
            shape = inference.working_shape(*truth.shape[:2], size, 32)
            cells = [side // stride for side in shape]
            chroma = tf.image.resize(lab[..., 1:] / 128, cells, antialias=True)
            name = f"the photograph's own, {size}" + f", cells of {stride} pixels" * (stride > 1)
            chroma = tf.image.resize(chroma, shape).numpy()
            found.setdefault(name, []).append(compare(truth, chroma, stride, near))
        for name, colorizer in colorizers.items():
            for size in SIZES:
                chroma = colorizer.predict_chroma(lab[None, ..., :1], render_size=size)[0]
                pair = compare(truth, chroma, 1, near)
                found.setdefault(f"`{name}`, {size}", []).append(pair)
    scores = ("near_edges", "overall", "psnr")
    result = {}
    for name, pairs in found.items():
        means = np.round(np.mean(pairs, axis=0), 3).T.tolist()
        pairs = [dict(zip(("plain", "guided"), pair, strict=True)) for pair in means]
        result[name] = dict(zip(scores, pairs, strict=True))
    return {"photographs": len(next(iter(found.values()))), "chroma": result}


def seconds(rounds: int) -> dict[str, dict[str, float]]:
    coffee = skimage.data.coffee()
    image = tf.cast(tf.image.resize(coffee, (3_000, 4_000)), tf.uint8).numpy()
    colorizer = Colorizer.load()
    shape = inference.working_shape(*image.shape[:2], colorizer.render_size, colorizer.multiple)
    small = inference.shrink_lightness(image, shape)
    chroma = colorizer._network(small[None])[0]

    def whole() -> None:
        plain(image, colorizer._network(inference.shrink_lightness(image, shape)[None])[0])

    alternatives: dict[str, tuple[Callable, Callable]] = {
        "Colorizer.__call__": (whole, lambda: colorizer(image)),
        "apply_chroma": (
            lambda: plain(image, chroma),
            lambda: inference.apply_chroma(image, small, chroma),
        ),
    }
    result = {}
    for name, pair in alternatives.items():
        times = [[_seconds_of(work) for work in pair] for _ in range(rounds + 1)][1:]
        before, after = map(statistics.median, zip(*times, strict=True))
        ratio = statistics.median(guided / linear for linear, guided in times)
        result[name] = dict(plain=round(before, 3), guided=round(after, 3), ratio=round(ratio, 2))
    return result


def _seconds_of(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def table(result: dict) -> str:
    rows = [
        [name, *(f"{s['plain']:.2f} → {s['guided']:.2f}" for s in scores.values())]
        for name, scores in result["chroma"].items()
    ]
    times = [[f"`{name}`", *map(str, t.values())] for name, t in result["seconds"].items()]
    return (
        "# Edges\n\n"
        f"Plain enlargement → enlargement along the image's edges, {result['photographs']} "
        "photographs. The number is the render size.\n\n"
        + markdown(["chroma", "ab error near edges ↓", "ab error ↓", "PSNR (dB) ↑"], rows)
        + "\nSeconds for 12 megapixels:\n\n"
        + markdown(["", "plain", "guided", "ratio"], times)
    )


def main() -> None:
    """Runs the benchmark, prints the result, and writes its files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    paths = [
        file
        for path in options.photographs
        for file in (sorted(path.iterdir()) if path.is_dir() else [path])
    ]
    result = {**quality(paths), "seconds": seconds(options.rounds)}
    path = Path(__file__)
    path.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(table(result), encoding="utf-8")
    print(table(result))


if __name__ == "__main__":
    main()
