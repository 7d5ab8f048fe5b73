"""Checkpoints of a run: everything that the next step depends on, to resume bit-exactly."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import tensorflow as tf

from ..errors import TrainingError
from ..model_folder import CHECKPOINTS, checkpoint_paths

__all__ = ["Checkpoints"]


class Checkpoints:
    """Saves and restores the state of a trainer.

    Args:
        state: everything that the next step depends on, with the number of steps as `step`.
        run: the run folder; `None` saves nothing.
        keep: number of most recent checkpoints to keep.
        is_chief: whether this process writes to the run folder. All workers take part in saving,
            but only the chief's files are kept.
    """

    def __init__(
        self, state: tf.train.Checkpoint, run: Path | None, keep: int, is_chief: bool
    ) -> None:
        self.state, self.run = state, run
        self.saved = 0  # the step of the newest one
        if run is not None:
            folder = str(run / CHECKPOINTS) if is_chief else tempfile.mkdtemp()
            self._manager = tf.train.CheckpointManager(
                state, folder, max_to_keep=keep, checkpoint_name="step"
            )

    @property
    def paths(self) -> list[str]:
        """The checkpoints in the run folder, oldest first."""
        return checkpoint_paths(self.run) if self.run is not None else []

    def save(self) -> str:
        """Writes a checkpoint and returns its path.

        Raises:
            TrainingError: there is no run folder, or the checkpoint could not be written.
        """
        if self.run is None:
            raise TrainingError("This trainer has no run folder to save to.")
        self.saved = int(self.state.step.numpy())
        try:
            return self._manager.save(checkpoint_number=self.saved)
        except (tf.errors.OpError, OSError) as error:
            raise TrainingError(
                f"Could not write a checkpoint to {self.run / CHECKPOINTS}: {error}"
            ) from error

    def restore(self) -> None:
        """Restores the newest readable checkpoint; a damaged one is skipped with a warning.

        Raises:
            TrainingError: there is no readable checkpoint, or it is of other networks.
        """
        for path in reversed(self.paths):
            try:
                reader = tf.train.load_checkpoint(path)
                for name in reader.get_variable_to_shape_map():
                    reader.get_tensor(name)
            except Exception as error:  # IndexError, ValueError or TensorFlow's own: all damage
                reason = str(error).splitlines()[0][:200] if str(error) else repr(error)
                warnings.warn(
                    f"The checkpoint {path} is damaged and was skipped: {reason}", stacklevel=2
                )
                continue
            try:
                self.state.restore(path).assert_consumed()
            except (AssertionError, ValueError) as error:
                raise TrainingError(
                    f"The checkpoint {path} belongs to other networks than this configuration "
                    "describes: resume with the run's own config.json."
                ) from error
            self.saved = int(self.state.step.numpy())
            return
        raise TrainingError(f"None of the checkpoints in {self.run / CHECKPOINTS} can be read.")
