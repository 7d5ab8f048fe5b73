"""Starting TensorFlow, quietly, when a command needs it."""

from __future__ import annotations

import os

from ..quiet import without_stderr
from .errors import CommandError


def start_tensorflow() -> None:
    """Imports TensorFlow without its start-up noise, part of which no variable turns off.

    Raises:
        CommandError: it is not installed, or does not work here.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        with without_stderr():
            import absl.logging
            import tensorflow as tf

            tf.config.list_physical_devices()  # looks for GPUs, and logs that there is none
    except ImportError as error:
        raise CommandError(
            f"TensorFlow cannot be imported ({error}). Install it: pip install tensorflow"
        ) from error
    absl.logging.set_verbosity(absl.logging.ERROR)
