"""The one view of a folder with a model: a run, an export, or a shipped model.

| | a run | an export, or a shipped model |
| --- | --- | --- |
| configuration | `config.json` | `config.json` |
| weights | `checkpoints/`, finished or not | `saved_model/`, perhaps `discriminator/` |
| steps taken | the newest checkpoint's number | `model.json` |
| the guide's architecture | `model.json` | `model.json` |
| integrity | none | `SHA256SUMS` |
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .config import Config, nearest
from .errors import ConfigError, ModelError, one_line
from .files import shipped_folder, verify_checksums

if TYPE_CHECKING:
    import keras

__all__ = [
    "CHECKPOINTS",
    "DISCRIMINATOR",
    "MODEL_FILE",
    "ModelFolder",
    "absolute_paths",
    "build_network",
    "checkpoint_paths",
    "for_inference",
    "shipped_models",
]

CHECKPOINTS = "checkpoints"
DISCRIMINATOR = "discriminator"
MODEL_FILE = "model.json"
"""What `config.json` does not say: `step` (of an export), and the `guide`'s own configuration."""
_OF_THE_NETWORKS = (
    "generator.",
    "discriminator.",
    "data.image_size",
    "data.color_space",
    "data.lightness_scale",
)

_MODEL_FIELDS = (
    ("generator", "guide"),
    ("training", "initial_generator"),
    ("training", "perceptual_network"),
)


def shipped_models() -> list[str]:
    """Returns the names of the models that come with this package and colorize."""
    # The classifiers beside them have no model.json.
    return sorted(path.parent.name for path in shipped_folder().glob(f"*/{MODEL_FILE}"))


def checkpoint_paths(run: Path) -> list[str]:
    """Returns the checkpoints of a run folder, oldest first."""
    import tensorflow as tf

    state = tf.train.get_checkpoint_state(str(run / CHECKPOINTS))
    return list(state.all_model_checkpoint_paths) if state else []


def absolute_paths(config: Config) -> Config:
    """Returns a configuration whose paths are absolute, `~` expanded, to resume from anywhere.

    A name that no existing path or pattern has, or that of a data set or a shipped network, stays.
    """
    values = config.to_dict()
    values["data"]["dataset"] = _absolute_data(config.data.dataset)
    for section, field in _MODEL_FIELDS:
        name = values[section][field]
        if Path(name).name != name or not (shipped_folder() / name).is_dir():
            values[section][field] = _absolute(name)
    return Config.from_dict(values)


def _absolute_data(name: str) -> str:
    if _absolute(name) != name or not {"=", ","} & {*name}:
        return _absolute(name)
    pieces = (piece.rpartition("=") for piece in name.split(","))  # of a mixture
    parts = [
        (part, _absolute(part.strip()), f"{equals}{weight}") for part, equals, weight in pieces
    ]
    return ",".join((part if "," in path else path) + weight for part, path, weight in parts)


def _absolute(name: str) -> str:
    if name in ("", "cifar10", "photographs"):
        return name
    path = os.path.expanduser(name)
    if os.path.exists(path):
        return os.path.abspath(path)
    if glob.has_magic(path) and glob.glob(path, recursive=True):
        return os.path.normpath(os.path.join(glob.escape(os.getcwd()), path))
    return name


