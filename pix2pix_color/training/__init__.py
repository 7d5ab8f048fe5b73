"""The custom training loop: one `tf.function` step under a strategy, exact resume, history.

    trainer = Trainer(Config.report(), "runs/report")
    trainer.fit(load_dataset("cifar10"))
    trainer.inference_generator().save("generator.keras")

The replica function is pure mathematics; everything that prints, plots or saves is a Keras
callback that runs between calls of `train_steps`.
"""

from .callbacks import CheckpointWriter, HistoryWriter, SampleWriter
from .optimizers import Schedule
from .trainer import METRICS, Trainer

__all__ = [
    "METRICS",
    "CheckpointWriter",
    "HistoryWriter",
    "SampleWriter",
    "Schedule",
    "Trainer",
]
