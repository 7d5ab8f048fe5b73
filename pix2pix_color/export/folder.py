"""The folder that ships a model: its formats, its history and scores, a card, checksums."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from ..errors import ExportError
from ..files import replacing, write_atomically, write_checksums
from ..model_folder import MODEL_FILE, ModelFolder
from .cards import model_card
from .portable import QUANTIZATIONS, export_lite, export_onnx
from .refusal import refuse_existing
from .saved_model import export_saved_model
from .serving import serving_guide

__all__ = ["FORMATS", "export_model", "write_card"]

FORMATS = ("saved_model", "onnx", "lite")

_COPIED = ("config.json", "history.csv", "metrics.json", "samples.png", "evaluation")


def export_model(
    source: str | Path,
    destination: str | Path,
    formats: Sequence[str] = ("saved_model",),
    *,
    quantization: str = "float32",
    render_size: int | None = None,
    vividness: float = 1.0,
    overwrite: bool = False,
) -> Path:
    """Makes a folder that ships a model, in the requested formats.

    It holds `config.json`, `history.csv`, `model.json`, a model card `README.md`, `SHA256SUMS`;
    `metrics.json`, `samples.png` and `evaluation/` if they have been made; and per format
    `saved_model/` with `SERVING.md`, `generator.onnx`, or `generator.tflite`
    (`generator-float16.tflite`, `generator-int8.tflite`).

    If the generator was fine-tuned from another, the SavedModel has a dial between the two.

    Args:
        source: a run from its first checkpoint on, an exported folder, or a shipped model's name.
        destination: the folder to make.
        formats: some of `FORMATS`.
        quantization: of the format `lite`, see `export_lite`.
        render_size, vividness: of the SavedModel, see `export_saved_model`.
        overwrite: replace an existing destination; it may be `source` itself.

    Returns:
        `destination`.

    Raises:
        ModelError: `source` is not a model.
        ExportError: the destination exists, an unknown format, or an export that fails.
    """
    model, destination = ModelFolder(source), Path(destination)
    config = model.run_config()
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
    inside = destination.resolve() in model.path.resolve().parents
    if destination.exists() and (inside or (_is_run(model) and destination.samefile(model.path))):
        raise ExportError(f"{destination} holds the run itself: choose another name.")
    generator = model.generator()
    with replacing(destination) as temporary:
        temporary.mkdir()
        for name in _COPIED:
            _copy(model.path / name, temporary / name)
        description = {"step": model.step, "guide": model.guide}
        write_atomically(temporary / MODEL_FILE, json.dumps(description, indent=2) + "\n")
        if "saved_model" in formats:
            stable = model.initial_generator() if model.has_dial else None
            options = {"stable": stable, "render_size": render_size, "vividness": vividness}
            export_saved_model(generator, temporary / "saved_model", **options)
            guide = serving_guide(destination.name, config.data.image_size, dial=model.has_dial)
            write_atomically(temporary / "SERVING.md", guide)
        if "onnx" in formats:
            export_onnx(generator, temporary / "generator.onnx")
        if "lite" in formats:
            suffix = "" if quantization == "float32" else f"-{quantization}"
            export_lite(generator, temporary / f"generator{suffix}.tflite", quantization)
        write_card(temporary, destination.name)
    return destination


def write_card(folder: Path, name: str | None = None) -> None:
    """Writes the model card and the checksums of an exported folder, from the files in it."""
    card = model_card(ModelFolder(folder), name or folder.resolve().name)
    write_atomically(folder / "README.md", card)
    write_checksums(folder)


def _is_run(model: ModelFolder) -> bool:
    return model.saved_model is None


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.is_file():
        shutil.copyfile(source, target)
