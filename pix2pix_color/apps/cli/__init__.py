"""The command `pix2pix-color`: parse, call, show.

Nothing heavy is imported before a command runs, so `--help` answers at once. What a user can
cause is one line on the error output and an exit code that says which kind it was.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

from ...errors import ConfigError, UsageError
from .errors import (
    FAILED,
    INTERRUPTED,
    USAGE,
    in_words,
    is_exhausted,
    is_ours,
    report,
    short_warnings,
)
from .parser import parse

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: what follows the program's name; `None` takes `sys.argv`.

    Returns:
        The exit code: 0 done, 1 failed, 2 not valid, 130 interrupted.
    """
    try:
        options = parse(arguments)
        with short_warnings():
            code = options.function(options)
        sys.stdout.flush()  # a closed pipe shows here, where it is caught
        return code
    except SystemExit as stop:  # argparse, after --help or an error of its own
        return stop.code if isinstance(stop.code, int) else FAILED
    except BrokenPipeError:
        # The reader (head, less) left. Python would complain again when it flushes at exit.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return report("interrupted.", INTERRUPTED)
    except (ConfigError, UsageError) as error:
        return report(error, USAGE)
    except Exception as error:
        if type(error).__name__ == "Interrupted" and is_ours(error):
            return report(error, INTERRUPTED)
        if is_ours(error) or isinstance(error, OSError) or is_exhausted(error):
            return report(in_words(error), FAILED)
        raise
