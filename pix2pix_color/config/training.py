"""How it is learned."""

from __future__ import annotations

import dataclasses
from typing import Literal

from .checks import require, require_choices

__all__ = ["TrainingConfig"]


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How it is learned. Sources: the report's section 3.3 and its authors' published code.

    What the report does not have is off by default.

    Attributes:
        steps: optimizer steps (report: 650 epochs of 773 steps; its text says 50,000).
        batch_size: the global batch, over all replicas (report: 64).
        generator_learning_rate: Adam (report: 2e-4).
        discriminator_learning_rate: Adam (report: 2.5e-5).
        beta_1: of both optimizers (report: 0.5).
        initial_generator: what the generator starts from instead of random weights: a run
            folder, a `.keras` file, or the name of a shipped model; of the same shape.
        l1_weight: of the mean absolute chroma error beside the adversarial loss (report: 100).
        l2_weight: of the mean squared chroma error.
        rgb_weight: of the logarithm of each image's mean squared error in RGB, clipped as it is
            scored: their mean is the mean PSNR, 4.34 dB a unit.
        perceptual_weight: of the squared differences of a classifier's features (Johnson et al.
            2016). VGG16's are not normalized and much larger than the classifiers': begin with
            0.006 there, not with 1 (Ledig et al. 2017, who thereby bring the squared differences
            of such features to the scale of those of pixels).
        perceptual_network: whose features. `"classifier"` is the shipped one that also scores
            semantic accuracy and fcd: a model trained with it was taught to that test, as its
            card says. The others leave the scores clean: `"gray_classifier"`, shipped too;
            another by the path of a folder that `pix2pix-color train-classifier --output` made;
            `"vgg16"`, of images of at least 32 pixels, which learned ImageNet and is downloaded
            on the first use.
        distribution_weight: of the cross-entropy of a predicted distribution of colors with the
            bin of the true one (Zhang et al. 2016); needs `data.color_space=distribution`.
        rebalance: 0 to 1, how much L1, L2 and the distribution count pixels of rare real colors
            above those of common ones (Zhang et al. 2016: 1 - lambda; they use 0.5). The shares
            of the colors are counted once, in the training images.
        adversarial_weight: 1 in the report; 0 trains without a discriminator.
        adversarial_loss: `"cross_entropy"` (report), `"hinge"` (Lim and Ye 2017) or
            `"relativistic"`, real patches against the fake ones of the same image
            (Jolicoeur-Martineau 2018).
        adversarial_from: the step at which the discriminator starts to learn and to count;
            before it there is none, nor its cost.
        real_label: the discriminator's target for real patches (report: 0.9), of the
            cross-entropy alone.
        feature_matching_weight: of the differences between the discriminator's features of real
            and of fake images, for the generator (Wang et al. 2018: 10).
        r1_weight: of half the squared gradient of the discriminator at real images, which
            holds it back (Mescheder et al. 2018).
        r1_every: steps between two such, which then count as many times (Karras et al. 2020: 16).
        augmentation: shift, and blank a square of, what the discriminator sees, real and fake
            alike (Zhao et al. 2020, of theirs those that leave colors alone).
        learning_rate_schedule: `"constant"` (report), `"linear"` or `"cosine"`, both to zero.
        warmup_steps: linear warm-up of both learning rates (report: 0).
        weight_decay: decoupled, on both networks' kernels (report: 0).
        clip_norm: largest global gradient norm of each network; 0 is off (report).
        ema_momentum: of an exponential moving average of the generator's weights, which is
            then what is exported; 0 is off (report).
        precision: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"` (loss scaling on). Which of
            the first two is faster on a CPU differs from one to the next.
        fused_batch_norm: use TensorFlow's fused batch normalization in training. Same
            mathematics as Keras's own, 3.7 times as fast on a CPU.
        matmul_gradients: take the filter gradients of small maps as matrix products where
            that is faster, which is in bfloat16 on a CPU; without effect elsewhere.
        synchronized_batch_norm: share batch statistics between replicas.
        xla: compile the forward and backward pass (slower for convolutions on a CPU).
        deterministic: ask TensorFlow for bit-for-bit reproducible operations.
        seed: of the initial weights, the shuffling, the flips, the shifts and the dropout.
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
    initial_generator: str = ""
    l1_weight: float = 100.0
    l2_weight: float = 0.0
    rgb_weight: float = 0.0
    perceptual_weight: float = 0.0
    perceptual_network: str = "classifier"
    distribution_weight: float = 0.0
    rebalance: float = 0.0
    adversarial_weight: float = 1.0
    adversarial_loss: Literal["cross_entropy", "hinge", "relativistic"] = "cross_entropy"
    adversarial_from: int = 0
    real_label: float = 0.9
    feature_matching_weight: float = 0.0
    r1_weight: float = 0.0
    r1_every: int = 16
    augmentation: bool = False
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
        require_choices("training", self)
        for name in (*_POSITIVE, "r1_every"):
            require(getattr(self, name) >= 1, f"training.{name} must be at least 1.")
        for name in (*_NOT_NEGATIVE, *_LOSSES, *_OF_THE_DISCRIMINATOR):
            require(getattr(self, name) >= 0, f"training.{name} must not be negative.")
        for name in ("beta_1", "ema_momentum"):
            require(0 <= getattr(self, name) < 1, f"training.{name} must be in [0, 1).")
        require(0 < self.real_label <= 1, "training.real_label must be in (0, 1].")
        require(0 <= self.rebalance <= 1, "training.rebalance must be in [0, 1].")
        require(
            any(getattr(self, name) for name in _LOSSES),
            f"training.{' and training.'.join(_LOSSES)} are all 0: nothing is learned.",
        )
        for name in _OF_THE_DISCRIMINATOR:
            require(
                self.adversarial_weight > 0 or not getattr(self, name),
                f"training.{name} needs training.adversarial_weight above 0: without it there is "
                "no discriminator.",
            )
        require(
            self.perceptual_weight > 0 or self.perceptual_network == "classifier",
            "training.perceptual_network needs training.perceptual_weight above 0: without it no "
            "features are compared.",
        )
        others = (name for name in _LOSSES if name != "adversarial_weight")
        require(
            self.adversarial_from == 0 or any(getattr(self, name) for name in others),
            "training.adversarial_from leaves nothing to learn before it: set a weight of a loss "
            "that needs no discriminator.",
        )


_POSITIVE = ("steps", "batch_size", "log_every", "checkpoint_every", "keep_checkpoints")
_NOT_NEGATIVE = (
    "generator_learning_rate",
    "discriminator_learning_rate",
    "warmup_steps",
    "weight_decay",
    "clip_norm",
    "sample_every",
    "seed",
)
_LOSSES = (
    "l1_weight",
    "adversarial_weight",
    "l2_weight",
    "rgb_weight",
    "perceptual_weight",
    "distribution_weight",
)
_OF_THE_DISCRIMINATOR = ("adversarial_from", "feature_matching_weight", "r1_weight", "augmentation")
