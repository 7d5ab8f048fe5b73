"""What surrounds the steps: a line of progress, and an orderly stop on a signal."""

from __future__ import annotations

import contextlib
import datetime
import signal
import time
from collections.abc import Callable, Iterator

import keras

__all__ = ["Progress", "stop_on_signal"]


class Progress(keras.callbacks.Callback):
    """Prints the step, the metrics and the time left.

    Args:
        end: the last step of the run.
        steps: per epoch.
        live: rewrite one line twice a second, instead of a line an epoch or every ten seconds.
    """

    def __init__(self, end: int, steps: int, live: bool) -> None:
        super().__init__()
        self.end, self.steps, self.live = end, steps, live
        self.epoch, self.start, self.shown = 0, None, 0.0
        self.line, self.width = "", 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        step, now = self.epoch * self.steps + batch + 1, time.monotonic()
        if self.start is None:  # the first steps trace the graph and say nothing of the rest
            self.start = step, now
        left = ""
        if self.start[0] < step < self.end:
            seconds = (self.end - step) * (now - self.start[1]) / (step - self.start[0])
            left = f", {_duration(seconds)} left"
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in logs.items())
        epochs = f"epoch {self.epoch + 1:,} of {-(-self.end // self.steps):,}"
        self.line = f"Step {step:,} of {self.end:,} ({epochs}): {numbers}{left}"
        first = not self.shown and now - self.start[1] > 5  # a run's end is known early
        if first or (self.live and now - self.shown > 0.5):
            self._show("" if self.live else "\n")

    def on_epoch_end(self, epoch, logs=None):
        if not self.live and time.monotonic() - self.shown > 10:
            self._show("\n")

    def on_train_end(self, logs=None):
        if self.line:
            self._show("\n")

    def _show(self, end: str) -> None:
        # Padded, so that nothing of a longer line before it stays.
        print(f"\r{self.line:<{self.width}}" if self.live else self.line, end=end, flush=True)
        self.width, self.shown = len(self.line), time.monotonic()
        if end:
            self.line = ""


def _duration(seconds: float) -> str:
    """Returns a time such as `"3:05:00"`, or `"2 days, 7:00:00"`."""
    return str(datetime.timedelta(seconds=min(round(seconds), 10**12)))


@contextlib.contextmanager
def stop_on_signal() -> Iterator[list[int]]:
    """Yields a list that Ctrl-C and SIGTERM fill; a second Ctrl-C stops at once."""
    received: list[int] = []

    def receive(number: int, _frame: object) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    previous: dict[int, Callable] = {}
    with contextlib.suppress(ValueError):  # signals can be handled in the main thread only
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, receive)
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
