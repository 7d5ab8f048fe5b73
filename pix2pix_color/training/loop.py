"""What surrounds the steps: Keras callbacks, and an orderly stop on a signal."""

from __future__ import annotations

import contextlib
import signal
import sys
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
    epochs: int,
    steps: int,
) -> keras.callbacks.CallbackList:
    """Returns the callbacks of a run; `stop_training` of their `model` asks it to stop.

    Args:
        generator, optimizer: what callbacks may ask about.
        callbacks: the caller's.
        logs: the folder for TensorBoard; `None` writes no logs.
        verbose: as in `Trainer.fit`.
        epochs: in the whole run.
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
        [*own, *callbacks],
        add_progbar=verbose != 0,
        model=model,
        verbose=verbose,
        epochs=epochs,
        steps=steps,
    )


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
