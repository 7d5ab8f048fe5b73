"""What a study is, the configuration that all of them start from, and what identifies a run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any, Literal

from ..config import Config

__all__ = [
    "BUDGET",
    "FOLDER",
    "IMAGES",
    "LAST_COMMIT",
    "REPORT",
    "UNCOUNTED",
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
LAST_COMMIT = "a411f1d"
"""The last commit of this repository that has the options of the retired variants."""

UNCOUNTED = ("steps", "seed", "log_every", "checkpoint_every", "keep_checkpoints", "sample_every")
"""Fields of `training` that the runner sets; they do not distinguish two configurations."""


@dataclasses.dataclass(frozen=True)
class Variant:
    """One point of a study.

    Attributes:
        name: unique within its study.
        changes: to the base configuration, as `Config.override` takes them.
        seeds: one run for each.
        equal: what it shares with the baseline: the `"images"` seen or the `"flops"` spent,
            so that a cheaper network sees more images.
        retired: the configuration hash of published runs that used an option which the package
            no longer has. Their rows are shown; only `LAST_COMMIT` can run them again.
    """

    name: str
    changes: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    equal: Literal["images", "flops"] = "images"
    retired: str = ""


@dataclasses.dataclass(frozen=True)
class Study:
    """Variants that together answer one question.

    Attributes:
        name: as on the command line.
        group: names several studies at once.
        title: a heading.
        section: of the report.
        claim: what the report says: in quotation marks its own words, otherwise a paraphrase.
        question: what the study asks.
        variants: the baseline `REPORT` and what is compared with it.
    """

    name: str
    group: str
    title: str
    section: str
    claim: str
    question: str
    variants: tuple[Variant, ...]


REPORT = Variant("report", seeds=(0, 1))
"""The report's own configuration: the baseline of every study, trained once for each seed."""


def base_config(dataset: str = "cifar10") -> Config:
    """Returns the configuration that every variant changes.

    It is the report's, trained in bfloat16 and without sample grids.
    """
    return Config.report().override(
        f"data.dataset={dataset}", "training.precision=mixed_bfloat16", "training.sample_every=0"
    )


def changed_fields(config: Config) -> dict[str, Any]:
    """Returns the fields that differ from the report's, such as `"generator.depth"`.

    What the runner sets itself (`UNCOUNTED`) is left out.
    """
    report = Config.report().to_dict()
    return {
        f"{section}.{name}": value
        for section, fields in config.to_dict().items()
        for name, value in fields.items()
        if name not in UNCOUNTED and value != report[section][name]
    }


def config_hash(config: Config) -> str:
    """Returns 12 hexadecimal digits that identify what is learned and how.

    Seed and length do not count. Only differences from the report do, so that a new option whose
    default is the report's value leaves every hash unchanged.
    """
    text = json.dumps(changed_fields(config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
