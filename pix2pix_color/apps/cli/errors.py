"""What a user can put right: said in one line, with an exit code."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

EXIT_CODES = """\
exit codes:
  0    done
  1    a run, a data set, a model or a file stands in the way: the message says which
  2    the command line or an option's value is not valid
  130  interrupted (Ctrl-C); a training run was saved and can go on
"""


def is_ours(error: Exception) -> bool:
    """Returns whether this package defines the error, which then speaks to the user."""
    # By name, since importing the modules of DataError, TrainingError... would load TensorFlow.
    return type(error).__module__.split(".")[0] == __package__.split(".")[0]


def report(error: object, code: int) -> int:
    """Prints an error as one line and returns the exit code."""
    sys.stdout.flush()
    print(f"pix2pix-color: error: {one_line(error)}", file=sys.stderr)
    return code


def one_line(message: object) -> str:
    """Returns the text without its line breaks."""
    return " ".join(str(message).split())


def in_words(error: Exception) -> str:
    """Returns what went wrong, where, and what to do."""
    where = f": {error.filename}" if getattr(error, "filename", None) else ""
    if is_full(error):
        return f"no space left on the disk{where}. Free some space and run the command again."
    if is_exhausted(error):
        return "out of memory. Choose a smaller batch: --set training.batch_size=32"
    if not isinstance(error, OSError):
        return str(error)
    if isinstance(error, PermissionError):
        return f"permission denied{where}. Choose another place or change its permissions."
    return f"{error.strerror}{where}." if error.strerror else str(error)


def is_full(error: Exception) -> bool:
    """Returns whether the disk is full."""
    # HDF5 (under `.keras` files) and TensorFlow give the reason only in their text.
    text = os.strerror(errno.ENOSPC)
    return getattr(error, "errno", None) == errno.ENOSPC or text.lower() in str(error).lower()


def is_exhausted(error: Exception) -> bool:
    """Returns whether TensorFlow ran out of memory or disk."""
    return type(error).__name__ == "ResourceExhaustedError"


@contextlib.contextmanager
def short_warnings() -> Iterator[None]:
    """Shows warnings as one line each, without the source line that raised them."""

    def show(message: Any, *_: Any, **__: Any) -> None:
        print(f"pix2pix-color: warning: {one_line(message)}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
