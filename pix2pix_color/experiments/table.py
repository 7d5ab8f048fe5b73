"""The results table: one CSV, one row a run, always whole.

The first columns say what was run and what it cost; every further one is a score, its 95 %
interval (`_low`, `_high`), its paired gain over the report's baseline (`_gain`), or a
baseline's true PSNR. Which scores there are depends on the evaluation suite.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..config import Config
from ..errors import StudyError
from ..files import write_atomically

__all__ = [
    "COLUMNS",
    "TABLE_VERSION",
    "UNCOUNTED",
    "Results",
    "Row",
    "config_hash",
    "key_of",
    "read_row",
    "rounded",
    "score_names",
]

UNCOUNTED = ("steps", "seed", "log_every", "checkpoint_every", "keep_checkpoints", "sample_every")
"""Fields of `training` that the runner sets and that do not tell two configurations apart."""

TABLE_VERSION = 1
"""Of the columns below; a table of another version is refused."""

Row = dict[str, Any]

_TEXT = (
    "package_version",
    "study",
    "variant",
    "changes",
    "config_hash",
    "run",
    "status",
    "dataset",
    "split",
    "device",
)
COLUMNS = (
    "table_version",
    "package_version",
    "study",
    "variant",
    "seed",
    "changes",
    "config_hash",
    "run",
    "status",
    "dataset",
    "split",
    "limit",
    "count",
    "budget",
    "images",
    "steps",
    "batch_size",
    "generator_parameters",
    "discriminator_parameters",
    "gflop_per_image",
    "tflop",
    "seconds",
    "images_per_second",
    "device",
    "generator_loss",
    "adversarial_loss",
    "l1_loss",
    "discriminator_loss",
    "discriminator_accuracy",
)
"""What every row has, in order.

`budget` is the study's, in images seen; `images` is the run's own share of it, larger or
smaller where the variant is equal in FLOPs. `limit` is how many images of the split were
read and `count` how many, not being gray, were scored. The losses and the accuracy are means
over the last tenth of the run. `seconds` are spent in training steps, all sessions together.
"""


def config_hash(config: Config) -> str:
    """Returns 12 hexadecimal digits of what is learned and how, but for seed and length.

    Only what differs from the report counts, so that a new option with the report's value as
    its default leaves every hash as it was.
    """
    report, changed = Config.report().to_dict(), {}
    for section, fields in config.to_dict().items():
        for name, value in fields.items():
            if name not in UNCOUNTED and value != report[section][name]:
                changed[f"{section}.{name}"] = value
    text = json.dumps(changed, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def score_names(row: Row) -> list[str]:
    """Returns the scores of a row: the columns that have an interval."""
    return [name for name in row if f"{name}_low" in row and not name.endswith("_gain")]


def key_of(row: Row) -> tuple:
    """Returns what makes two runs the same: configuration, seed, images seen, scored split."""
    return tuple(row[name] for name in ("config_hash", "seed", "images", "split"))


class Results:
    """The rows of a results table, and the file that they are kept in.

    Args:
        path: the CSV; it need not exist.

    Attributes:
        rows: in the order in which they were first added.

    Raises:
        StudyError: the file is no results table, or one of another version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.rows: list[Row] = list(_read(self.path)) if self.path.is_file() else []

    def find(self, key: tuple) -> Row | None:
        """Returns the row with this key, or None."""
        return next((row for row in self.rows if key_of(row) == key), None)

    def add(self, row: Row) -> None:
        """Adds a row, in the place of one with the same key, and writes the table."""
        # Another runner may have added to it meanwhile.
        self.rows = list(_read(self.path)) if self.path.is_file() else self.rows
        keys = [key_of(other) for other in self.rows]
        if key_of(row) in keys:
            self.rows[keys.index(key_of(row))] = row
        else:
            self.rows.append(row)
        self.write()

    def write(self, path: str | Path | None = None) -> None:
        """Writes all rows, atomically."""
        scores = dict.fromkeys(n for row in self.rows for n in row if n not in COLUMNS)
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, [*COLUMNS, *scores], lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_atomically(path or self.path, buffer.getvalue())


def _read(path: Path) -> Iterator[Row]:
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        names = reader.fieldnames or []
        rows = list(reader)
    if "table_version" not in names:
        raise StudyError(f"{path} is not a results table: it has no column table_version.")
    for row in rows:
        if row["table_version"] != str(TABLE_VERSION):
            raise StudyError(
                f"{path} was written in version {row['table_version']} of the results table and "
                f"this package reads version {TABLE_VERSION}: choose another folder, or use the "
                f"package that wrote it ({row.get('package_version') or 'unknown'})."
            )
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise StudyError(f"{path} is damaged: it lacks the columns {', '.join(missing)}.")
    try:
        for row in rows:
            yield {name: _value(name, text) for name, text in row.items()}
    except (TypeError, ValueError, AttributeError) as error:
        raise StudyError(f"{path} is damaged: {error}.") from error


def _value(name: str, text: str) -> Any:
    if name in _TEXT:
        return text
    if not text:
        return None
    return int(text) if text.lstrip("-").isdecimal() else float(text)


def rounded(values: Iterable[tuple[str, Any]]) -> Row:
    """Returns a row whose floats have six digits, as the table and `row.json` both keep them."""
    return {n: float(f"{v:.6g}") if isinstance(v, float) else v for n, v in values}


def read_row(folder: Path) -> Row | None:
    """Returns the row that a finished run folder holds, or None."""
    try:
        row = json.loads((folder / "row.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return row if isinstance(row, dict) and row.get("table_version") == TABLE_VERSION else None
