"""Every error that a user can meet, under one base class, and operating-system errors in words.

The message says what is wrong, where, and what to do, in one line. The command line prints it and
ends with `exit_code`; anything that is not a `Pix2PixColorError` is a bug and keeps its traceback.
"""

from __future__ import annotations

import errno
import os


class Pix2PixColorError(Exception):
    """The base of all errors below.

    Attributes:
        exit_code: of the command line: 1 failed, 2 invalid input, 130 interrupted.
    """

    exit_code = 1


class ConfigError(Pix2PixColorError, ValueError):
    """A hyperparameter that does not exist or has an invalid value."""

    exit_code = 2


class UsageError(Pix2PixColorError):
    """Command-line options that do not go together."""

    exit_code = 2


class CommandError(Pix2PixColorError):
    """A command that cannot do what it was asked to."""


class ChecksumError(Pix2PixColorError):
    """A file of a shipped model is missing or was changed."""


class ModelError(Pix2PixColorError):
    """A run, an export or a shipped model that is not there or cannot be loaded."""


class DataError(Pix2PixColorError):
    """A data set that is not there, or a file in it that cannot be read."""


class ImageFileError(Pix2PixColorError):
    """An image file that cannot be read or written; the message names it."""


class DistributeError(Pix2PixColorError):
    """The requested devices are not available."""


class ClassifierError(Pix2PixColorError):
    """A classifier that cannot be used, or data that it cannot be trained on."""


class TrainingError(Pix2PixColorError):
    """A training run that cannot be started or resumed."""


class NonFiniteLossError(TrainingError):
    """A loss or a weight became infinite or NaN.

    Attributes:
        step: the first step at which it did.
    """

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


class Interrupted(TrainingError):
    """Ctrl-C or SIGTERM: the run was saved and can be resumed."""

    exit_code = 130


class EvaluationError(Pix2PixColorError, ValueError):
    """A model, a data set or two evaluations that cannot be scored or compared."""


class ExportError(Pix2PixColorError):
    """A model that cannot be exported as requested."""


class ColorizerError(Pix2PixColorError):
    """An array or a setting that a colorizer cannot use, or an output that is in the way."""


class FileJobError(Pix2PixColorError):
    """Something that prevents a whole job; nothing was written."""


class VideoError(Pix2PixColorError):
    """A video that cannot be read or written."""


class DemoError(Pix2PixColorError):
    """The web page cannot be served."""


class PhotographError(Pix2PixColorError):
    """A photograph or a setting that the web page cannot use; the message is for the visitor."""


class StudyError(Pix2PixColorError, ValueError):
    """A study or a results table that does not exist or cannot be used."""

    exit_code = 2


def one_line(message: object) -> str:
    """Returns the text without its line breaks."""
    return " ".join(str(message).split())


def in_words(error: Exception) -> str:
    """Returns what went wrong, where, and what to do, in one line."""
    where = f": {error.filename}" if getattr(error, "filename", None) else ""
    if disk_is_full(error):
        return f"no space left on the disk{where}. Free some space and run the command again."
    if isinstance(error, PermissionError):
        return f"permission denied{where}. Choose another place or change its permissions."
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}{where}."
    return one_line(error) or type(error).__name__


def disk_is_full(error: Exception) -> bool:
    """Returns whether the disk is full."""
    # TensorFlow gives the reason only in the text of its own exceptions.
    text = os.strerror(errno.ENOSPC)
    return getattr(error, "errno", None) == errno.ENOSPC or text.lower() in str(error).lower()
