"""Refuses to overwrite."""

from __future__ import annotations

from pathlib import Path

from ..errors import ExportError

__all__ = ["refuse_existing"]


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raises an `ExportError` if the path exists and must not be overwritten."""
    if path.exists() and not overwrite:
        raise ExportError(f"{path} already exists: choose another name, or ask to overwrite it.")
