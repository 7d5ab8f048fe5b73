"""Checkpoints of a run: everything that the next step depends on, to resume bit-exactly."""

from __future__ import annotations

import functools
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
        state: everything that the next step depends on.
        step: int64 variable, the number of steps taken, which numbers the checkpoints.
        folder: the run folder; `None` saves nothing.
        keep: number of most recent checkpoints to keep.
        is_chief: whether this process writes to the run folder. All workers take part in saving,
            but only the chief's files are kept.
    """

    def __init__(
        self,
        state: tf.train.Checkpoint,
        step: tf.Variable,
        folder: Path | None,
        keep: int,
        is_chief: bool,
    ) -> None:
        self.state, self.step, self.keep, self.is_chief = state, step, keep, is_chief
        self.run = folder
        self.saved = 0

    @functools.cached_property
    def _manager(self) -> tf.train.CheckpointManager:
        folder = str(self.run / CHECKPOINTS) if self.is_chief else tempfile.mkdtemp()
        return tf.train.CheckpointManager(
            self.state,
            folder,
            max_to_keep=self.keep,
            checkpoint_name="step",
            step_counter=self.step,
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
        step = int(self.step.numpy())
        try:
            path = self._manager.save(checkpoint_number=step)
        except (tf.errors.OpError, OSError) as error:
            raise TrainingError(
                f"Could not write a checkpoint to {self.run / CHECKPOINTS}: {error}"
            ) from error
        self.saved = step
        return path

    def restore(self) -> None:
        """Restores the newest readable checkpoint; a damaged one is skipped with a warning.

        Raises:
            TrainingError: there is no readable checkpoint, or it is of other networks.
        """
        if not self.paths:
            raise TrainingError(f"{self.run} holds no checkpoint to resume from.")
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
            self.saved = int(self.step.numpy())
            return
        raise TrainingError(f"None of the checkpoints in {self.run / CHECKPOINTS} can be read.")
