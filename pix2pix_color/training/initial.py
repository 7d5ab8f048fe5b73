"""Starts a generator from one that was trained before."""

from __future__ import annotations

import zipfile
from pathlib import Path

import keras

from ..errors import TrainingError
from ..files import shipped_folder
from ..networks import layers as _layers  # noqa: F401  registers what a saved generator may hold

__all__ = ["initialize_generator"]

_UNWEIGHTED = {"rescale", "rgb_to_chroma"}  # layers that other networks of the same shapes lack


def initialize_generator(generator: keras.Model, name_or_path: str) -> Path:
    """Gives a generator the weights of a trained one of the same shape.

    Args:
        generator: to be trained.
        name_or_path: `training.initial_generator`.

    Returns:
        The file that they are from.

    Raises:
        TrainingError: there is none, it cannot be read, or it is of another shape.
    """
    path = _find(name_or_path)
    try:
        trained = keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:200]
        raise TrainingError(f"{path} is not a generator that can be read: {reason}") from error
    for part, wanted, found in zip(
        ("layers", "weights"), _described(generator), _described(trained), strict=True
    ):
        if wanted != found:
            differing = sorted(wanted ^ found)[0]
            raise TrainingError(
                f"training.initial_generator {path} has other {part} than this configuration "
                f"describes ({differing[0]}): its generator and data.lightness_scale, "
                "data.color_space must be the same."
            )
    weights = {variable.path: variable for variable in trained.weights}
    generator.set_weights([keras.ops.convert_to_numpy(weights[v.path]) for v in generator.weights])
    return path


def _find(name_or_path: str) -> Path:
    shipped = shipped_folder() / name_or_path / "generator.keras"
    path = Path(name_or_path)
    for candidate in (path / "generator.keras", path, shipped):
        if candidate.is_file():
            return candidate
    if (path / "config.json").is_file():
        raise TrainingError(
            f"training.initial_generator {name_or_path} has no generator.keras yet: a run gets "
            "one when its training ends."
        )
    raise TrainingError(
        f"There is no model named or at training.initial_generator={name_or_path!r}: give a run "
        "folder, a .keras file or a shipped model's name, or train one first "
        "(pix2pix-color train --preset stable, then training.initial_generator=runs/stable)."
    )


def _described(network: keras.Model) -> tuple[set, set]:
    """Returns what networks have in common that take each other's weights and mean the same."""
    marks = {(layer.name,) for layer in network.layers if layer.name in _UNWEIGHTED}
    return marks, {(variable.path, tuple(variable.shape)) for variable in network.weights}
