"""Starts TensorFlow without its start-up messages."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from .errors import CommandError

__all__ = ["start_tensorflow", "without_stderr"]


@contextlib.contextmanager
def without_stderr() -> Iterator[None]:
    """Silences file descriptor 2, to which TensorFlow's C++ code writes directly."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def start_tensorflow() -> None:
    """Imports TensorFlow without its start-up messages, some of which have no switch.

    Raises:
        CommandError: TensorFlow is not installed or cannot be imported.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        with without_stderr():
            import absl.logging
            import tensorflow as tf

            tf.config.list_physical_devices()  # looks for GPUs, and logs that there are none
    except ImportError as error:
        raise CommandError(
            f"TensorFlow cannot be imported ({error}). Install it: pip install tensorflow"
        ) from error
    absl.logging.set_verbosity(absl.logging.ERROR)