class ModelFolder:
    """A folder with a model.

    Args:
        name_or_path: the name of a shipped model, or the path of a run, of an export, or of a
            SavedModel alone.

    Attributes:
        name: as given.
        path: the folder.

    Raises:
        ModelError: there is no such folder.
    """

    def __init__(self, name_or_path: str | Path) -> None:
        self.name = str(name_or_path)
        shipped = self.name in shipped_models()
        self.path = shipped_folder() / self.name if shipped else Path(name_or_path)
        if not self.path.is_dir():
            hint = nearest(self.name, shipped_models())
            raise ModelError(f"There is no model named or at {self.name!r}. {hint}")

    @property
    def saved_model(self) -> Path | None:
        """The folder of the SavedModel; `None` for a run."""
        folders = (self.path, self.path / "saved_model")
        return next((f for f in folders if (f / "saved_model.pb").is_file()), None)

    @property
    def config(self) -> Config:
        """The run's configuration, without which no network can be built.

        Raises:
            ModelError: the folder has none, or it cannot be read.
        """
        path = self.path / "config.json"
        if not path.is_file():
            raise ModelError(f"{self.path} is not a run folder: it has no config.json.")
        try:
            return Config.from_json(path.read_text(encoding="utf-8"))
        except (ConfigError, OSError, UnicodeDecodeError) as error:
            raise ModelError(f"{path} cannot be used: {error}") from error

    def run_config(self, *changes: str) -> Config:
        """Returns the configuration of a run.

        Args:
            *changes: overrides that its checkpoints must allow, as in `Config.override`.

        Raises:
            ModelError: the folder is not a run folder.
            ConfigError: a change is not valid, or one of the networks.
        """
        for change in changes:
            name = change.partition("=")[0].strip()
            if name.startswith(_OF_THE_NETWORKS):
                raise ConfigError(
                    f"{name} determines the networks' weights and cannot change on --resume: "
                    "start another run."
                )
        return self.config.override(*changes)

    @property
    def step(self) -> int | None:
        """The number of steps that the model was trained for; `None` where nobody knows."""
        if self.saved_model is None and (paths := checkpoint_paths(self.path)):
            return _step(paths[-1])
        return self._described().get("step")

    @property
    def guide(self) -> dict[str, Any] | None:
        """The configuration of the classifier that guides the generator, or `None`."""
        return self._described().get("guide")

    def _described(self) -> dict[str, Any]:
        path = self.path / MODEL_FILE
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    @property
    def has_dial(self) -> bool:
        """Whether the generator was fine-tuned from another."""
        return bool(self.config.training.initial_generator)

    def verify(self) -> int:
        """Compares the files with `SHA256SUMS`, where there is one; returns how many.

        Raises:
            ChecksumError: a file is missing or was changed.
        """
        return verify_checksums(self.path) if (self.path / "SHA256SUMS").is_file() else 0

    def generator(self, vividness: float = 1.0, step: int | None = None) -> keras.Model:
        """Returns the generator, from lightness (L, 0-100) to chroma ((a, b) / 128).

        Args:
            vividness: where the dial of a fine-tuned generator stands: 0 is the generator that
                it started from, 1 the fine-tuned one.
            step: of a run, the checkpoint to read; the default is the newest.

        Raises:
            ModelError: the folder holds no generator that can be rebuilt, or no dial.
            ValueError: the vividness is out of range.
        """
        if not 0.0 <= vividness <= 1.0:
            raise ValueError(f"The vividness must be from 0 to 1, not {vividness}.")
        if vividness < 1.0 and not self.has_dial:
            raise ModelError(f"{self.name} was not fine-tuned from another model.")
        generator = self._load("generator" if vividness else "initial_generator", step)
        if 0.0 < vividness < 1.0:
            for one, other in zip(self.generator(0.0).weights, generator.weights, strict=True):
                other.assign((1.0 - vividness) * one + vividness * other)
        return generator

    def discriminator(self, step: int | None = None) -> keras.Model:
        """Returns the discriminator, as `build_discriminator` does, with its trained weights.

        Args:
            step: as in `generator`.

        Raises:
            ModelError: the folder holds none.
        """
        return self._load(DISCRIMINATOR, step)

    def _load(self, name: str, step: int | None) -> keras.Model:
        """Returns a network in float32, by the name that checkpoints give it."""
        import tensorflow as tf

        from .networks.packing import unpack_weights

        config, saved_model = self.config, self.saved_model
        kind = name.removeprefix("initial_")
        pretrained = self._pretrained_network() if kind == "generator" else None
        precision = "float32"
        if saved_model is None:
            source = self._checkpoint(step)
            if name == kind:  # as it was trained: older Keras versions number its layers by it
                precision = config.training.precision
        else:
            source = self.path / DISCRIMINATOR if kind == DISCRIMINATOR else saved_model
        network = build_network(config, kind, pretrained, precision=precision)
        state: dict[str, Any] = {name: network}
        if config.training.ema_momentum and name == "generator":
            state["average"] = [tf.Variable(v) for v in network.trainable_variables]
        try:
            if saved_model is None:
                restored = tf.train.Checkpoint(**state).restore(source)
                restored.assert_existing_objects_matched().expect_partial()
            else:
                loaded = tf.saved_model.load(str(source))
                packed = loaded.network if kind == DISCRIMINATOR else loaded.generator
                unpack_weights(packed, network, stable=name != kind)
        except (AssertionError, AttributeError, OSError, ValueError, tf.errors.OpError) as error:
            raise ModelError(
                f"{source} does not hold the {kind} that config.json describes: "
                f"{one_line(error)[:200]}"
            ) from error
        if saved_model is None and name == "generator":
            return for_inference(config, network, pretrained, _step(source), state.get("average"))
        if precision == "float32":
            return network
        plain = build_network(config, kind, pretrained)
        plain.set_weights(network.get_weights())
        return plain

    def _checkpoint(self, step: int | None) -> str:
        paths = [path for path in checkpoint_paths(self.path) if step in (None, _step(path))]
        if not paths:
            which = "no checkpoint" if step is None else f"no checkpoint of step {step:,}"
            raise ModelError(
                f"{self.path} has no saved_model/ and {which}: a run has a generator from its "
                f"first checkpoint on. To train to it: pix2pix-color train --resume {self.path}"
            )
        return paths[-1]

    def _pretrained_network(self) -> keras.Model | None:
        """Returns the guide or the encoder, untrained: its weights come with the generator's."""
        if encoder := self.config.generator.encoder:
            from .networks.encoders import build_encoder

            return build_encoder(encoder)
        if not self.config.generator.guide:
            return None
        from .classifier import build_described

        if self.guide is None:
            raise ModelError(f"{self.path / MODEL_FILE} does not describe the guide.")
        return build_described(self.guide)


