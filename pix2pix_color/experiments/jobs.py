"""The runs that a set of studies needs, each once, however many studies share it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ..config import Config
from ..errors import ClassifierError, ConfigError, StudyError
from .cost import flops_per_image
from .study import REPORT, UNCOUNTED, Study, Variant, config_hash

__all__ = ["Job", "make_job", "plan"]

_ROWS = 100  # in a run's history; signals are checked as often


@dataclasses.dataclass(frozen=True)
class Job:
    """One run: a variant with a seed.

    Attributes:
        study, variant, changes: where it comes from; for a shared run, the first study.
        seed: of the run.
        config: complete, with the number of steps that uses up the budget.
        budget: images seen, as the study states it.
        images: images seen by this run.
        split: the images that score it: `"test"`, or the held-out part of the train split.
    """

    study: str
    variant: str
    changes: tuple[str, ...]
    seed: int
    config: Config
    budget: int
    images: int
    split: str = "test"

    @property
    def config_hash(self) -> str:
        """Identifies the configuration, whatever its seed, length and logging."""
        return config_hash(self.config)

    @property
    def key(self) -> tuple:
        """The same for the same run in any study, as `table.KEY`."""
        return self.config_hash, self.seed, self.images, self.split

    @property
    def run(self) -> str:
        """The name of its run folder."""
        prefix = "" if self.split == "test" else "search-"
        return f"{prefix}{self.config_hash}-seed{self.seed}-{self.images}"

    @property
    def tflop(self) -> float:
        """The operations of its training, in units of 10**12."""
        training = self.config.training
        return flops_per_image(self.config) * training.steps * training.batch_size / 1e12

    def __str__(self) -> str:
        return f"{self.study} / {self.variant}, seed {self.seed}"


def make_job(
    study: str,
    variant: Variant,
    seed: int,
    base: Config,
    budget: int,
    **options: Any,
) -> Job:
    """Returns the run of a variant with a seed.

    Raises:
        StudyError: A change is invalid or is the runner's to make, or the networks cannot be
            built.
    """
    where = f"Study {study}, variant {variant.name!r}"
    for change in variant.changes:
        section, _, name = change.partition("=")[0].strip().partition(".")
        if section == "training" and name in UNCOUNTED:
            raise StudyError(
                f"{where}: {section}.{name} is set by the runner and cannot be changed."
            )
    try:
        config = base.override(*variant.changes)
        images = budget
        if variant.equal == "flops":
            images = round(budget * flops_per_image(base) / flops_per_image(config))
        flops_per_image(config)  # builds the networks, and so finds those that cannot be built
        steps = max(1, images // config.training.batch_size)
        config = config.override(
            f"training.steps={steps}",
            f"training.seed={seed}",
            f"training.log_every={min(50, max(1, steps // _ROWS))}",
            f"training.checkpoint_every={max(1, steps // 10)}",
            "training.keep_checkpoints=2",
            "training.sample_every=0",
        )
    except (ClassifierError, ConfigError, ValueError) as error:
        raise StudyError(f"{where}: {error}") from error
    return Job(study, variant.name, variant.changes, seed, config, budget, images, **options)


def plan(
    studies: Sequence[Study], base: Config, budget: int, seeds: Sequence[int] | None = None
) -> list[Job]:
    """Returns the runs of the studies, each once: all first seeds, then all second ones.

    If the runs are stopped early, every study still has its first comparison. Retired variants
    are left out.

    Args:
        studies: in the order in which to run them.
        base: what the variants change.
        budget: images seen by each variant.
        seeds: instead of each variant's own.

    Raises:
        StudyError: As in `make_job`, or two variants of a study have the same name.
    """
    jobs: dict[tuple, Job] = {}
    for study in studies:
        names = [variant.name for variant in study.variants]
        if len(set(names)) < len(names):
            raise StudyError(f"Study {study.name} has two variants of the same name.")
        # The baseline comes first: every other run is compared with it.
        variants = [variant for variant in study.variants if not variant.retired]
        for variant in sorted(variants, key=lambda variant: variant.name != REPORT.name):
            for seed in variant.seeds if seeds is None else seeds:
                job = make_job(study.name, variant, seed, base, budget)
                jobs.setdefault(job.key, job)
    return sorted(jobs.values(), key=lambda job: job.seed)
