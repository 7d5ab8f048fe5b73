"""The command `pix2pix-color`: parse, call, show. Each command has a file of its own.

Nothing heavy is imported before a command runs, so `--help` answers at once. An error that a user
can cause is one line on standard error and an exit code.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

from ...errors import Pix2PixColorError, disk_is_full, in_words
from .console import FAILED, INTERRUPTED, report, short_warnings
from .parser import parse

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: what follows the program's name; `None` takes `sys.argv`.

    Returns:
        The exit code: 0 success, 1 failure, 2 invalid command line, 130 interrupted.
    """
    try:
        exit_code = _run(arguments)
        sys.stdout.flush()  # a closed pipe raises here, where it is caught
        return exit_code
    except BrokenPipeError:
        # The reader (head, less) left. Python would complain again when it flushes at exit.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _run(arguments: Sequence[str] | None) -> int:
    try:
        options = parse(arguments)
        with short_warnings():
            return options.function(options) or 0
    except SystemExit as stop:  # argparse, after --help or an error of its own
        return stop.code if isinstance(stop.code, int) else FAILED
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        return report("interrupted.", INTERRUPTED)
    except Pix2PixColorError as error:
        return report(error, error.exit_code)
    except Exception as error:
        if isinstance(error, OSError) or disk_is_full(error):
            return report(in_words(error), FAILED)
        if _memory_is_full(error):
            return report("out of memory. Reduce the batch size or the render size.", FAILED)
        raise


def _memory_is_full(error: Exception) -> bool:
    tensorflow = sys.modules.get("tensorflow")  # only where a command has imported it
    return isinstance(error, MemoryError) or (
        tensorflow is not None and isinstance(error, tensorflow.errors.ResourceExhaustedError)
    )