def _step(checkpoint: str) -> int:
    return int(checkpoint.rpartition("-")[2])


def build_network(
    config: Config, kind: str, pretrained: keras.Model | None = None, **options: Any
) -> keras.Model:
    """Returns one of a configuration's networks, untrained.

    Args:
        config: the run.
        kind: `"generator"` or `"discriminator"`.
        pretrained: the network that `config.generator.pretrained` names, for a generator.
        **options: of `LayerMaker`; the default is float32 and plain Keras layers.
    """
    from .networks import build_discriminator, build_generator

    data = config.data
    options |= {"color_space": data.color_space, "lightness_scale": data.lightness_scale}
    if kind == DISCRIMINATOR:
        size = data.image_size // config.chroma_stride
        return build_discriminator(config.discriminator, size, **options)
    return build_generator(config.generator, data.image_size, pretrained=pretrained, **options)


def for_inference(
    config: Config,
    trained: keras.Model,
    pretrained: keras.Model | None,
    step: int,
    average: Sequence[Any] | None = None,
) -> keras.Model:
    """Returns the generator that a run has trained, ready to colorize.

    The moving statistics of batch normalization start at mean 0 and variance 1, which still
    weigh 0.99 to the power of the steps: a fifth after 156 steps. This start is taken out, as
    Adam does with its moments; after a thousand steps nothing changes.

    Args:
        config: the run.
        trained: the generator being trained, of any precision, or a copy.
        pretrained: the network that `config.generator.pretrained` names.
        step: the number of steps taken.
        average: the moving averages of the trainable variables, where there are any.
    """
    import keras

    generator = build_network(config, "generator", pretrained)
    generator.set_weights(trained.get_weights())
    if not step:  # nothing is averaged yet
        return generator
    averages = [keras.ops.convert_to_numpy(value) for value in average or ()]
    if any(value.any() for value in averages):  # not if loss scaling skipped every step so far
        for variable, value in zip(generator.trainable_variables, averages, strict=True):
            variable.assign(value)
    if config.training.initial_generator:  # it started with statistics of its own
        return generator
    for layer in generator._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
            start = layer.momentum**step
            layer.moving_mean.assign(layer.moving_mean / (1 - start))
            layer.moving_variance.assign((layer.moving_variance - start) / (1 - start))
    return generator
