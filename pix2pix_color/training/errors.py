"""What can end a run before its time."""

from __future__ import annotations

__all__ = ["Interrupted", "NonFiniteLossError", "TrainingError"]


class TrainingError(RuntimeError):
    """A run that cannot start or go on as asked."""


class NonFiniteLossError(TrainingError):
    """A loss or a weight became infinite or not a number."""


class Interrupted(TrainingError):
    """Ctrl-C or SIGTERM: the run was saved and can go on."""
