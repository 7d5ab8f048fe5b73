"""What can be wrong with data."""

from __future__ import annotations

__all__ = ["DataError"]


class DataError(RuntimeError):
    """A data set that is not there, or a file in it that cannot be read."""
