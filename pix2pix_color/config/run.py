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


# Figure 1's channels stop at 512 on a single pixel, where most of its parameters are. These
# stop at 128 on 2x2 pixels, leave the operations to the larger maps, and what an image shows to
# a classifier that has learned it already, without colors too. It is not the one that scores.
_RESIDUAL = GeneratorConfig(
    kind="residual",
    depth=4,
    filters=16,
    max_filters=128,
    kernel_size=3,
    guide="gray_classifier",
)
# Hardly an image is seen twice alike: with these a network so small does not overfit.
_AUGMENTED = DataConfig(flip=True, shift=4, lightness_scale="unit")
# A generator that can color already needs a judge of colors, not of pictures: half of
# Figure 2's width, a quarter of its cost, held back by its norms and not by its batch.
_JUDGE = DiscriminatorConfig(filters=32, normalization="spectral")


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
        """For faithful colors: a residual generator that learns nothing but fidelity.

        The shipped model `stable`: 3.0 million parameters instead of the report's 6.3, the
        classifier's 1.2 among them; the rest is spent where a small image has its detail; 30
        epochs.
        """
        return cls(
            data=_AUGMENTED,
            generator=dataclasses.replace(_RESIDUAL, self_ensemble=True),
            discriminator=DiscriminatorConfig(filters=16, normalization="spectral"),  # it rests
            training=TrainingConfig(
                steps=23_190,  # 30 epochs of 773
                generator_learning_rate=1e-3,
                beta_1=0.9,  # Adam's own; 0.5 is for networks that chase each other
                # The first is what PSNR measures, and has the least gradient where an image is
                # furthest off; the second's is the same everywhere.
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
        """For lively colors: `stable`, then a short time against a discriminator.

        The shipped model `vivid`. It starts from the shipped model `stable`, or from one of your
        own by `training.initial_generator=runs/stable`.
        """
        return cls(
            data=_AUGMENTED,
            generator=_RESIDUAL,
            discriminator=_JUDGE,
            training=TrainingConfig(
                steps=3_000,
                initial_generator="stable",
                generator_learning_rate=2e-4,
                discriminator_learning_rate=4e-4,  # faster (Heusel et al. 2017)
                l1_weight=17.0,  # a sixth of the report's: it is what makes colors gray
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
        """Returns the configuration that `to_dict` described; missing fields get defaults.

        Raises:
            ConfigError: an unknown section or field, or a value of the wrong kind.
        """
        sections = typing.get_type_hints(cls)
        parsed = {}
        for section, fields in values.items():
            if section not in sections or not isinstance(fields, Mapping):
                raise ConfigError(f"Unknown section {section!r}: {nearest(section, sections)}")
            hints = typing.get_type_hints(sections[section])
            for field in fields:
                if field not in hints:
                    raise ConfigError(
                        f"Unknown option '{section}.{field}': {nearest(field, hints)}"
                    )
            parsed[section] = sections[section](
                **{f: parse(f"{section}.{f}", v, hints[f]) for f, v in fields.items()}
            )
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
        except json.JSONDecodeError as error:
            raise ConfigError(f"The configuration is not valid JSON: {error}.") from error
        require(isinstance(values, dict), "The configuration is not a JSON object.")
        return cls.from_dict(values)
