"""The folder that ships a run: its models, how it was trained, and checksums over all of it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from ..config import Config
from ..errors import ExportError
from ..files import replacing, write_atomically, write_checksums
from ..networks import layers as _layers  # noqa: F401  registers what a saved generator may hold
from .cards import model_card
from .errors import refuse_existing
from .portable import QUANTIZATIONS, export_lite, export_onnx
from .saved_model import export_saved_model
from .serving import serving_guide

__all__ = ["FORMATS", "export_formats", "export_run", "refresh_export"]

FORMATS = ("saved_model", "keras", "onnx", "lite")

_NEEDED = ("config.json", "history.csv", "generator.keras")
_WELCOME = ("metrics.json", "samples.png", "evaluation")
_INITIAL = "initial_generator.keras"


def export_run(
    run_folder: str | Path,
    destination: str | Path,
    *,
    render_size: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Makes a folder to ship of a finished run: `export_formats` with SavedModel and Keras."""
    return export_formats(run_folder, destination, render_size=render_size, overwrite=overwrite)


def export_formats(
    run_folder: str | Path,
    destination: str | Path,
    formats: Sequence[str] = ("saved_model", "keras"),
    quantization: str = "float32",
    *,
    render_size: int | None = None,
    vividness: float = 1.0,
    overwrite: bool = False,
) -> Path:
    """Makes a folder to ship of a finished run, with its network in the formats asked for.

    It holds `config.json`, `history.csv`, a model card `README.md`, `SHA256SUMS`, the run's
    `metrics.json`, `samples.png` and `evaluation/` where they have been made, and of each format
    `saved_model/` with `SERVING.md`; `generator.keras`; `generator.onnx`; or
    `generator.tflite` (`generator-float16.tflite`, `generator-int8.tflite`).

    Of a run that started from another generator, the SavedModel has a dial between the two.

    Args:
        run_folder: a run, or a folder that was exported with its `generator.keras`.
        destination: the folder to make.
        formats: some of `FORMATS`.
        quantization: of the format `lite`, see `export_lite`.
        render_size, vividness: of the SavedModel, see `export_saved_model`.
        overwrite: replace an existing destination.

    Returns:
        `destination`.

    Raises:
        ExportError: not a run folder with a trained generator, the destination exists, an
            unknown format, or an export that fails.
    """
    run, destination = Path(run_folder), Path(destination)
    for name in _NEEDED:
        if not (run / name).is_file():
            raise ExportError(f"{run} is not a finished run: it has no {name}.")
    for name in formats:
        if name not in FORMATS:
            raise ExportError(f"Unknown format {name!r}: use some of {', '.join(FORMATS)}.")
    if not formats:
        raise ExportError(f"No format: use some of {', '.join(FORMATS)}.")
    if quantization not in QUANTIZATIONS:
        raise ExportError(
            f"Unknown quantization {quantization!r}: use one of {', '.join(QUANTIZATIONS)}."
        )
    refuse_existing(destination, overwrite)
    if destination.exists() and destination.resolve() in (run.resolve(), *run.resolve().parents):
        raise ExportError(f"{destination} holds the run itself: choose another name.")
    config = Config.from_json((run / "config.json").read_text(encoding="utf-8"))
    generator = keras.models.load_model(run / "generator.keras", compile=False)
    with replacing(destination) as temporary:
        temporary.mkdir()
        for name in ("config.json", "history.csv", *_WELCOME):
            _copy(run / name, temporary / name)
        if "keras" in formats:
            _copy(run / "generator.keras", temporary / "generator.keras")
            _copy(run / _INITIAL, temporary / _INITIAL)
        if "saved_model" in formats:
            _export(generator, run, temporary, render_size=render_size, vividness=vividness)
        if "onnx" in formats:
            export_onnx(generator, temporary / "generator.onnx")
        if "lite" in formats:
            suffix = "" if quantization == "float32" else f"-{quantization}"
            export_lite(generator, temporary / f"generator{suffix}.tflite", quantization)
        _describe(temporary, destination.name, config, generator)
    return destination


def _export(generator: keras.Model, run: Path, folder: Path, **options: Any) -> None:
    """Writes the SavedModel, with a dial where the run has kept what it started from."""
    initial = run / _INITIAL
    stable = keras.models.load_model(initial, compile=False) if initial.is_file() else None
    export_saved_model(generator, folder / "saved_model", stable=stable, **options)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.is_file():
        shutil.copyfile(source, target)


def _describe(folder: Path, name: str, config: Config, generator: keras.Model) -> None:
    if (folder / "saved_model").is_dir():
        dial = (folder / _INITIAL).is_file()
        guide = serving_guide(name, generator.input_shape[1] or 32, dial=dial)
        write_atomically(folder / "SERVING.md", guide)
    write_atomically(folder / "README.md", model_card(folder, name, config))
    write_checksums(folder)


def refresh_export(
    folder: str | Path, *, render_size: int | None = None, vividness: float = 1.0
) -> Path:
    """Makes a shipped folder's SavedModel, texts and checksums again; the rest stays as it is.

    For a folder that an older version of this package has made.

    Args:
        folder: with `config.json`, `history.csv` and `generator.keras`.
        render_size, vividness: of the SavedModel, see `export_saved_model`.

    Returns:
        `folder`.

    Raises:
        ExportError: a file is missing.
    """
    folder = Path(folder)
    for name in _NEEDED:
        if not (folder / name).is_file():
            raise ExportError(f"{folder} is not a shipped model: it has no {name}.")
    config = Config.from_json((folder / "config.json").read_text(encoding="utf-8"))
    generator = keras.models.load_model(folder / "generator.keras", compile=False)
    options = {"render_size": render_size, "vividness": vividness, "overwrite": True}
    _export(generator, folder, folder, **options)
    _describe(folder, folder.resolve().name, config, generator)
    return folder
