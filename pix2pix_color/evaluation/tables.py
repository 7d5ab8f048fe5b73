"""Numbers as Markdown and JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["NOTHING", "aligned", "json_value", "markdown", "value_text"]

NOTHING = "–"  # noqa: RUF001
"""Stands where there is no number."""


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table that ends with a line break."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def aligned(table: str) -> str:
    """Returns a Markdown table with padded columns, to be read in a terminal."""
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows[1] = ["-" * width for width in widths]
    padded = (
        [cell.rjust(width) if place else cell.ljust(width) for place, (cell, width) in cells]
        for cells in (enumerate(zip(row, widths, strict=True)) for row in rows)
    )
    return "".join(f"| {' | '.join(row)} |\n" for row in padded)


def value_text(value: float | None, digits: int, interval: Sequence[float] | None = None) -> str:
    """Returns "23.01", "23.01 [22.93, 23.08]", or a dash where the value is unknown."""
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    numbers = [value]
    if interval is not None and all(map(math.isfinite, interval)):
        numbers += interval
    text, *ends = (f"{round(number, digits) + 0.0:.{digits}f}" for number in numbers)  # no -0.00
    return f"{text} [{', '.join(ends)}]" if ends else text


def json_value(value: Any) -> Any:
    """Returns numbers, also inside mappings and tuples, for JSON: `None` if not finite."""
    if isinstance(value, Mapping):
        return {name: json_value(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return [json_value(part) for part in value]
    return round(value, 6) if math.isfinite(value) else None
