"""Scores as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .protocol import BASELINES, PROTOCOL, SCORES, predictor_title

if TYPE_CHECKING:
    from .results import Evaluation

__all__ = ["aligned", "full_table", "markdown", "page", "short_table", "value_text"]

NOTHING = "–"  # noqa: RUF001
"""Stands where there is no number."""

_SHORT = ("psnr", "ssim", "report_psnr", "report_ssim")


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table that ends with a line break."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def aligned(table: str) -> str:
    """Returns a Markdown table with its columns padded, to be read in a terminal."""
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows[1] = ["-" * width for width in widths]
    padded = (
        [cell.rjust(width) if place else cell.ljust(width) for place, (cell, width) in cells]
        for cells in (enumerate(zip(row, widths, strict=True)) for row in rows)
    )
    return "".join(f"| {' | '.join(row)} |\n" for row in padded)


def value_text(value: float | None, digits: int, interval: Sequence[float] | None = None) -> str:
    """Returns "23.01", "23.01 [22.93, 23.08]", or a dash where nothing is known."""
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    numbers = [value]
    if interval is not None and all(map(math.isfinite, interval)):
        numbers += interval
    text, *ends = (f"{round(number, digits) + 0.0:.{digits}f}" for number in numbers)  # no -0.00
    return f"{text} [{', '.join(ends)}]" if ends else text


def _caption(evaluation: Evaluation) -> str:
    return f"{evaluation.dataset}, {evaluation.split}, {evaluation.count:,} images"


def full_table(evaluation: Evaluation, *, intervals: bool = True, only: Sequence[str] = ()) -> str:
    """Returns a row for each score and a column for each predictor; arrows point to better."""
    rows = []
    for name in only or SCORES:
        score = SCORES[name]
        cells = [
            value_text(
                evaluation.scores[predictor].get(name),
                score.digits,
                evaluation.intervals[predictor].get(name) if intervals else None,
            )
            for predictor in evaluation.predictors
        ]
        rows.append([score.heading, *cells])
    titles = [predictor_title(name) for name in evaluation.predictors]
    return markdown([_caption(evaluation), *titles], rows)


def short_table(evaluation: Evaluation) -> str:
    """Returns PSNR and SSIM in both protocols, a row for no color and for each model."""
    rows = []
    for predictor in ("no_color", *evaluation.models):
        values = evaluation.scores.get(predictor)
        if values is not None:
            cells = [value_text(values.get(name), 2 if "psnr" in name else 3) for name in _SHORT]
            rows.append([predictor_title(predictor), *cells])
    return markdown([_caption(evaluation), *(SCORES[name].title for name in _SHORT)], rows)


def page(evaluation: Evaluation, extra: Mapping[str, Any]) -> str:
    """Returns the table with how it was measured: `table.md`."""
    lines = ["# Scores", ""]
    facts = [f"{key}: {value}" for key, value in extra.items() if isinstance(value, str | int)]
    if facts:
        lines += [f"{'; '.join(facts)}.", ""]
    lines += [
        full_table(evaluation).rstrip(),
        "",
        "Value and 95 % interval; the arrow points to the better side. The report's protocol "
        "cannot see whether colors are right.",
        "",
    ]
    if evaluation.left_out:
        lines += ["## Left out", ""]
        lines += [f"- {SCORES[n].title}: {why}" for n, why in evaluation.left_out.items()]
        lines.append("")
    reference = evaluation.reference
    lines += ["## How it was measured", ""]
    if reference:
        lines.append(
            f"- reference (mean chroma, class rebalancing): {reference['dataset']}, "
            f"{reference['split']}, {reference['count']:,} images"
        )
    for name, text in PROTOCOL.items():
        title = SCORES[name].title if name in SCORES else BASELINES.get(name, name)
        lines.append(f"- {title}: {text}")
    return "\n".join(lines) + "\n"
