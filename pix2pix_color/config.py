"""Every hyperparameter, its default, and where the default comes from.

A `Config` is frozen: it describes a run completely, travels with it as
`config.json`, and is changed only by making another (`Config.override`).
This module imports nothing heavy, so that `pix2pix-color --help` stays fast.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import json
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

__all__ = [
    "Config",
    "ConfigError",
    "DataConfig",
    "DiscriminatorConfig",
    "GeneratorConfig",
    "TrainingConfig",
    "nearest",
]


class ConfigError(ValueError):
    """A hyperparameter that does not exist or has a value that makes no sense."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """Returns the tail of an error message: the nearest valid name and all of them."""
    valid = sorted(valid)
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}Valid: {', '.join(valid)}."


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


def _require_choices(section: str, config: Any) -> None:
    """Checks the fields that name one of a few choices, however the object was made."""
    for field, hint in typing.get_type_hints(type(config)).items():
        value, choices = getattr(config, field), typing.get_args(hint)
        _require(
            typing.get_origin(hint) is not Literal or value in choices,
            f"{section}.{field}={value!r} is not valid: {nearest(str(value), map(str, choices))}",
        )


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """What is learned from.

    Attributes:
        dataset: `"cifar10"` (through TFDS; report section 4.1), `"photographs"`
            (crops of the photographs inside scikit-image) or the path of a folder of images.
        image_size: height and width of a training image in pixels (report: 32).
        drop_gray: leave out images whose three channels are equal at every pixel
            (report section 4.1: "we removed black and white images").
        flip: mirror half of the training images left to right (not in the report).
        fit: how an image of a folder becomes square: `"crop"` (scale the shorter side,
            then cut the centre) or `"resize"` (both sides scaled, aspect ratio lost).
        color_space: what the generator predicts, and L1 and the discriminator compare:
            `"lab"` chroma (report section 4.1) or `"rgb"` in [-1, 1] (Isola et al. 2017),
            which the generator then turns into chroma itself.
        lightness_scale: what the first convolutions of both networks see of L: `"report"`,
            0 to 100 as in the authors' code, or `"unit"`, rescaled to [-1, 1].
    """

    dataset: str = "cifar10"
    image_size: int = 32
    drop_gray: bool = True
    flip: bool = False
    fit: Literal["crop", "resize"] = "crop"
    color_space: Literal["lab", "rgb"] = "lab"
    lightness_scale: Literal["report", "unit"] = "report"

    def __post_init__(self) -> None:
        _require_choices("data", self)
        _require(self.image_size >= 1, f"data.image_size must be positive, not {self.image_size}.")


@dataclasses.dataclass(frozen=True)
class GeneratorConfig:
    """The U-Net of report section 3.1, and what section 4.2.1 varies in it.

    Attributes:
        depth: number of halvings on the way down (Figure 1: 5, so 32x32 becomes 1x1).
        filters: channels of the first level; each level down doubles them (Figure 1: 32).
        kernel_size: side of every convolution kernel (Figure 1: 4).
        skip_connections: `"all"` (Figure 1), `"none"`, `"innermost"`, `"outermost"`, or the
            levels to connect as a tuple of numbers, 1 (finest) to depth - 1 (coarsest).
        downsampling: `"strided"` convolution (Figure 1) or `"pooling"` (stride 1, then max).
        upsampling: `"transposed"` convolution (Figure 1) or `"resize"` (nearest, then
            convolution; Odena et al. 2016, against checkerboards).
        normalization: `"batch"` (Figure 1), `"instance"`, `"group"` (of up to 8 channels a
            group), `"none"`.
        dropout: rate after the normalization of the three innermost up-sampling
            blocks (Isola et al. 2017 use 0.5; Figure 1 has none).
        negative_slope: of the encoder's leaky ReLU (Figure 1: 0.2).
    """

    depth: int = 5
    filters: int = 32
    kernel_size: int = 4
    skip_connections: str | tuple[int, ...] = "all"
    downsampling: Literal["strided", "pooling"] = "strided"
    upsampling: Literal["transposed", "resize"] = "transposed"
    normalization: Literal["batch", "instance", "group", "none"] = "batch"
    dropout: float = 0.0
    negative_slope: float = 0.2

    def __post_init__(self) -> None:
        _require_choices("generator", self)
        _require(self.depth >= 1, f"generator.depth must be at least 1, not {self.depth}.")
        _require(self.filters >= 1, f"generator.filters must be at least 1, not {self.filters}.")
        _require(self.kernel_size >= 1, "generator.kernel_size must be at least 1.")
        _require(0 <= self.dropout < 1, f"generator.dropout must be in [0, 1), not {self.dropout}.")
        self.skip_levels()

    def skip_levels(self) -> tuple[int, ...]:
        """Returns the levels with a skip connection, 1 (finest) to depth - 1 (coarsest)."""
        levels = tuple(range(1, self.depth))
        named = {
            "all": levels,
            "none": (),
            "innermost": levels[-1:],
            "outermost": levels[:1],
        }
        chosen = self.skip_connections
        if isinstance(chosen, str):
            if chosen not in named:
                raise ConfigError(
                    f"Unknown generator.skip_connections {chosen!r}: {nearest(chosen, named)}"
                )
            return named[chosen]
        if not set(chosen) <= set(levels):
            raise ConfigError(
                f"generator.skip_connections {chosen} names a level that a depth of {self.depth} "
                f"does not have: levels go from 1 to {self.depth - 1}."
            )
        return tuple(sorted(set(chosen)))


@dataclasses.dataclass(frozen=True)
class DiscriminatorConfig:
    """The PatchGAN of report section 3.2, and what section 4.2.1 varies in it.

    Attributes:
        kind: `"patch"` (one logit a patch) or `"cnn"` (a standard CNN, one logit an image).
        depth: number of stride-2 convolutions (Figure 2: 3). 0 is the 1x1 "PixelGAN" of
            Isola et al. 2017; log2(image size) sees the whole image in one logit.
        filters: channels of the first convolution; each next doubles them (Figure 2: 64).
        max_filters: where the doubling ends (Figure 2 and Isola et al. 2017: 512).
        kernel_size: side of every kernel (Figure 2: 4); 1 where the depth is 0.
        normalization: as in the generator (Figure 2: `"batch"`).
        dropout: rate after each activation (Figure 2: none).
        negative_slope: of the leaky ReLU (Figure 2: 0.2).
        conditional: judge the colours beside the lightness (Figure 2); else the colours alone.
    """

    kind: Literal["patch", "cnn"] = "patch"
    depth: int = 3
    filters: int = 64
    max_filters: int = 512
    kernel_size: int = 4
    normalization: Literal["batch", "instance", "group", "none"] = "batch"
    dropout: float = 0.0
    negative_slope: float = 0.2
    conditional: bool = True

    def __post_init__(self) -> None:
        _require_choices("discriminator", self)
        _require(self.depth >= 0, f"discriminator.depth must not be negative: {self.depth}.")
        _require(
            self.depth >= 1 or self.kind == "patch",
            "A discriminator of kind 'cnn' needs a discriminator.depth of at least 1.",
        )
        _require(self.filters >= 1, "discriminator.filters must be at least 1.")
        _require(self.max_filters >= self.filters, "discriminator.max_filters is below filters.")
        _require(self.kernel_size >= 1, "discriminator.kernel_size must be at least 1.")
        _require(0 <= self.dropout < 1, "discriminator.dropout must be in [0, 1).")


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How it is learned. Sources: the report's section 3.3 and its authors' published code.

    Attributes:
        steps: optimizer steps (report: 650 epochs of 773 steps; its text says 50,000).
        batch_size: the global batch, over all replicas (report: 64).
        generator_learning_rate: Adam (report: 2e-4).
        discriminator_learning_rate: Adam (report: 2.5e-5).
        beta_1: of both optimizers (report: 0.5).
        l1_weight: of the mean absolute chroma error beside the adversarial loss (report: 100).
        adversarial_weight: 1 in the report; 0 trains with L1 alone.
        real_label: the discriminator's target for real patches (report: 0.9).
        learning_rate_schedule: `"constant"` (report), `"linear"` or `"cosine"`, both to zero.
        warmup_steps: linear warm-up of both learning rates (report: 0).
        weight_decay: decoupled, on both networks' kernels (report: 0).
        clip_norm: largest global gradient norm of each network; 0 is off (report).
        ema_momentum: of an exponential moving average of the generator's weights, which is
            then what is exported; 0 is off (report).
        precision: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"` (loss scaling on).
        fused_batch_norm: use TensorFlow's fused batch normalization in training. Same
            mathematics as Keras's own, 3.7 times as fast on a CPU.
        matmul_gradients: take the filter gradients of small maps as matrix products where
            that is faster, which is in bfloat16 on a CPU; without effect elsewhere.
        synchronized_batch_norm: share batch statistics between replicas.
        xla: compile the forward and backward pass (slower for convolutions on a CPU).
        deterministic: ask TensorFlow for bit-for-bit reproducible operations.
        seed: of the initial weights, the shuffling, the flips and the dropout.
        log_every: steps between two rows of `history.csv`; also the steps run per call of
            the training function.
        checkpoint_every: steps between two checkpoints.
        keep_checkpoints: how many of the newest checkpoints stay.
        sample_every: steps between two grids of sample images; 0 is off.
    """

    steps: int = 502_450
    batch_size: int = 64
    generator_learning_rate: float = 2e-4
    discriminator_learning_rate: float = 2.5e-5
    beta_1: float = 0.5
    l1_weight: float = 100.0
    adversarial_weight: float = 1.0
    real_label: float = 0.9
    learning_rate_schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: int = 0
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    ema_momentum: float = 0.0
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    fused_batch_norm: bool = True
    matmul_gradients: bool = True
    synchronized_batch_norm: bool = False
    xla: bool = False
    deterministic: bool = False
    seed: int = 0
    log_every: int = 10
    checkpoint_every: int = 1_000
    keep_checkpoints: int = 3
    sample_every: int = 1_000

    def __post_init__(self) -> None:
        _require_choices("training", self)
        for name in ("steps", "batch_size", "log_every", "checkpoint_every", "keep_checkpoints"):
            _require(getattr(self, name) >= 1, f"training.{name} must be at least 1.")
        for name in (
            "generator_learning_rate",
            "discriminator_learning_rate",
            "l1_weight",
            "adversarial_weight",
            "warmup_steps",
            "weight_decay",
            "clip_norm",
            "sample_every",
            "seed",
        ):
            _require(getattr(self, name) >= 0, f"training.{name} must not be negative.")
        for name in ("beta_1", "ema_momentum"):
            _require(0 <= getattr(self, name) < 1, f"training.{name} must be in [0, 1).")
        _require(0 < self.real_label <= 1, "training.real_label must be in (0, 1].")
        _require(
            self.l1_weight > 0 or self.adversarial_weight > 0,
            "training.l1_weight and training.adversarial_weight are both 0: nothing is learned.",
        )


