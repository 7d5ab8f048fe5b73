"""The studies of report sections 4.2.1, 4.2.2, 4.2.4 and 5.3, as data, and how they are found.

The report describes experiments but publishes neither code nor numbers, and lists future
directions. Each study here lists changes to one base configuration, the claim of the report that
it tests, and the question that it answers. This module imports neither NumPy nor TensorFlow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ..config import Config, nearest
from ..errors import StudyError
from .study import Study, Variant, changed_fields

__all__ = ["DIRECTIONS", "STUDIES", "find_studies"]

_TWO = (0, 1)  # seeds of the variants on which a claim rests
_NO_SKIPS = Variant("no skip connections", ("generator.skip_connections=none",), _TWO)
_NO_L1 = Variant("L1 weight 0", ("training.l1_weight=0",))
_CNN = Variant("standard CNN", ("discriminator.kind=cnn",))
_SMALL_PATCH = Variant("small patch", ("discriminator.depth=1",))
_NO_ADVERSARY = Variant("no adversarial loss", ("training.adversarial_weight=0",), _TWO)
_RESCALED = Variant("L rescaled to [-1, 1]", ("data.lightness_scale=unit",))


def _rates(factor: float) -> tuple[str, str]:
    """Returns changes that multiply both of the report's learning rates by a factor."""
    training = Config.report().training
    return tuple(
        f"training.{name}={getattr(training, name) * factor:g}"
        for name in ("generator_learning_rate", "discriminator_learning_rate")
    )


