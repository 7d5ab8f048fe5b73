"""The studies of report sections 4.2.1, 4.2.2 and 4.2.4, as data, and how all are found.

The report describes them and publishes neither code nor a number. Each study here is a list
of changes to one base configuration, the claim of the report that it tests, and the question
that it answers. This module imports nothing heavy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from ..config import Config, nearest
from ..errors import StudyError
from .directions import DIRECTIONS
from .study import BUDGET, FOLDER, IMAGES, REPORT, Study, Variant

__all__ = [
    "BUDGET",
    "FOLDER",
    "IMAGES",
    "REPORT",
    "SEARCH",
    "STUDIES",
    "Study",
    "Variant",
    "base_config",
    "find_studies",
    "find_variants",
]

_TWO = (0, 1)  # seeds, where a claim rests on the comparison
_NO_SKIPS = Variant("no skip connections", ("generator.skip_connections=none",), _TWO)
_NO_L1 = Variant("L1 weight 0", ("training.l1_weight=0",))
_CNN = Variant("standard CNN", ("discriminator.kind=cnn",))


def _rates(factor: float) -> tuple[str, str]:
    """Returns both of the report's learning rates times a factor, as changes."""
    training = Config.report().training
    return tuple(
        f"training.{name}={getattr(training, name) * factor:g}"
        for name in ("generator_learning_rate", "discriminator_learning_rate")
    )


def _batch(size: int, scaled: bool) -> Variant:
    """Returns a batch size, with both learning rates in proportion to it or not."""
    changes = (f"training.batch_size={size}",)
    if not scaled:
        return Variant(f"batch {size}", changes)
    factor = size / Config.report().training.batch_size
    return Variant(f"batch {size}, rates x{factor:g}", changes + _rates(factor))


