"""The runs that a set of studies needs, each once, however many studies share it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ..config import Config
from ..errors import Pix2PixColorError, StudyError
from .cost import flops_per_image
from .study import REPORT, Study, Variant, config_hash

__all__ = ["Job", "plan"]

_ROWS = 100  # at least, in a run's history; signals are checked as often


@dataclasses.dataclass(frozen=True)
class Job:
    """One run: a variant of a study with a seed.

    Attributes:
        study, variant: for a shared run, of the first study.
        seed: of the run.
        images: images seen.
        config: complete.
    """

    study: Study
    variant: Variant
    seed: int
    images: int
    config: Config

    @property
    def run(self) -> str:
        """The name of its run folder, the same for the same run in any study."""
        return f"{config_hash(self.config)}-seed{self.seed}-{self.images}"

    def __str__(self) -> str:
        return f"{self.study.name} / {self.variant.name}, seed {self.seed}"


def _make_job(study: Study, variant: Variant, seed: int) -> Job:
    images = round(study.budget * variant.share)
    try:
        config = study.config(variant)
        flops_per_image(config)  # finds networks that cannot be built
        steps = max(1, images // config.training.batch_size)
        config = config.override(
            f"training.steps={steps}",
            f"training.seed={seed}",
            f"training.log_every={min(50, max(1, steps // _ROWS))}",
            f"training.checkpoint_every={max(1, steps // 10)}",
            "training.keep_checkpoints=2",
            "training.sample_every=0",
        )
    except (Pix2PixColorError, ValueError) as error:
        raise StudyError(f"Study {study.name}, variant {variant.name!r}: {error}") from error
    return Job(study, variant, seed, images, config)


def plan(studies: Sequence[Study]) -> list[Job]:
    """Returns the runs of the studies, each once: all first seeds, then all second ones.

    If the runs are stopped early, every study still has its first comparison.

    Raises:
        StudyError: A change is invalid, or the networks cannot be built.
    """
    jobs: dict[str, Job] = {}
    for study in studies:
        for variant in (REPORT, *study.variants):
            for seed in variant.seeds:
                job = _make_job(study, variant, seed)
                jobs.setdefault(job.run, job)
    return sorted(jobs.values(), key=lambda job: job.seed)
