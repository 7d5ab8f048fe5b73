"""A complete run, its presets, and its way to and from JSON."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ConfigError
from .checks import nearest, require
from .data import DataConfig
from .networks import DiscriminatorConfig, GeneratorConfig
from .parsing import parse
from .training import TrainingConfig

__all__ = ["Config"]


# Figure 1 has most of its parameters where its 512 channels meet a single pixel. Here channels stop
# at 128 on 2x2 pixels, the operations go to the larger maps, and a classifier that was trained on
# gray images too (and scores nothing) contributes what the image may show.
_RESIDUAL = GeneratorConfig(
    kind="residual",
    depth=4,
    filters=16,
    max_filters=128,
    kernel_size=3,
    guide="gray_classifier",
)
# Hardly any image is seen twice in the same form, so this small network does not overfit.
_AUGMENTED = DataConfig(flip=True, shift=4, lightness_scale="unit")

_RETIRED = {
    "data.fit": "crop",
    "generator.attention_level": 0,
    "generator.blocks": 1,
    "discriminator.dropout": 0.0,
    "training.adversarial_from": 0,
    "training.augmentation": False,
    "training.clip_norm": 0.0,
    "training.fused_batch_norm": True,
    "training.l2_weight": 0.0,
    "training.matmul_gradients": True,
    "training.r1_every": 16,
    "training.r1_weight": 0.0,
}
"""Options of earlier versions, and the value with which a run can still be read."""


@dataclasses.dataclass(frozen=True)
class Config:
    """A complete run: data, the two networks, training.

    >>> Config.report().override("training.batch_size=128").training.batch_size
    128
    """

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    generator: GeneratorConfig = dataclasses.field(default_factory=GeneratorConfig)
    discriminator: DiscriminatorConfig = dataclasses.field(default_factory=DiscriminatorConfig)
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        size, depth = self.data.image_size, self.generator.depth
        require(
            size % 2**depth == 0,
            f"A generator of depth {depth} halves an image {depth} times: data.image_size must be "
            f"a multiple of {2**depth}, not {size}.",
        )
        require(
            not self.training.distribution_weight or self.data.color_space == "distribution",
            "training.distribution_weight needs data.color_space=distribution.",
        )
        require(
            not self.generator.self_ensemble or self.data.color_space == "lab",
            "generator.self_ensemble needs data.color_space=lab.",
        )
        deepest = (size & -size).bit_length() - 1  # how often the size can be halved
        require(
            self.discriminator.depth <= deepest,
            f"discriminator.depth {self.discriminator.depth} is too deep for images of {size} "
            f"pixels: at most {deepest}.",
        )

    @classmethod
    def report(cls) -> Config:
        """The report to the letter: Figures 1 and 2, its losses, optimizers and batch."""
        return cls()

    @classmethod
    def stable(cls) -> Config:
        """Faithful colors: a residual generator trained for fidelity alone, for 30 epochs.

        The shipped model `stable`: 3.0 million parameters, including the guiding classifier's
        1.2, instead of the report's 6.3.
        """
        return cls(
            data=_AUGMENTED,
            generator=dataclasses.replace(_RESIDUAL, self_ensemble=True),
            discriminator=DiscriminatorConfig(filters=16, normalization="spectral"),  # unused
            training=TrainingConfig(
                steps=23_190,  # 30 epochs of 773
                generator_learning_rate=1e-3,
                beta_1=0.9,  # Adam's default; 0.5 is for adversarial training
                # The RGB loss is what PSNR measures, but has the smallest gradient where an image
                # is furthest off; the gradient of L1 is the same everywhere.
                rgb_weight=1.0,
                l1_weight=10.0,
                adversarial_weight=0.0,
                learning_rate_schedule="cosine",
                warmup_steps=500,
                weight_decay=0.02,
                ema_momentum=0.999,
            ),
        )

    @classmethod
    def vivid(cls) -> Config:
        """Lively colors: the model `stable`, fine-tuned briefly against a discriminator.

        The shipped model `vivid`. It starts from the shipped model `stable`, or from your own
        with `training.initial_generator=runs/stable`.
        """
        return cls(
            data=_AUGMENTED,
            generator=_RESIDUAL,
            # Half of Figure 2's width, at a quarter of its cost, is enough for colors alone.
            discriminator=DiscriminatorConfig(filters=32, normalization="spectral"),
            training=TrainingConfig(
                steps=3_000,
                initial_generator="stable",
                generator_learning_rate=2e-4,
                discriminator_learning_rate=4e-4,  # faster (Heusel et al. 2017)
                l1_weight=17.0,  # a sixth of the report's: L1 desaturates
                adversarial_loss="hinge",
                feature_matching_weight=10.0,
                learning_rate_schedule="cosine",
                warmup_steps=100,
                ema_momentum=0.999,
            ),
        )

    @classmethod
    def fast(cls) -> Config:
        """A tiny run on the photographs inside scikit-image: seconds on any laptop."""
        return cls(
            data=DataConfig(dataset="photographs"),
            generator=GeneratorConfig(filters=8),
            discriminator=DiscriminatorConfig(filters=8),
            training=TrainingConfig(
                steps=200, batch_size=16, checkpoint_every=100, sample_every=100
            ),
        )

    @classmethod
    def presets(cls) -> dict[str, Callable[[], Config]]:
        """Returns the functions that make each named configuration."""
        return {
            "report": cls.report,
            "stable": cls.stable,
            "vivid": cls.vivid,
            "fast": cls.fast,
        }

    @classmethod
    def preset(cls, name: str) -> Config:
        """Returns a named configuration.

        Raises:
            ConfigError: no preset of that name.
        """
        presets = cls.presets()
        if name not in presets:
            raise ConfigError(f"Unknown preset {name!r}: {nearest(name, presets)}")
        return presets[name]()

    def override(self, *changes: str) -> Config:
        """Returns a copy with changes such as `"training.batch_size=128"` applied.

        Raises:
            ConfigError: an unknown name, or a value of the wrong kind.
        """
        values = self.to_dict()
        for change in changes:
            name, separator, text = change.partition("=")
            section, _, field = name.strip().partition(".")
            options = [f"{s}.{f}" for s, fields in values.items() for f in fields]
            if not separator:
                raise ConfigError(f"{change!r} is not a change: write NAME=VALUE.")
            if field not in values.get(section, {}):
                raise ConfigError(f"Unknown option {name.strip()!r}: {nearest(name, options)}")
            values[section][field] = text.strip()
        return Config.from_dict(values)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Returns nested plain dictionaries, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """Returns the configuration that `to_dict` described; missing fields get their defaults.

        Raises:
            ConfigError: an unknown section or field, or a value of the wrong kind.
        """
        sections = typing.get_type_hints(cls)
        parsed = {}
        for section, fields in values.items():
            if section not in sections or not isinstance(fields, Mapping):
                raise ConfigError(f"Unknown section {section!r}: {nearest(section, sections)}")
            hints, known = typing.get_type_hints(sections[section]), {}
            for field, value in fields.items():
                name = f"{section}.{field}"
                if field in hints:
                    known[field] = parse(name, value, hints[field])
                elif name not in _RETIRED:
                    raise ConfigError(f"Unknown option '{name}': {nearest(field, hints)}")
                elif value != _RETIRED[name]:
                    raise ConfigError(f"{name}={value} is no longer available: see CHANGELOG.md.")
            parsed[section] = sections[section](**known)
        return cls(**parsed)

    def to_json(self) -> str:
        """Returns the configuration as indented JSON."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Config:
        """Returns the configuration written by `to_json`.

        Raises:
            ConfigError: not JSON, or not a configuration.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:  # ValueError also for 5,000 digits
            raise ConfigError(f"The configuration is not valid JSON: {error}.") from error
        require(isinstance(values, dict), "The configuration is not a JSON object.")
        return cls.from_dict(values)
