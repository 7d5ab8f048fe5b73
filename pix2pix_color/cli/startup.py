"""Starting TensorFlow, quietly, when a command needs it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from .errors import CommandError


def start_tensorflow() -> None:
    """Imports TensorFlow without its start-up noise, part of which no variable turns off.

    Raises:
        CommandError: it is not installed, or does not work here.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        with _without_stderr():
            import absl.logging
            import tensorflow as tf

            tf.config.list_physical_devices()  # looks for GPUs, and logs that there is none
    except ImportError as error:
        raise CommandError(
            f"TensorFlow cannot be imported ({error}). Install it: pip install tensorflow"
        ) from error
    absl.logging.set_verbosity(absl.logging.ERROR)


@contextlib.contextmanager
def _without_stderr() -> Iterator[None]:
    """Sends file descriptor 2, to which TensorFlow's C++ writes directly, nowhere."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
