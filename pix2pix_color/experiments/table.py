"""The results table: one CSV with one row per run, never half written.

The first columns say what was run and what it cost. Each further one is a score, an end of its
95 % interval (`_low`, `_high`), its paired gain over the report's run (`_gain`), or a baseline's
true PSNR; which scores there are depends on the evaluation.
"""

from __future__ import annotations

import collections
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import StudyError
from ..files import write_atomically

try:
    import pandas as pd
except ImportError as error:
    raise StudyError(
        f"The table of experiments needs pandas ({error}): pip install pix2pix_color[experiments]"
    ) from error

__all__ = [
    "COLUMNS",
    "KEY",
    "TABLE_VERSION",
    "Results",
    "Row",
    "Table",
    "as_table",
    "key_of",
    "read_row",
    "rounded",
    "score_names",
]

TABLE_VERSION = 1
"""Of the columns below; a table of another version is refused."""

Row = dict[str, Any]
Table = pd.DataFrame

KEY = ("config_hash", "seed", "images", "split")
"""What identifies a run: configuration, seed, images seen, scored split."""

COLUMNS = {
    "table_version": "Int64",
    "package_version": object,
    "study": object,
    "variant": object,
    "seed": "Int64",
    "changes": object,
    "config_hash": object,
    "run": object,
    "status": object,
    "dataset": object,
    "split": object,
    "limit": "Int64",
    "count": "Int64",
    "budget": "Int64",
    "images": "Int64",
    "steps": "Int64",
    "batch_size": "Int64",
    "generator_parameters": "Int64",
    "discriminator_parameters": "Int64",
    "gflop_per_image": float,
    "tflop": float,
    "seconds": float,
    "images_per_second": float,
    "device": object,
    "generator_loss": float,
    "adversarial_loss": float,
    "l1_loss": float,
    "discriminator_loss": float,
    "discriminator_accuracy": float,
}
"""The columns of every table, in order, with their pandas types; scores are floats.

`budget` is the study's, in images seen; `images` is the run's own number, which differs where a
variant is equal in FLOPs. `limit` is how many images of the split were read and `count` how many
of them were scored, the gray ones being dropped. Losses and accuracy are means over the last tenth
of the run. `seconds` were spent in training steps, over all sessions.
"""
_TEXT = [name for name, kind in COLUMNS.items() if kind is object]


def score_names(columns: Iterable[str]) -> list[str]:
    """Returns the scores among the columns of a table: those with an interval."""
    return [name for name in columns if f"{name}_low" in columns and not name.endswith("_gain")]


def key_of(row: Row) -> tuple:
    """Returns a row's values of `KEY`."""
    return tuple(row[name] for name in KEY)


def as_table(rows: Iterable[Row] | Table) -> Table:
    """Returns rows as a table with the types of `COLUMNS`, its scores as the last columns.

    Raises:
        ValueError: A value is not of its column's type.
    """
    table = pd.DataFrame(rows)
    scores = [name for name in table if name not in COLUMNS]
    types = collections.defaultdict(lambda: float, COLUMNS)
    table = table.reindex(columns=[*COLUMNS, *scores])
    return table.astype({name: types[name] for name in table}).fillna(dict.fromkeys(_TEXT, ""))


class Results:
    """The rows of a results table and the file they are kept in.

    Args:
        path: the CSV; it need not exist.

    Attributes:
        rows: as a pandas table, in the order in which they were first added.

    Raises:
        StudyError: The file is not a results table or is of another version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.rows = _read(self.path) if self.path.is_file() else as_table([])

    def records(self) -> list[Row]:
        """Returns the rows as dictionaries, with None where there is no value."""
        values = self.rows.astype(object)
        return values.where(values.notna(), None).to_dict("records")

    def find(self, key: tuple) -> Row | None:
        """Returns the row with this key, or None."""
        return next((row for row in self.records() if key_of(row) == key), None)

    def add(self, row: Row) -> None:
        """Adds a row, or replaces the one with the same key, and writes the table."""
        if self.path.is_file():  # another runner may have added rows meanwhile
            self.rows = _read(self.path)
        rows = {key_of(other): other for other in self.records()}
        self.rows = as_table((rows | {key_of(row): row}).values())
        self.write()

    def write(self, path: str | Path | None = None) -> None:
        """Writes all rows, atomically."""
        write_atomically(path or self.path, self.rows.to_csv(index=False, lineterminator="\n"))


def _read(path: Path) -> Table:
    try:
        raw = pd.read_csv(path, dtype=object, keep_default_na=False, na_values=[""])
    except ValueError as error:
        raise StudyError(f"{path} is not a results table: {error}") from error
    if "table_version" not in raw:
        raise StudyError(f"{path} is not a results table: it has no column table_version.")
    for other in raw[raw["table_version"] != str(TABLE_VERSION)].to_dict("records"):
        raise StudyError(
            f"{path} has version {other['table_version']} of the results table and this package "
            f"reads version {TABLE_VERSION}: choose another folder, or use the package that wrote "
            f"it ({other.get('package_version') or 'unknown'})."
        )
    missing = [name for name in COLUMNS if name not in raw]
    if missing:
        raise StudyError(f"{path} is damaged: it lacks the columns {', '.join(missing)}.")
    try:
        return as_table(raw)
    except ValueError as error:
        raise StudyError(f"{path} is damaged: {error}.") from error


def rounded(row: Row) -> Row:
    """Returns a row whose floats have six digits, as both the table and `row.json` keep them."""
    return {n: float(f"{v:.6g}") if isinstance(v, float) else v for n, v in row.items()}


def read_row(folder: Path) -> Row | None:
    """Returns the row in a finished run folder, or None."""
    try:
        row = json.loads((folder / "row.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return row if isinstance(row, dict) and row.get("table_version") == TABLE_VERSION else None
