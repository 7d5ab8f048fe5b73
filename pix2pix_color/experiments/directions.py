"""The studies of what report section 5.3 lists as future work and tries none of, as data.

Two kinds. `faithful` trains a residual generator from random weights without a discriminator:
what makes colors right. It starts where the preset `stable` did, before what these and its long
runs had taught was in it: a guide, and shifted images in the place of dropout. `lively` goes on
from the shipped model `stable` against a discriminator: what makes them believable. Its published
runs went on from the `stable` of commit 2c4e2d5, which the other classifier guided; run anew, they
go on from the present one. Each variant is one change to the first. This module imports nothing
heavy.
"""

from __future__ import annotations

from ..config import Config
from .study import REPORT, Study, Variant

__all__ = ["DIRECTIONS"]

# The runner sets the length of a run, and its logs.
_RUNNERS = {"steps", "seed", "log_every", "checkpoint_every", "keep_checkpoints", "sample_every"}


def _as_changes(preset: Config) -> tuple[str, ...]:
    """Returns what a preset changes in the report's configuration."""
    report, changes = Config.report().to_dict(), []
    for section, fields in preset.to_dict().items():
        for name, value in fields.items():
            if value != report[section][name] and name not in _RUNNERS:
                changes.append(f"{section}.{name}={value}")
    return tuple(changes)


# A short run warms up for a tenth of it, cannot average over a thousand steps, and sees no image
# twice.
_SHORT = ("training.warmup_steps=40", "training.ema_momentum=0.99", "data.shift=0")
_UNTAUGHT = ("generator.guide=", "generator.self_ensemble=false", "generator.dropout=0.1")
_STABLE = (*_as_changes(Config.stable()), *_SHORT, *_UNTAUGHT)
# With a judge half as wide as the preset's: what it is compared with are cheap runs too. And with
# the guide of the `stable` that the published runs went on from.
_THEN = ("discriminator.filters=16", "generator.guide=classifier")
_VIVID = (*_as_changes(Config.vivid()), *_SHORT, *_THEN)


def _faithful(name: str, *changes: str) -> Variant:
    return Variant(name, (*_STABLE, *changes))


def _lively(name: str, *changes: str) -> Variant:
    return Variant(name, (*_VIVID, *changes))


DIRECTIONS = (
    Study(
        "faithful",
        "beyond",
        "What makes colors right",
        "5.3",
        "Perceptual losses, a rebalanced loss and a better generator are future work.",
        "From random weights and without a discriminator, what does each choice of the preset "
        "stable give, and what would another? Each against stable without its guide.",
        (
            REPORT,
            _faithful("stable, untaught"),
            _faithful(
                "the report's U-Net",
                *(
                    _unet := (
                        "generator.kind=unet",
                        "generator.depth=5",
                        "generator.filters=32",
                        "generator.max_filters=0",
                        "generator.kernel_size=4",
                        "generator.dropout=0",
                    )
                ),
            ),
            _faithful("L1 alone", "training.rgb_weight=0"),
            _faithful(
                "L2 alone",
                "training.rgb_weight=0",
                "training.l1_weight=0",
                "training.l2_weight=100",
            ),
            _faithful("with perceptual loss", "training.perceptual_weight=1"),
            _faithful("rebalanced colors", "training.rgb_weight=0", "training.rebalance=0.5"),
            _faithful(
                "distribution of colors",
                "data.color_space=distribution",
                "training.distribution_weight=1",
                "training.rgb_weight=0",
                "training.l1_weight=0",
            ),
            _faithful(
                "distribution, rebalanced",
                "data.color_space=distribution",
                "training.distribution_weight=1",
                "training.rgb_weight=0",
                "training.l1_weight=0",
                "training.rebalance=0.5",
            ),
            _faithful("no dropout", "generator.dropout=0"),
            _faithful("guided by the classifier", "generator.guide=classifier"),
            _faithful("guided by one that knows gray", "generator.guide=gray_classifier"),
            _faithful("a twentieth photographs", "data.dataset=cifar10=0.95,photographs=0.05"),
            _faithful("attention at 8x8", "generator.attention_level=2"),
            _faithful("style modulation", "generator.modulation=true"),
            _faithful("no moving average", "training.ema_momentum=0"),
        ),
    ),
    Study(
        "lively",
        "beyond",
        "What makes colors believable",
        "5.3",
        "Transfer learning, other adversarial and feature losses are future work.",
        "From the model stable on and against a discriminator, what does each choice of the "
        "preset vivid give, and what would another?",
        (
            REPORT,
            _lively("vivid, shortened"),
            _lively("from random weights", "training.initial_generator="),
            _lively("cross-entropy", "training.adversarial_loss=cross_entropy"),
            _lively("relativistic", "training.adversarial_loss=relativistic"),
            _lively("no feature matching", "training.feature_matching_weight=0"),
            _lively("with perceptual loss", "training.perceptual_weight=1"),
            _lively(
                "perceptual, another judge",
                "training.perceptual_weight=30",
                "training.perceptual_network=gray_classifier",
            ),
            _lively("batch normalization", "discriminator.normalization=batch"),
            _lively("R1", "training.r1_weight=1"),
            _lively("augmentation", "training.augmentation=true"),
            _lively("equal rates", "training.discriminator_learning_rate=2e-4"),
            _lively("twice as wide", "discriminator.filters=32"),
            _lively("four times as wide", "discriminator.filters=64"),
            _lively("L1 weight 5", "training.l1_weight=5"),
        ),
    ),
)
"""The studies of section 5.3."""
