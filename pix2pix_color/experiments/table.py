"""The results table: one CSV with one row per run, never half written.

The first columns say what was run and what it cost. Each further one is a score, an end of its
95 % interval (`_low`, `_high`), its paired gain over the report's run (`_gain`), or a baseline's
true PSNR; which scores there are depends on the evaluation.
"""

from __future__ import annotations

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
    "SAMPLES",
    "TABLE_FILE",
    "TABLE_VERSION",
    "Results",
    "Row",
    "Table",
    "as_table",
]

TABLE_VERSION = 1
"""Of the columns below; a table of another version is refused."""

TABLE_FILE, SAMPLES = "experiments.csv", "samples"
"""In a folder of runs: the table, and a strip of colorized test images per run."""

Row = dict[str, Any]
Table = pd.DataFrame

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

`budget` is the study's, in images seen; `images` is the run's own number (`Variant.share`).
`limit` is how many images of the split were read and `count` how many of them were scored, the
gray ones being dropped. Losses and accuracy are means over the last tenth of the run. `seconds`
and `images_per_second` are known of the first published runs only, which shared two cores.
"""
_TEXT = [name for name, kind in COLUMNS.items() if kind is object]


def as_table(rows: Iterable[Row] | Table) -> Table:
    """Returns rows as a table with the types of `COLUMNS`, its scores as the last columns.

    Raises:
        ValueError: A value is not of its column's type.
    """
    table = pd.DataFrame(rows)
    types = dict.fromkeys(table, float) | COLUMNS
    table = table.reindex(columns=[*COLUMNS, *(name for name in table if name not in COLUMNS)])
    return table.astype(types).fillna(dict.fromkeys(_TEXT, ""))


class Results:
    """The rows of a results table and the file they are kept in.

    Args:
        path: the CSV; it need not exist.

    Attributes:
        rows: as a pandas table, the newest last.

    Raises:
        StudyError: The file is not a results table or is of another version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.rows = _read(self.path)

    def add(self, rows: Iterable[Row] | Table) -> None:
        """Adds rows, each of which replaces that of the same run, and writes the table."""
        before = _read(self.path)  # to which other processes may have added rows
        together = pd.concat([before, as_table(rows)], ignore_index=True)
        self.rows = as_table(together.drop_duplicates("run", keep="last", ignore_index=True))
        self.write()

    def write(self) -> None:
        """Writes all rows with six digits, atomically."""
        floats = self.rows.select_dtypes("float")
        self.rows = self.rows.assign(**floats.map(lambda value: float(f"{value:.6g}")))
        write_atomically(self.path, self.rows.to_csv(index=False, lineterminator="\n"))


def _read(path: Path) -> Table:
    if not path.is_file():
        return as_table([])
    try:
        raw = pd.read_csv(path, dtype=object, keep_default_na=False, na_values=[""])
        missing = [name for name in COLUMNS if name not in raw]
        if missing:
            raise ValueError(f"it lacks the columns {', '.join(missing)}")
        for version in set(raw["table_version"]) - {str(TABLE_VERSION)}:
            raise ValueError(f"it has version {version}")
        return as_table(raw)
    except ValueError as error:
        raise StudyError(
            f"{path} is not a results table of version {TABLE_VERSION}, or is damaged: {error}."
        ) from error
