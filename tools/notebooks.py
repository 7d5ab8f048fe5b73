"""Runs a notebook from top to bottom in a kernel of this Python."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from pix2pix_color.errors import Pix2PixColorError
from pix2pix_color.files import write_atomically

__all__ = ["NotebookError", "run_notebook", "run_notebooks"]


class NotebookError(Pix2PixColorError):
    """A notebook failed, or Jupyter is not installed."""


def run_notebooks(
    sources: Iterable[Path], destination: Path, settings: dict[str, str] | None = None
) -> list[str]:
    """Runs notebooks, also after one that fails, and prints their progress.

    Args:
        sources: the notebooks.
        destination: folder for the executed notebooks; their own folder replaces them.
        settings: see `run_notebook`.

    Returns:
        For each notebook that failed, its name and the reason.
    """
    failed = []
    for source in sources:
        print(f"  {source.stem}: ", end="", flush=True)
        start, outcome = time.monotonic(), "done in"
        try:
            run_notebook(source, destination / source.name, settings)
        except NotebookError as error:
            failed.append(f"{source.stem}: {error}")
            outcome = "failed after"
        print(f"{outcome} {time.monotonic() - start:.0f} s", flush=True)
    return failed


def run_notebook(source: Path, destination: Path, settings: dict[str, str] | None = None) -> None:
    """Runs a notebook and writes it with its outputs.

    Args:
        source: the notebook; it runs in the folder that contains it.
        destination: path of the executed notebook, which ends at the failing cell if one fails.
            If it equals `source`, the notebook is replaced only if no cell fails.
        settings: environment variables for the notebook. All other variables named
            `PIX2PIX_COLOR_...` are unset.

    Raises:
        NotebookError: a cell failed, and the message is the cell's; or Jupyter is missing.
    """
    try:
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError, DeadKernelError
    except ImportError as error:
        raise NotebookError(
            'Running notebooks requires Jupyter: pip install "pix2pix_color[notebooks]"'
        ) from error
    notebook = nbformat.read(source, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--log-level=50"],  # the notebook itself shows a cell's error
        resources={"metadata": {"path": str(source.parent)}},
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PIX2PIX_COLOR_")}
    environment.pop("MPLBACKEND", None)  # figures must appear in the notebook
    # The kernel must be this Python's and find the programs that are installed beside it.
    environment["JUPYTER_PREFER_ENV_PATH"] = "1"
    programs = str(Path(sys.executable).parent)
    environment["PATH"] = os.pathsep.join((programs, environment.get("PATH", "")))
    failure = None
    try:
        client.execute(env=environment | (settings or {}))
    except CellExecutionError as error:
        failure = f"{error.ename}: {error.evalue}".splitlines()[0]
    except (AssertionError, DeadKernelError):
        if client.km is None:  # how nbclient ends after Ctrl-C
            raise KeyboardInterrupt from None
        failure = "its kernel died, for example because memory ran out"
    if failure is None or destination != source:
        write_atomically(destination, nbformat.writes(notebook) + "\n")
    if failure is not None:
        raise NotebookError(failure)
