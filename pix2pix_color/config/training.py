"""How it is learned."""

from __future__ import annotations

import dataclasses
from typing import Literal

from .checks import require, require_choices

__all__ = ["TrainingConfig"]


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How it is learned. Sources: the report's section 3.3 and its authors' published code.

    Attributes:
        steps: optimizer steps (report: 650 epochs of 773 steps; its text says 50,000).
        batch_size: the global batch, over all replicas (report: 64).
        generator_learning_rate: Adam (report: 2e-4).
        discriminator_learning_rate: Adam (report: 2.5e-5).
        beta_1: of both optimizers (report: 0.5).
        l1_weight: of the mean absolute chroma error beside the adversarial loss (report: 100).
        adversarial_weight: 1 in the report; 0 trains with L1 alone.
        real_label: the discriminator's target for real patches (report: 0.9).
        learning_rate_schedule: `"constant"` (report), `"linear"` or `"cosine"`, both to zero.
        warmup_steps: linear warm-up of both learning rates (report: 0).
        weight_decay: decoupled, on both networks' kernels (report: 0).
        clip_norm: largest global gradient norm of each network; 0 is off (report).
        ema_momentum: of an exponential moving average of the generator's weights, which is
            then what is exported; 0 is off (report).
        precision: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"` (loss scaling on).
        fused_batch_norm: use TensorFlow's fused batch normalization in training. Same
            mathematics as Keras's own, 3.7 times as fast on a CPU.
        matmul_gradients: take the filter gradients of small maps as matrix products where
            that is faster, which is in bfloat16 on a CPU; without effect elsewhere.
        synchronized_batch_norm: share batch statistics between replicas.
        xla: compile the forward and backward pass (slower for convolutions on a CPU).
        deterministic: ask TensorFlow for bit-for-bit reproducible operations.
        seed: of the initial weights, the shuffling, the flips and the dropout.
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
    l1_weight: float = 100.0
    adversarial_weight: float = 1.0
    real_label: float = 0.9
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
        for name in ("steps", "batch_size", "log_every", "checkpoint_every", "keep_checkpoints"):
            require(getattr(self, name) >= 1, f"training.{name} must be at least 1.")
        for name in (
            "generator_learning_rate",
            "discriminator_learning_rate",
            "l1_weight",
            "adversarial_weight",
            "warmup_steps",
            "weight_decay",
            "clip_norm",
            "sample_every",
            "seed",
        ):
            require(getattr(self, name) >= 0, f"training.{name} must not be negative.")
        for name in ("beta_1", "ema_momentum"):
            require(0 <= getattr(self, name) < 1, f"training.{name} must be in [0, 1).")
        require(0 < self.real_label <= 1, "training.real_label must be in (0, 1].")
        require(
            self.l1_weight > 0 or self.adversarial_weight > 0,
            "training.l1_weight and training.adversarial_weight are both 0: nothing is learned.",
        )
