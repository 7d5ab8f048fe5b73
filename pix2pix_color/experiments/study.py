"""What a study is, and what identifies a configuration."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

from ..config import Config

__all__ = [
    "BUDGET",
    "FOLDER",
    "IMAGES",
    "REPORT",
    "SECTIONS",
    "Study",
    "Variant",
    "base_config",
    "changed_fields",
    "config_hash",
]

BUDGET = 25_600
"""Training images per variant: 400 of the report's steps, half an epoch of CIFAR-10."""
IMAGES = 2_000
"""Test images used for scoring: the first ones, the same for all runs."""
FOLDER = "runs/experiments"

# Fields of `training` that the runner sets; they do not distinguish two configurations.
_UNCOUNTED = ("steps", "seed", "log_every", "checkpoint_every", "keep_checkpoints", "sample_every")


def base_config(dataset: str = "cifar10") -> Config:
    """Returns the report's configuration in bfloat16, from which every study starts."""
    return Config.report().override(f"data.dataset={dataset}", "training.precision=mixed_bfloat16")


@dataclasses.dataclass(frozen=True)
class Variant:
    """One configuration of a study.

    Attributes:
        name: unique within its study.
        changes: to the study's base, as `Config.override` takes them. Steps, seed, logging and
            checkpoints are the runner's to set.
        seeds: one run for each.
        share: images seen, as a share of the study's budget. A network that costs less than the
            report's and sees more images can be equal in operations.
    """

    name: str
    changes: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    share: float = 1.0


REPORT = Variant("report", seeds=(0, 1))
"""The report's own configuration: the baseline of every study, trained once for each seed."""

SECTIONS = {
    "generator": "4.2.1",
    "discriminator": "4.2.1",
    "hyperparameters": "4.2.2",
    "ablations": "4.2.4",
    "awake": "4.2.1 and 4.2.4",
    "beyond": "5.3",
}
"""The groups of studies, and their sections in the report."""


@dataclasses.dataclass(frozen=True)
class Study:
    """Variants that together answer one question.

    Attributes:
        name: as on the command line.
        group: one of `SECTIONS`.
        title: a heading.
        claim: what the report says: in quotation marks its own words, otherwise a paraphrase.
        question: what the study asks.
        variants: what is compared with `REPORT`.
        budget: images seen by each variant.
        base: what the variants change.
    """

    name: str
    group: str
    title: str
    claim: str
    question: str
    variants: tuple[Variant, ...]
    budget: int = BUDGET
    base: Config = dataclasses.field(default_factory=base_config)

    def config(self, variant: Variant) -> Config:
        """Returns the configuration of a variant, without what the runner sets.

        Raises:
            ConfigError: A change is invalid.
        """
        return self.base.override(*variant.changes)


def changed_fields(config: Config) -> dict[str, Any]:
    """Returns the fields that differ from the report's, such as `"generator.depth"`.

    What the runner sets itself is left out.
    """
    report = Config.report().to_dict()
    return {
        f"{section}.{name}": value
        for section, fields in config.to_dict().items()
        for name, value in fields.items()
        if name not in _UNCOUNTED and value != report[section][name]
    }


def config_hash(config: Config) -> str:
    """Returns 12 hexadecimal digits that identify what is learned and how.

    Seed and length do not count. Only differences from the report do, so that a new option whose
    default is the report's value leaves every hash unchanged.
    """
    text = json.dumps(changed_fields(config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