@dataclasses.dataclass(frozen=True)
class Config:
    """A complete run: data, the two networks, training.

    >>> Config.report().override("training.batch_size=128").training.batch_size
    128
    """

    data: DataConfig = DataConfig()
    generator: GeneratorConfig = GeneratorConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    training: TrainingConfig = TrainingConfig()

    def __post_init__(self) -> None:
        size, depth = self.data.image_size, self.generator.depth
        _require(
            size % 2**depth == 0,
            f"A generator of depth {depth} halves an image {depth} times: data.image_size must be "
            f"a multiple of {2**depth}, not {size}.",
        )
        deepest = (size & -size).bit_length() - 1  # how often the size can be halved
        _require(
            self.discriminator.depth <= deepest,
            f"discriminator.depth {self.discriminator.depth} is too deep for images of {size} "
            f"pixels: at most {deepest}.",
        )

    @classmethod
    def report(cls) -> Config:
        """The report to the letter: Figures 1 and 2, its losses, optimizers and batch."""
        return cls()

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
        return {"report": cls.report, "fast": cls.fast}

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
                **{f: _parse(f"{section}.{f}", v, hints[f]) for f, v in fields.items()}
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
        _require(isinstance(values, dict), "The configuration is not a JSON object.")
        return cls.from_dict(values)


