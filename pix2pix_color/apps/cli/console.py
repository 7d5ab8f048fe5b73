"""What the command line prints: progress, and errors and warnings in one line each."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any, TextIO

from ...errors import one_line

__all__ = ["EXIT_CODES", "FAILED", "INTERRUPTED", "USAGE", "report", "say", "short_warnings"]

FAILED, USAGE, INTERRUPTED = 1, 2, 130

EXIT_CODES = """\
exit codes:
  0    success
  1    failure; the message names the run, data set, model or file that caused it
  2    invalid command line or option value
  130  interrupted (Ctrl-C); a training run was saved and can be resumed
"""


def say(text: str, file: TextIO | None = None) -> None:
    """Prints text at once, also where the output goes to a file or a pipe.

    What its encoding lacks, such as the bytes of a file name that is not UTF-8, is escaped.
    """
    encoding = getattr(file or sys.stdout, "encoding", None) or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    print(text, file=file, flush=True)


def report(error: object, exit_code: int) -> int:
    """Prints an error as one line and returns the exit code."""
    sys.stdout.flush()
    say(f"pix2pix-color: error: {one_line(error)}", sys.stderr)
    return exit_code


@contextlib.contextmanager
def short_warnings() -> Iterator[None]:
    """Shows warnings as one line each, without the source line that raised them."""

    def show(message: Any, *_: Any, **__: Any) -> None:
        say(f"pix2pix-color: warning: {one_line(message)}", sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
