"""The custom training loop: one `tf.function` step under a strategy, exact resume, history.

    trainer = Trainer(Config.report(), "runs/report")
    trainer.fit(load_dataset("cifar10"))
    export_saved_model(trainer.inference_generator(), "my-model")

`step` is the report's step. What a replica computes is pure mathematics; everything that prints,
plots or saves runs between calls of `train_steps`.
"""

from .step import METRICS, TrainingStep
from .trainer import Trainer

__all__ = ["METRICS", "Trainer", "TrainingStep"]
