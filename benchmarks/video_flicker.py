"""Measures how much the colors of a film flicker with and without smoothing.

    python benchmarks/video_flicker.py

The script makes three gray films from the photographs of scikit-image, each with new film grain in
every frame: `still` (nothing moves), `exposure` (nothing moves, but the brightness flickers as in
old films), and `pan` (the camera moves, with a cut in the middle). Each film is colorized with
smoothing 0 and with the default smoothing, encoded losslessly, decoded, and measured on means of
8x8 pixels:

- flicker: the mean change of (a, b) between frames where L changed by less than 2, which excludes
  real motion and the cut;
- chroma: the mean distance from gray, which smoothing should not reduce;
- at the cut: the distance between the smoothed and the unsmoothed colors in the first frame of the
  new scene, beside the distance between the colors of the two scenes. It is about 0 if the colors
  follow the cut immediately.

The script prints the result and writes `benchmarks/video_flicker.json`. All values are in units of
CIE Lab; a just noticeable difference is about 2.3.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from fractions import Fraction
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import av
import numpy as np
import skimage.data
from skimage.color import rgb2gray
from skimage.transform import resize

from pix2pix_color.apps.video import colorize_video
from pix2pix_color.color import rgb_to_lab
from pix2pix_color.colorizer import Colorizer

HEIGHT, WIDTH, BLOCK = 144, 192, 8
GRAIN = 6.0  # standard deviation, in levels of 255
EXPOSURE = 12.0
SMOOTHING = 0.8
SAME = 2.0  # change of L that is hardly visible


def scene(name: str) -> np.ndarray:
    """Returns a gray photograph with levels in [0, 255] that is wide enough for panning."""
    gray = rgb2gray(getattr(skimage.data, name)())
    return 255 * resize(gray, (HEIGHT, 2 * WIDTH), anti_aliasing=True)


def still(count: int) -> list[np.ndarray]:
    return [scene("chelsea")[:, :WIDTH]] * count


def exposure(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(1)
    return [frame + random.normal(0, EXPOSURE) for frame in still(count)]


def pan(count: int) -> list[np.ndarray]:
    scenes = [scene("coffee"), scene("astronaut")]
    return [scenes[i >= count // 2][:, 2 * i : 2 * i + WIDTH] for i in range(count)]


def write_film(path: Path, frames: list[np.ndarray]) -> None:
    """Writes a lossless film with film grain."""
    random = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "gray"
        for i, frame in enumerate(frames):
            levels = np.clip(frame + random.normal(0, GRAIN, frame.shape), 0, 255)
            picture = av.VideoFrame.from_ndarray(np.rint(levels).astype(np.uint8), "gray")
            picture.pts, picture.time_base = i, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def read_lab(path: Path) -> np.ndarray:
    """Returns the mean Lab of each block, with shape (frames, rows, columns, 3)."""
    with av.open(str(path)) as container:
        frames = np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
    lab = rgb_to_lab(frames).numpy()
    blocks = lab.reshape(len(lab), HEIGHT // BLOCK, BLOCK, WIDTH // BLOCK, BLOCK, 3)
    return blocks.mean(axis=(2, 4))


def flicker(chroma: np.ndarray, lightness: np.ndarray) -> float:
    """Returns the mean distance between the (a, b) of still pixels in successive frames.

    Args:
        chroma: (frames, rows, columns, 2), (a, b).
        lightness: (frames, rows, columns, 1), L in [0, 100].
    """
    change = np.linalg.norm(np.diff(chroma.astype(np.float64), axis=0), axis=-1)
    still = np.abs(np.diff(lightness.astype(np.float64)[..., 0], axis=0)) < SAME
    return float(change[still].mean())


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm(one - other, axis=-1).mean())


def measure(colorizer: Colorizer, frames: list[np.ndarray], cut: int | None) -> dict:
    """Colorizes a film with and without smoothing and compares the results."""
    labs = {}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "gray.mkv"
        write_film(source, frames)
        for name, smoothing in (("before", 0.0), ("after", SMOOTHING)):
            film = Path(folder) / f"{name}.mkv"
            colorize_video(colorizer, source, film, smoothing=smoothing, crf=0)
            labs[name] = read_lab(film)
    # Both use the same pixels: those whose lightness is constant in the film without smoothing.
    lightness = labs["before"][..., :1]
    before, after = (flicker(lab[..., 1:], lightness) for lab in labs.values())
    result = {
        "frames": len(frames),
        "flicker_before": round(before, 3),
        "flicker_after": round(after, 3),
        "ratio": round(after / before, 3),
        "chroma_before": round(distance(labs["before"][..., 1:], np.zeros(2)), 2),
        "chroma_after": round(distance(labs["after"][..., 1:], np.zeros(2)), 2),
    }
    if cut is not None:
        raw, smooth = labs["before"][..., 1:], labs["after"][..., 1:]
        result["cut_scenes_apart"] = round(distance(raw[cut], raw[cut - 1]), 3)
        result["cut_first_frame_off"] = round(distance(smooth[cut], raw[cut]), 3)
    return result


def main() -> None:
    """Runs the benchmark, prints the result, and writes the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=60, help="number of frames per film")
    parser.add_argument("--model", default="report")
    options = parser.parse_args()
    colorizer = Colorizer.load(options.model)
    films = {"still": (still, None), "exposure": (exposure, None), "pan": (pan, options.count // 2)}
    result = {
        "model": options.model,
        "size": [HEIGHT, WIDTH],
        "grain": GRAIN,
        "smoothing": SMOOTHING,
        "films": {
            name: measure(colorizer, film(options.count), cut)
            for name, (film, cut) in films.items()
        },
    }
    print(json.dumps(result, indent=2))
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
