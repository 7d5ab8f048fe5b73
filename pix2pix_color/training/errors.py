"""What can end a run before its time."""

from __future__ import annotations

__all__ = ["Interrupted", "NonFiniteLossError", "TrainingError"]


class TrainingError(RuntimeError):
    """A run that cannot start or go on as asked."""


class NonFiniteLossError(TrainingError):
    """A loss or a weight became infinite or not a number.

    Attributes:
        step: where; the first such step of the losses.
    """

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


class Interrupted(TrainingError):
    """Ctrl-C or SIGTERM: the run was saved and can go on."""
