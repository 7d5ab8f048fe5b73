"""Starts a generator from one that was trained before."""

from __future__ import annotations

import keras

from ..config import Config
from ..errors import TrainingError
from ..model_folder import ModelFolder

__all__ = ["start_from"]

_UNWEIGHTED = {"rescale", "rgb_to_chroma"}  # what tells apart networks with the same weights


def start_from(config: Config, generator: keras.Model, initial: keras.Model) -> None:
    """Gives a generator the weights of the one that `training.initial_generator` names.

    Args:
        config: the run.
        generator: the one to be trained.
        initial: the same for inference, which keeps the weights: exports mix the two.

    Raises:
        ModelError: there is none, or it cannot be loaded.
        TrainingError: it is another network.
    """
    name = config.training.initial_generator
    source = ModelFolder(name).generator()
    given = {variable.path: variable for variable in source.weights}
    wanted = {variable.path: variable for variable in generator.weights}
    same = {p: v.shape for p, v in given.items()} == {p: v.shape for p, v in wanted.items()}
    own, other = ({layer.name for layer in n.layers} for n in (generator, source))
    if not same or (own ^ other) & _UNWEIGHTED:
        raise TrainingError(
            f"training.initial_generator {name} is another network than this configuration "
            "describes: its generator, data.lightness_scale and data.color_space must be the same."
        )
    for network in (generator, initial):
        for variable in network.weights:
            variable.assign(keras.ops.convert_to_numpy(given[variable.path]))
