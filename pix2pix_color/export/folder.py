"""The folder that ships a model: its formats, its history and scores, a card, checksums."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from ..errors import ExportError
from ..files import replacing, write_atomically
from ..inference import size_multiple
from ..model_folder import DISCRIMINATOR, MODEL_FILE, ModelFolder
from .cards import write_card
from .portable import convert_to_lite, convert_to_onnx
from .saved_model import MAX_PIXELS, export_discriminator, export_saved_model, refuse_existing

__all__ = ["FORMATS", "export_model"]

FORMATS = ("saved_model", "onnx", "lite")
_KEPT = ("config.json", "history.csv", "metrics.json", "samples.png", "evaluation")
_KEPT += ("by_step.csv", "by_step.png")  # of the report's model


def export_model(
    source: str | Path,
    destination: str | Path,
    formats: Sequence[str] = ("saved_model",),
    *,
    quantization: str = "float32",
    render_size: int | None = None,
    vividness: float = 1.0,
    discriminator: bool = False,
    overwrite: bool = False,
) -> Path:
    """Makes a folder that ships a model, in the requested formats.

    It holds `config.json`, `history.csv`, `model.json`, a card `README.md` and `SHA256SUMS`;
    `metrics.json`, `samples.png`, `evaluation/` and `by_step.*` if they were made; and per format
    `saved_model/` with `SERVING.md`, `generator.onnx`, or `generator.tflite`
    (`generator-float16.tflite`, `generator-int8.tflite`).

    If the generator was fine-tuned from another, the SavedModel has a dial between the two.

    Args:
        source: a run from its first checkpoint on, an exported folder, or a shipped model's name.
        destination: the folder to make.
        formats: some of `FORMATS`.
        quantization: of the format `lite`, see `convert_to_lite`.
        discriminator: also ship the discriminator, as `discriminator/`.
        render_size, vividness: of the SavedModel, see `export_saved_model`.
        overwrite: replace an existing destination; it may be `source` itself.

    Returns:
        `destination`.

    Raises:
        ModelError: `source` is not a model.
        ExportError: the destination exists, an unknown format, or an export that fails.
        ColorizerError: the render size or the vividness is out of range.
    """
    model, destination = ModelFolder(source), Path(destination)
    if not formats or set(formats) - set(FORMATS):
        raise ExportError(
            f"The formats must be some of {', '.join(FORMATS)}, not {', '.join(formats) or 'none'}."
        )
    refuse_existing(destination, overwrite)
    inside = destination.resolve() in model.path.resolve().parents
    is_run = model.saved_model is None and destination.exists()
    if inside or (is_run and destination.samefile(model.path)):
        raise ExportError(f"{destination} holds the run itself: choose another name.")
    generator = model.generator()
    with replacing(destination) as temporary:
        temporary.mkdir()
        for name in _KEPT:
            if (model.path / name).exists():
                copy = shutil.copytree if (model.path / name).is_dir() else shutil.copyfile
                copy(model.path / name, temporary / name)
        description = {"step": model.step, "guide": model.guide}
        write_atomically(temporary / MODEL_FILE, json.dumps(description, indent=2) + "\n")
        if "saved_model" in formats:
            export_saved_model(
                generator,
                temporary / "saved_model",
                render_size=render_size,
                stable=model.generator(vividness=0.0) if model.has_dial else None,
                vividness=vividness,
            )
            guide = _serving_guide(destination.name, size_multiple(generator))
            write_atomically(temporary / "SERVING.md", guide)
        if discriminator or (model.path / DISCRIMINATOR).is_dir():
            export_discriminator(model.discriminator(), temporary / DISCRIMINATOR)
        if "onnx" in formats:
            write_atomically(temporary / "generator.onnx", convert_to_onnx(generator))
        if "lite" in formats:
            suffix = "" if quantization == "float32" else f"-{quantization}"
            content = convert_to_lite(generator, quantization)
            write_atomically(temporary / f"generator{suffix}.tflite", content)
        write_card(temporary, destination.name)
    return destination


def _serving_guide(name: str, multiple: int) -> str:
    """Returns how TensorFlow Serving runs a folder's SavedModel."""
    text = Path(__file__).with_name("serving.md").read_text(encoding="utf-8")
    # The served model gets the folder's name in letters that a URL can hold.
    text = text.replace("@NAME@", re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII))
    return text.replace("@SIZE@", str(multiple)).replace("@PIXELS@", f"{MAX_PIXELS:,}")