STUDIES = (
    Study(
        "generator-depth",
        "generator",
        "How deep the U-Net is",
        "4.2.1",
        "A deeper U-Net with skip connections is a good balance between cost and the "
        "high-level semantics that color needs.",
        "Do more halvings, down to a single pixel at depth 5, give better colors?",
        (
            REPORT,
            *(Variant(f"depth {depth}", (f"generator.depth={depth}",)) for depth in (2, 3)),
            Variant("depth 4", ("generator.depth=4",), _TWO),
        ),
    ),
    Study(
        "generator-width",
        "generator",
        "How wide the U-Net is",
        "4.2.1",
        'The "layer density" was tuned (abstract), so 32 first channels should be a good choice.',
        "What do half and twice the channels change, at which cost?",
        (
            REPORT,
            Variant("width x0.5", ("generator.filters=16",)),
            Variant("width x2", ("generator.filters=64",)),
        ),
    ),
    Study(
        "skip-connections",
        "generator",
        "Which skip connections matter",
        "4.2.1",
        "Skip connections retain spatial information and lead to more accurate colors "
        "(sections 3.1 and 4.2.1).",
        "What is lost without them, and is it the fine or the coarse ones that matter?",
        (
            REPORT,
            _NO_SKIPS,
            Variant("innermost only", ("generator.skip_connections=innermost",)),
            Variant("outermost only", ("generator.skip_connections=outermost",)),
        ),
    ),
    Study(
        "resampling",
        "generator",
        "How the U-Net halves and doubles",
        "4.2.1",
        'Section 3.1 speaks of "pooling layers", Figure 1 shows strided convolutions.',
        "Does pooling help on the way down, or nearest resizing (against checkerboards) up?",
        (
            REPORT,
            Variant("max pooling down", ("generator.downsampling=pooling",)),
            Variant("nearest resize up", ("generator.upsampling=resize",)),
        ),
    ),
    Study(
        "generator-normalization",
        "generator",
        "Which normalization the U-Net has",
        "4.2.1",
        "Figure 1 has batch normalization; the report compares it with nothing.",
        "Is batch normalization better than instance, group or no normalization?",
        (
            REPORT,
            *(Variant(n, (f"generator.normalization={n}",)) for n in ("instance", "group", "none")),
        ),
    ),
    Study(
        "discriminator-patch",
        "discriminator",
        "Which patch the discriminator judges",
        "4.2.1",
        "The PatchGAN does better than standard CNNs at high-resolution details and realistic "
        "colors.",
        "From one pixel to the whole image, which makes the better generator? (On 32x32 pixels "
        "the report's own patch is already wider than the image.)",
        (
            REPORT,
            Variant("1x1 pixel", ("discriminator.depth=0",)),
            Variant("small patch", ("discriminator.depth=1",)),
            Variant("larger patch", ("discriminator.depth=4",)),
            Variant("whole image", ("discriminator.depth=5",)),
            _CNN,
        ),
    ),
    Study(
        "discriminator-width",
        "discriminator",
        "How wide the discriminator is",
        "4.2.1",
        'The "layer density" was tuned (abstract), so 64 first channels should be a good choice.',
        "Is a narrower or a wider discriminator better at an equal cost?",
        (
            REPORT,
            Variant("width x0.5, equal images", ("discriminator.filters=32",)),
            Variant("width x0.5, equal FLOPs", ("discriminator.filters=32",), equal="flops"),
            Variant(
                "width x2, equal FLOPs",
                ("discriminator.filters=128", "discriminator.max_filters=1024"),
                equal="flops",
            ),
        ),
    ),
    Study(
        "learning-rates",
        "hyperparameters",
        "Both learning rates and their ratio",
        "4.2.2",
        "The learning rates were found by an extensive manual search.",
        "Are the report's rates, and its eight times slower discriminator, a good choice?",
        (
            REPORT,
            Variant("both rates x0.25", _rates(0.25)),
            Variant("both rates x4", _rates(4)),
            Variant("discriminator x0.25", _rates(0.25)[1:]),
            Variant("discriminator x8 (equal rates)", _rates(8)[1:]),
        ),
    ),
    Study(
        "batch-size",
        "hyperparameters",
        "Batch size, with and without scaled learning rates",
        "4.2.2",
        "The batch size of 64 was found by an extensive manual search.",
        "How much does the batch matter at equal images, and do scaled rates make up for it?",
        (
            REPORT,
            *(_batch(size, scaled) for size in (16, 256, 640) for scaled in (False, True)),
        ),
    ),
    Study(
        "regularization",
        "hyperparameters",
        "Label smoothing, dropout, weight decay",
        "4.2.2",
        "The regularization parameters were found by an extensive manual search: real labels "
        "of 0.9, no dropout, no weight decay.",
        "Does any of these move the scores?",
        (
            REPORT,
            Variant("real labels of 1", ("training.real_label=1",)),
            Variant("dropout 0.5", ("generator.dropout=0.5",)),
            # Decay acts in proportion to rate and steps: less would do nothing in so few.
            Variant("weight decay 1", ("training.weight_decay=1",)),
        ),
    ),
    Study(
        "l1-weight",
        "hyperparameters",
        "How much L1 weighs beside the adversarial loss",
        "4.2.2",
        "The weight of 100 is Isola et al.'s; the report compares it with nothing.",
        "What do less and more L1 do to the scores and to the colors?",
        (
            REPORT,
            _NO_L1,
            Variant("L1 weight 10", ("training.l1_weight=10",)),
            Variant("L1 weight 1000", ("training.l1_weight=1000",)),
        ),
    ),
    Study(
        "ablations",
        "ablations",
        "What each component contributes",
        "4.2.4",
        "Components such as the U-Net and the PatchGAN were removed one by one and each was "
        "found to matter; the report gives no result.",
        "What changes when one component at a time is taken away or modified?",
        (
            REPORT,
            Variant("no adversarial loss", ("training.adversarial_weight=0",), _TWO),
            _NO_L1,
            _NO_SKIPS,
            _CNN,
            Variant("unconditional discriminator", ("discriminator.conditional=false",)),
            Variant(
                "no batch normalization",
                ("generator.normalization=none", "discriminator.normalization=none"),
            ),
            Variant("gray images kept", ("data.drop_gray=false",)),
            Variant("L rescaled to [-1, 1]", ("data.lightness_scale=unit",)),
            Variant("RGB instead of Lab", ("data.color_space=rgb",)),
            Variant("mirrored images", ("data.flip=true",)),
        ),
    ),
)
"""The grid studies, in the report's order."""

SEARCH = Study(
    "search",
    "hyperparameters",
    "A search around the report's point",
    "4.2.2",
    "An extensive manual search found the best combination of hyperparameters.",
    "Does an automatic search of 16 trials find a better one?",
    (),
)
"""The hyperparameter search (`search.run_search`), listed with the studies."""


def base_config(dataset: str = "cifar10") -> Config:
    """Returns what every variant changes: the report, in bfloat16, without sample grids."""
    return Config.report().override(
        f"data.dataset={dataset}", "training.precision=mixed_bfloat16", "training.sample_every=0"
    )


def find_studies(names: Sequence[str]) -> tuple[Study, ...]:
    """Returns the studies of these names, of these groups, or of `"all"`, in order.

    Raises:
        StudyError: a name that is neither.
    """
    every = (*STUDIES, SEARCH, *DIRECTIONS)
    valid = {study.name for study in every} | {study.group for study in every} | {"all"}
    for name in names:
        if name not in valid:
            raise StudyError(f"Unknown study {name!r}: {nearest(name, valid)}")
    return tuple(s for s in every if {s.name, s.group, "all"} & set(names))


def find_variants(study: Study, names: Iterable[str]) -> Study:
    """Returns the study with only the variants of these names, and the baseline.

    Raises:
        StudyError: a name that the study does not have.
    """
    valid = [variant.name for variant in study.variants]
    for name in names:
        if name not in valid:
            raise StudyError(f"Study {study.name} has no variant {name!r}: {nearest(name, valid)}")
    chosen = tuple(v for v in study.variants if v.name in names or v.name == REPORT.name)
    return dataclasses.replace(study, variants=chosen)
