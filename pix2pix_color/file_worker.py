"""Processes that colourize files for a job, each with a model and a core of its own.

Threads of one process wait for each other between the long operations of Pillow, NumPy and
TensorFlow; processes do not. And a file that ends one, by a fault in a decoder or for want of
memory, costs that file and not the job.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from .image_files import ImageFileError, ImageFileWarning

__all__ = ["WorkerProcesses", "main"]

_COMMAND = "from pix2pix_color.file_worker import main; main()"
_SINGLE = {
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "",
}


class WorkerProcesses:
    """Works on files in other processes; call it from as many threads as there are of them.

    Until the first of them has started, which takes seconds, and where none can, the calling
    thread does the work itself.

    Args:
        work: `colorize_one`, or another function of a model, source, target and settings.
        model: for the calling thread.
        load: gets a process the same model; it and `work` are pickled.
        count: processes.
    """

    def __init__(
        self, work: Callable[..., None], model: object, load: Callable[[], object], count: int
    ) -> None:
        self._work, self._model, self._load = work, model, load
        self._idle: queue.SimpleQueue[subprocess.Popen] = queue.SimpleQueue()
        self._lock, self._closed = threading.Lock(), False
        self._processes: list[subprocess.Popen] = []
        for _ in range(count):
            self._start()

    def __call__(self, source: Path, target: Path, **settings: Any) -> None:
        """Makes one file of another.

        Raises:
            ImageFileError: the process has ended over this file.
            Exception: whatever `work` raises.
        """
        try:
            process = self._idle.get(block=False)
        except queue.Empty:  # there are as many threads as processes: some have not started
            self._work(self._model, source, target, **settings)
            return
        try:
            pickle.dump((source, target, settings), process.stdin)
            process.stdin.flush()
            error, said = pickle.load(process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            process.kill()
            self._start()
            raise ImageFileError(
                f"{source}: the process that worked on it ended (status {process.wait()}): a "
                "fault in a decoder, or not enough memory."
            ) from None
        self._idle.put(process)
        for warning in said:
            warnings.warn(warning, stacklevel=2)
        if error is not None:
            raise error

    def close(self) -> None:
        """Ends all processes; no thread may be calling any more."""
        with self._lock:
            self._closed = True
        for process in self._processes:
            process.kill()  # they are idle, or starting
        for process in self._processes:
            process.wait()
            with contextlib.suppress(OSError):  # what was never sent
                process.stdin.close()
            process.stdout.close()

    def _start(self) -> None:
        package = str(Path(__file__).parents[1])
        paths = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))
        with self._lock:
            if self._closed:
                return
            try:
                process = subprocess.Popen(
                    [sys.executable, "-c", _COMMAND],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=os.environ | _SINGLE | {"PYTHONPATH": paths},
                )
            except OSError:  # no memory, no more processes: it goes on with those there are
                return
            self._processes.append(process)
        threading.Thread(target=self._greet, args=(process,), daemon=True).start()

    def _greet(self, process: subprocess.Popen) -> None:
        """Tells a process what to load, and has it work when it has."""
        try:
            pickle.dump((self._work, self._load), process.stdin)
            process.stdin.flush()
            pickle.load(process.stdout)
        except (OSError, ValueError, EOFError, pickle.UnpicklingError):
            return  # it could not start, or is not wanted any more
        self._idle.put(process)


def main() -> None:
    """Loads a model and works on what comes through standard input, until that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller, who then ends this
    requests, replies = sys.stdin.buffer, _take_stdout()
    work, load = pickle.load(requests)
    model = load()
    _send(replies, None)
    while True:
        try:
            source, target, settings = pickle.load(requests)
        except EOFError:
            return
        error = None
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", ImageFileWarning)
            try:
                work(model, source, target, **settings)
            except Exception as raised:  # the caller decides what it means
                error = _sendable(raised)
        _send(replies, (error, [warning.message for warning in said]))


def _take_stdout() -> BinaryIO:
    """Returns standard output; what anything else writes to it from now on goes to stderr."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return replies


def _sendable(error: Exception) -> Exception:
    """Returns an error that can be pickled: itself, or what it says."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _send(replies: BinaryIO, message: object) -> None:
    with contextlib.suppress(BrokenPipeError):
        replies.write(pickle.dumps(message))
        replies.flush()
