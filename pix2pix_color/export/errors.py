"""What can go wrong."""

from __future__ import annotations

from pathlib import Path

from ..errors import ExportError

__all__ = ["refuse_existing"]


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raises an `ExportError` where something is in the way."""
    if path.exists() and not overwrite:
        raise ExportError(f"{path} exists already: choose another name, or ask to overwrite it.")
