"""What surrounds the steps: Keras callbacks, and an orderly stop on a signal."""

from __future__ import annotations

import contextlib
import datetime
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras

__all__ = ["make_callback_list", "stop_on_signal"]


def make_callback_list(
    generator: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    callbacks: Sequence[keras.callbacks.Callback],
    *,
    logs: Path | None,
    verbose: int | str,
    end: int,
    steps: int,
) -> keras.callbacks.CallbackList:
    """Returns the callbacks of a run; `stop_training` of their `model` asks it to stop.

    Args:
        generator, optimizer: what callbacks may ask about.
        callbacks: the caller's.
        logs: the folder for TensorBoard; `None` writes no logs.
        verbose: as in `Trainer.fit`.
        end: the last step of the run.
        steps: per epoch.
    """
    if verbose == "auto":
        verbose = 1 if sys.stdout.isatty() or "ipykernel" in sys.modules else 2
    own = [keras.callbacks.TensorBoard(str(logs), write_graph=False)] if logs else []
    # Callbacks ask a model for its optimizer; a second model over the same layers, since the
    # generator itself must not track (and so checkpoint) its optimizer twice.
    model = keras.Model(generator.inputs, generator.outputs, name="generator")
    model.optimizer, model.stop_training = optimizer, False
    return keras.callbacks.CallbackList(
        [*own, *([_Progress(end, steps, verbose == 1)] if verbose else []), *callbacks],
        model=model,
        verbose=verbose,
        epochs=-(-end // steps),
        steps=steps,
    )


class _Progress(keras.callbacks.Callback):
    """Prints the step, the metrics and the time left, and once when the run will end.

    Args:
        end: the last step of the run.
        steps: per epoch.
        live: rewrite one line twice a second, instead of a line an epoch or every ten seconds.
    """

    def __init__(self, end: int, steps: int, live: bool) -> None:
        super().__init__()
        self.end, self.steps, self.live = end, steps, live
        self.epoch, self.start, self.shown, self.planned = 0, None, 0.0, False
        self.line, self.width = "", 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        step, now = self.epoch * self.steps + batch + 1, time.monotonic()
        if self.start is None:  # the first steps trace the graph and say nothing of the rest
            self.start = step, now
        left = ""
        if step > self.start[0]:
            seconds = (self.end - step) * (now - self.start[1]) / (step - self.start[0])
            left = f", {_duration(seconds)} left" if step < self.end else ""
            if not self.planned and now - self.start[1] > 5:
                self.planned = True
                planned = datetime.datetime.now() + datetime.timedelta(seconds=seconds)
                self._show(f"Planned end: {planned:%a %d %b %Y, %H:%M}{left}.", "\n")
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in logs.items())
        epochs = f"epoch {self.epoch + 1:,} of {-(-self.end // self.steps):,}"
        self.line = f"Step {step:,} of {self.end:,} ({epochs}): {numbers}{left}"
        if self.live and now - self.shown > 0.5:
            self._show(self.line)

    def on_epoch_end(self, epoch, logs=None):
        if not self.live and time.monotonic() - self.shown > 10:
            self._show(self.line, "\n")

    def on_train_end(self, logs=None):
        if self.line:
            self._show(self.line, "\n")

    def _show(self, line: str, end: str = "") -> None:
        # Padded, so that nothing of a longer line before it stays.
        print(f"\r{line:<{self.width}}" if self.live else line, end=end, flush=True)
        self.width = 0 if end else len(line)
        self.shown, self.line = time.monotonic(), "" if end else self.line


def _duration(seconds: float) -> str:
    """Returns a time such as `"3 h 5 min"`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    days, minutes = divmod(min(round(seconds / 60), 10**9), 24 * 60)
    if days:
        return f"{days:,} d {minutes // 60} h"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


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
