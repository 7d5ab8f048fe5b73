"""What a study is, and what all of them share."""

from __future__ import annotations

import dataclasses
from typing import Literal

__all__ = ["BUDGET", "FOLDER", "IMAGES", "REPORT", "Study", "Variant"]

BUDGET = 25_600
"""Images seen by each variant: 400 of the report's steps, half an epoch of CIFAR-10."""
IMAGES = 2_000
"""Test images that score a run: the first ones, the same for all."""
FOLDER = "runs/experiments"


@dataclasses.dataclass(frozen=True)
class Variant:
    """One point of a study.

    Attributes:
        name: unique in its study.
        changes: to the base configuration, as `Config.override` takes them.
        seeds: one run each.
        equal: what it shares with the base: the `"images"` seen, or the `"flops"` spent,
            so that a cheaper network sees more images.
    """

    name: str
    changes: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    equal: Literal["images", "flops"] = "images"


@dataclasses.dataclass(frozen=True)
class Study:
    """Variants that together answer one question.

    Attributes:
        name: as on the command line.
        group: several studies that can be named at once.
        title: a heading.
        section: of the report.
        claim: what the report says or implies.
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
"""The report's own configuration: the baseline of every study, trained once a seed."""