_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def _parse(name: str, value: Any, hint: Any) -> Any:
    """Returns `value`, text from a command line or a JSON value, as the annotated type."""
    wrong = ConfigError(f"{name}={value!r} is not valid: ")
    origin = typing.get_origin(hint)
    if origin is Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            wrong.args = (wrong.args[0] + nearest(str(value), choices),)
            raise wrong
        return value
    if origin in (typing.Union, types.UnionType):  # generator.skip_connections
        if isinstance(value, str) and value[:1] not in "([0123456789":
            return value
        try:
            levels = ast.literal_eval(value) if isinstance(value, str) else value
            if not isinstance(levels, int | list | tuple):
                raise TypeError
            levels = (levels,) if isinstance(levels, int) else tuple(int(i) for i in levels)
        except (ValueError, SyntaxError, TypeError):
            wrong.args = (wrong.args[0] + "give a name or levels such as (1,2).",)
            raise wrong from None
        return levels
    try:
        if hint is bool:
            return value if isinstance(value, bool) else _BOOLEANS[str(value).lower()]
        if hint is int:
            number = float(str(value).replace("_", ""))
            if number != int(number):
                raise ValueError
            return int(number)
        if hint is float:
            number = float(value)
            if not math.isfinite(number):
                raise ValueError
            return number
        if not isinstance(value, str):
            raise ValueError
        return value
    except (ValueError, KeyError, TypeError, OverflowError):
        kind = {bool: "true or false", int: "a whole number", float: "a finite number"}
        wrong.args = (wrong.args[0] + f"give {kind.get(hint, 'text')}.",)
        raise wrong from None