STUDIES = (
    Study(
        "generator-depth",
        "generator",
        "How deep the U-Net is",
        '"We found that a deeper U-Net architecture with skip connections provided a good balance'
        " between computational efficiency and the ability to capture high-level semantic "
        'information required for colorization."',
        "Do more downsampling steps, down to a single pixel at depth 5, improve the colors?",
        (
            *(Variant(f"depth {depth}", (f"generator.depth={depth}",)) for depth in (2, 3)),
            Variant("depth 4", ("generator.depth=4",), _TWO),
        ),
    ),
    Study(
        "generator-width",
        "generator",
        "How wide the U-Net is",
        'The report tuned "batch size, learning rates, layer density, and depth" (abstract); the '
        "first layer of its U-Net has 32 filters.",
        "What do half and twice as many filters change, and at what cost?",
        (
            Variant("width x0.5", ("generator.filters=16",)),
            Variant("width x2", ("generator.filters=64",)),
        ),
    ),
    Study(
        "skip-connections",
        "generator",
        "Which skip connections matter",
        '"These skip connections help retain spatial information, leading to more accurate '
        'colorization" (section 3.1).',
        "What is lost without them, and do the fine or the coarse ones matter?",
        (
            _NO_SKIPS,
            Variant("innermost only", ("generator.skip_connections=innermost",)),
            Variant("outermost only", ("generator.skip_connections=outermost",)),
        ),
    ),
    Study(
        "resampling",
        "generator",
        "How the U-Net downsamples and upsamples",
        'In the text "the encoder path contains multiple convolution and pooling layers" (section'
        " 3.1), but Figure 1 shows strided convolutions.",
        "Does pooling help when downsampling, or nearest-neighbor resizing (against checkerboard "
        "artifacts) when upsampling?",
        (
            Variant("max pooling down", ("generator.downsampling=pooling",)),
            Variant("nearest resize up", ("generator.upsampling=resize",)),
        ),
    ),
    Study(
        "generator-normalization",
        "generator",
        "Which normalization the U-Net uses",
        "Figure 1 shows batch normalization; the report compares it with no alternative.",
        "Is batch normalization better than instance, group or no normalization?",
        (*(Variant(n, (f"generator.normalization={n}",)) for n in ("instance", "group", "none")),),
    ),
    Study(
        "discriminator-patch",
        "discriminator",
        "Which patch size the discriminator classifies",
        'Compared with standard CNNs, the PatchGAN discriminator "performed better in terms of '
        "maintaining high-resolution details and encouraging the generator to produce realistic "
        'colorized images".',
        "Which patch, from one pixel to the whole image, trains the best generator? (On 32x32 "
        "images the receptive field of the report's own discriminator is already larger than the "
        "image.)",
        (
            Variant("1x1 pixel", ("discriminator.depth=0",)),
            _SMALL_PATCH,
            Variant("larger patch", ("discriminator.depth=4",)),
            Variant("whole image", ("discriminator.depth=5",)),
            _CNN,
        ),
    ),
    Study(
        "discriminator-width",
        "discriminator",
        "How wide the discriminator is",
        'The report tuned "batch size, learning rates, layer density, and depth" (abstract); the '
        "first layer of its discriminator has 64 filters.",
        "Is a narrower or a wider discriminator better at equal cost?",
        (
            Variant("width x0.5, equal images", ("discriminator.filters=32",)),
            Variant("width x0.5, equal FLOPs", ("discriminator.filters=32",), share=2.64621),
            Variant(
                "width x2, equal FLOPs",
                ("discriminator.filters=128", "discriminator.max_filters=1024"),
                share=0.28789,
            ),
        ),
    ),
    Study(
        "learning-rates",
        "hyperparameters",
        "Both learning rates and their ratio",
        'Learning rates were part of "an extensive search for optimal hyperparameters".',
        "Are the report's rates a good choice, with the discriminator's an eighth of the "
        "generator's?",
        (
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
        'Batch sizes were part of "an extensive search for optimal hyperparameters"; the report '
        "trains with 64.",
        "How much does the batch size matter for an equal number of images, and do scaled "
        "learning rates compensate for it?",
        (
            Variant("batch 16", ("training.batch_size=16",)),
            Variant("batch 16, rates x0.25", ("training.batch_size=16", *_rates(0.25))),
            Variant("batch 256", ("training.batch_size=256",)),
            Variant("batch 256, rates x4", ("training.batch_size=256", *_rates(4))),
            Variant("batch 640", ("training.batch_size=640",)),
            Variant("batch 640, rates x10", ("training.batch_size=640", *_rates(10))),
        ),
    ),
    Study(
        "regularization",
        "hyperparameters",
        "Label smoothing, dropout, weight decay",
        'Regularization parameters were part of "an extensive search for optimal '
        'hyperparameters"; the report trains with real labels of 0.9, without dropout and without'
        " weight decay.",
        "Does any of these change the scores?",
        (
            Variant("real labels of 1", ("training.real_label=1",)),
            Variant("dropout 0.5", ("generator.dropout=0.5",)),
            # Decay is proportional to learning rate and steps: less has no effect in so few steps.
            Variant("weight decay 1", ("training.weight_decay=1",)),
        ),
    ),
    Study(
        "l1-weight",
        "hyperparameters",
        "The weight of the L1 loss",
        "The weight of 100 is that of Isola et al. (2017); the report compares it with no other.",
        "How do a smaller and a larger weight change the scores and the colors?",
        (
            _NO_L1,
            Variant("L1 weight 10", ("training.l1_weight=10",)),
            Variant("L1 weight 1000", ("training.l1_weight=1000",)),
        ),
    ),
    Study(
        "ablations",
        "ablations",
        "What each component contributes",
        '"By systematically removing or modifying certain components, such as the U-Net generator'
        " and PatchGAN discriminator we were able to assess their impact on the overall model "
        'performance." The report gives no results.',
        "What changes when a single component is removed or modified?",
        (
            _NO_ADVERSARY,
            _NO_L1,
            _NO_SKIPS,
            _CNN,
            Variant("unconditional discriminator", ("discriminator.conditional=false",)),
            Variant(
                "no batch normalization",
                ("generator.normalization=none", "discriminator.normalization=none"),
            ),
            Variant("gray images kept", ("data.drop_gray=false",)),
            _RESCALED,
            Variant("RGB instead of Lab", ("data.color_space=rgb",)),
            Variant("mirrored images", ("data.flip=true",)),
        ),
    ),
    Study(
        "awake",
        "awake",
        "The main claims, with the discriminator awake",
        '"Our experiments indicated that the PatchGAN discriminator, which evaluates the generated '
        "image in local patches instead of the entire image, performed better in terms of "
        "maintaining high-resolution details and encouraging the generator to produce realistic "
        'colorized images."',
        "In the report's configuration the discriminator guesses for its first 3,000 steps, longer "
        "than all other studies. After 8,000 steps, do its kind, its patch, the adversarial loss, "
        "the skip connections and the scale of L matter?",
        (
            dataclasses.replace(_CNN, seeds=_TWO),
            dataclasses.replace(_SMALL_PATCH, seeds=_TWO),
            _NO_SKIPS,
            _NO_ADVERSARY,
            _RESCALED,
        ),
        budget=8_000 * 64,
    ),
)
"""The studies of section 4.2, in the report's order."""


def _as_changes(preset: Config) -> tuple[str, ...]:
    """Returns what a preset changes in the report's configuration, but for the precision."""
    changes = {k: v for k, v in changed_fields(preset).items() if k != "training.precision"}
    return tuple(f"{field}={value}" for field, value in changes.items())


# A short run warms up for a tenth of its steps, averages over fewer, and sees no image twice.
_SHORT = ("training.warmup_steps=40", "training.ema_momentum=0.99", "data.shift=0")
_UNGUIDED = ("generator.guide=", "generator.self_ensemble=false", "generator.dropout=0.1")
_STABLE = (*_as_changes(Config.stable()), *_SHORT, *_UNGUIDED)
# The discriminator is half as wide as the preset's, to be compared with runs that are cheap too,
# and the guide is that of the `stable` from which the published runs continued.
_AS_PUBLISHED = ("discriminator.filters=16", "generator.guide=classifier")
_VIVID = (*_as_changes(Config.vivid()), *_SHORT, *_AS_PUBLISHED)

_UNET = tuple(f"generator.{k}={v}" for k, v in Config.report().to_dict()["generator"].items())
_DISTRIBUTION = (
    "data.color_space=distribution",
    "training.distribution_weight=1",
    "training.rgb_weight=0",
    "training.l1_weight=0",
)


def _faithful(name: str, *changes: str) -> Variant:
    return Variant(name, (*_STABLE, *changes))


def _lively(name: str, *changes: str) -> Variant:
    return Variant(name, (*_VIVID, *changes))


DIRECTIONS = (
    Study(
        "faithful",
        "beyond",
        "What makes colors accurate",
        'Future directions are "perceptual loss or feature matching loss", "semantic information '
        'or color histograms", "CycleGAN or StyleGAN" and "a larger and more diverse data-set".',
        "Starting from random weights and without a discriminator, what does each choice in the "
        "preset stable contribute, and would another be better? The baseline is stable without "
        "its guide.",
        (
            _faithful("stable without guide"),
            _faithful("the report's U-Net", *_UNET),
            _faithful("L1 alone", "training.rgb_weight=0"),
            _faithful("perceptual loss", "training.perceptual_weight=1"),
            _faithful("rebalanced colors", "training.rgb_weight=0", "training.rebalance=0.5"),
            _faithful("color distribution", *_DISTRIBUTION),
            _faithful("color distribution, rebalanced", *_DISTRIBUTION, "training.rebalance=0.5"),
            _faithful("no dropout", "generator.dropout=0"),
            _faithful("guided by classifier", "generator.guide=classifier"),
            _faithful("guided by gray_classifier", "generator.guide=gray_classifier"),
            _faithful("5 % photographs", "data.dataset=cifar10=0.95,photographs=0.05"),
            _faithful("style modulation", "generator.modulation=true"),
            _faithful("no moving average", "training.ema_momentum=0"),
        ),
    ),
    Study(
        "lively",
        "beyond",
        "What makes colors believable",
        'Future directions are "perceptual loss or feature matching loss", other GANs, and '
        '"pre-trained models or weights from related tasks".',
        "Continuing from the model stable against a discriminator, what does each choice in the "
        "preset vivid contribute, and would another be better?",
        (
            _lively("vivid, shortened"),
            _lively("from random weights", "training.initial_generator="),
            _lively("cross-entropy", "training.adversarial_loss=cross_entropy"),
            _lively("no feature matching", "training.feature_matching_weight=0"),
            _lively("perceptual loss", "training.perceptual_weight=1"),
            _lively(
                "perceptual loss, gray_classifier",
                "training.perceptual_weight=30",
                "training.perceptual_network=gray_classifier",
            ),
            _lively("batch normalization", "discriminator.normalization=batch"),
            _lively("equal learning rates", "training.discriminator_learning_rate=2e-4"),
            _lively("twice as wide", "discriminator.filters=32"),
            _lively("four times as wide", "discriminator.filters=64"),
            _lively("L1 weight 5", "training.l1_weight=5"),
        ),
    ),
)
"""The studies of what section 5.3 lists as future directions.

`faithful` trains from random weights without a discriminator. Its baseline is the preset `stable`
before these studies and its long runs added a guide, flip test-time augmentation, and shifted
images instead of dropout. `lively` continues from the shipped model `stable`. Its published runs
continued from that of commit 2c4e2d5, which the evaluation classifier guided; a new run continues
from the present one.
"""


def find_studies(names: Sequence[str]) -> tuple[Study, ...]:
    """Returns the studies with these names or in these groups, in order; `"all"` names all.

    Raises:
        StudyError: A name is unknown.
    """
    every = (*STUDIES, *DIRECTIONS)
    valid = {study.name for study in every} | {study.group for study in every} | {"all"}
    for name in names:
        if name not in valid:
            raise StudyError(f"Unknown study {name!r}: {nearest(name, valid)}")
    return tuple(s for s in every if {s.name, s.group, "all"} & set(names))
