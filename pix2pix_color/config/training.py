"""Training hyperparameters."""

from __future__ import annotations

import dataclasses
from typing import Literal

from .checks import ALMOST_ONE, require, require_choices, require_ranges

__all__ = ["TrainingConfig"]


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How the networks are trained (report section 3.3 and its authors' published code).

    Everything that the report does not have is off by default.

    Attributes:
        steps: optimizer steps (report: 650 epochs of 773 steps; its text says 50,000).
        batch_size: the global batch size, over all replicas (report: 64).
        generator_learning_rate: of Adam (report: 2e-4).
        discriminator_learning_rate: of Adam (report: 2.5e-5).
        beta_1: of both optimizers (report: 0.5).
        initial_generator: a trained generator to start from instead of random weights: a run
            folder, an exported folder, or the name of a shipped model, with the same network.
        l1_weight: of the mean absolute chroma error (report: 100).
        adversarial_weight: of the adversarial loss (report: 1); 0 trains without a discriminator.
        adversarial_loss: `"cross_entropy"` (report) or `"hinge"` (Lim and Ye 2017).
        real_label: the discriminator's target for real patches (report: 0.9, one-sided label
            smoothing); used by the cross-entropy only.
        rgb_weight: of the logarithm of each image's mean squared error in RGB, after clipping.
            Its mean is the mean PSNR up to a factor: 4.34 dB per unit.
        feature_matching_weight: of the difference between the discriminator's features of real
            and generated images (Wang et al. 2018: 10).
        perceptual_weight: of the squared difference between a classifier's features of real and
            colorized images (Johnson et al. 2016).
        perceptual_network: that classifier: the shipped `"gray_classifier"` or `"classifier"`,
            or a folder written by `pix2pix-color train-classifier`. `"classifier"` also measures
            semantic accuracy and FCD, so a model trained with it has been taught to that test.
        distribution_weight: of the cross-entropy between a predicted color distribution and the
            true color bin (Zhang et al. 2016); needs `data.color_space=distribution`.
        rebalance: 0 to 1, how strongly L1 and the distribution loss weight pixels of rare colors
            (Zhang et al. 2016, 1 - lambda; they use 0.5). Color frequencies are counted once,
            in the training images.
        learning_rate_schedule: `"constant"` (report) or `"cosine"`, which decays to zero.
        warmup_steps: linear warm-up of both learning rates (report: 0).
        weight_decay: decoupled, on both networks' kernels (report: 0).
        ema_momentum: of an exponential moving average of the generator's weights, which is then
            what is exported; 0 is off (report).
        precision: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"` (with loss scaling). Which
            of the first two is faster on a CPU depends on the processor.
        synchronized_batch_norm: share batch statistics between replicas.
        xla: compile the forward and backward pass (slower for convolutions on a CPU).
        deterministic: ask TensorFlow for bitwise reproducible operations.
        seed: of the initial weights, the shuffling, the augmentation and the dropout.
        log_every: steps between two rows of `history.csv`, and steps per call of the training
            function.
        checkpoint_every: steps between two checkpoints.
        keep_checkpoints: number of most recent checkpoints to keep.
        sample_every: steps between two grids of sample images; 0 is off.
    """

    steps: int = 502_450
    batch_size: int = 64
    generator_learning_rate: float = 2e-4
    discriminator_learning_rate: float = 2.5e-5
    beta_1: float = 0.5
    initial_generator: str = ""
    l1_weight: float = 100.0
    adversarial_weight: float = 1.0
    adversarial_loss: Literal["cross_entropy", "hinge"] = "cross_entropy"
    real_label: float = 0.9
    rgb_weight: float = 0.0
    feature_matching_weight: float = 0.0
    perceptual_weight: float = 0.0
    perceptual_network: str = "classifier"
    distribution_weight: float = 0.0
    rebalance: float = 0.0
    learning_rate_schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = 0
    weight_decay: float = 0.0
    ema_momentum: float = 0.0
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
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
        require_ranges("training", self, _RANGES)
        require(
            any(getattr(self, name) for name in _LOSSES),
            f"training.{' and training.'.join(_LOSSES)} are all 0: there is nothing to learn.",
        )
        require(
            self.adversarial_weight > 0 or not self.feature_matching_weight,
            "training.feature_matching_weight needs training.adversarial_weight above 0: without "
            "it there is no discriminator.",
        )
        require(
            self.perceptual_weight > 0 or self.perceptual_network == "classifier",
            "training.perceptual_network needs training.perceptual_weight above 0: without it no "
            "features are compared.",
        )


_LOSSES = (
    "l1_weight",
    "adversarial_weight",
    "rgb_weight",
    "perceptual_weight",
    "distribution_weight",
)
_STEPS = 10**12  # 30 years of 1,000 a second
_RANGES = {
    "steps": (1, _STEPS),
    "batch_size": (1, 65_536),
    "generator_learning_rate": (0, 1e38),
    "discriminator_learning_rate": (0, 1e38),
    "beta_1": (0, ALMOST_ONE),
    **dict.fromkeys((*_LOSSES, "feature_matching_weight"), (0, 1e38)),
    "real_label": (1e-6, 1),
    "rebalance": (0, 1),
    "warmup_steps": (0, _STEPS),
    "weight_decay": (0, 1),
    "ema_momentum": (0, ALMOST_ONE),
    "seed": (0, 2**32 - 1),
    "log_every": (1, _STEPS),
    "checkpoint_every": (1, _STEPS),
    "keep_checkpoints": (1, 1_000_000),
    "sample_every": (0, _STEPS),
}
