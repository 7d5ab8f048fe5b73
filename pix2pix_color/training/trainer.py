"""The training loop: steps in the graph under a strategy, a run folder, exact resume."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from ..classifier import load_classifier
from ..config import Config
from ..data import ImageDataset
from ..distribute import device_kind, fastest_precision, is_chief, make_strategy
from ..errors import Interrupted, NonFiniteLossError, TrainingError
from ..files import write_atomically
from ..model_folder import (
    ModelFolder,
    absolute_paths,
    build_network,
    checkpoint_paths,
    for_inference,
)
from ..networks.packing import require_same_network
from ..pretrained import load_encoder
from .checkpoints import Checkpoints
from .loop import Progress, stop_on_signal
from .optimizers import has_schedule
from .step import METRICS, TrainingStep
from .writers import append_history, start_history, write_description, write_samples

__all__ = ["Trainer"]


class Trainer:
    """Trains the two networks against each other (report section 3.3).

    Args:
        config: the run.
        folder: the run folder, made when training starts; `None` writes nothing.
        strategy: from `make_strategy`; `None` picks one.

    Attributes:
        generator, discriminator: the networks being trained.
        generator_optimizer, discriminator_optimizer: one each, built.
        replica_step: the `TrainingStep` that each replica takes.
        step: int64 variable, the number of steps taken.
        checkpoints: saves and restores all of this.

    Raises:
        TrainingError: the batch does not divide among the replicas, or a trained network that
            the configuration names cannot be used.
        ClassifierError, ModelError: the classifier that guides the generator, or its encoder,
            cannot be loaded.
    """

    def __init__(
        self,
        config: Config,
        folder: str | Path | None = None,
        strategy: tf.distribute.Strategy | None = None,
    ) -> None:
        self.config = config = absolute_paths(config)
        self.folder = Path(folder) if folder is not None else None
        self.strategy = strategy or make_strategy("auto")
        if config.training.batch_size % self.strategy.num_replicas_in_sync:
            raise TrainingError(
                f"training.batch_size {config.training.batch_size} is not a multiple of the "
                f"{self.strategy.num_replicas_in_sync} replicas."
            )
        if config.training.precision == "auto":
            config = config.override(f"training.precision={fastest_precision(self.strategy)}")
            self.config = config
        if config.training.deterministic:
            tf.config.experimental.enable_op_determinism()
        guide, encoder = config.generator.guide, config.generator.encoder
        self._guide = load_classifier(guide) if guide else None
        guide = self._guide and self._guide.network()
        self._pretrained = load_encoder(encoder) if encoder else guide
        with self.strategy.scope():
            self._build_networks()
            self.replica_step = TrainingStep(config, self.generator, self.discriminator)
            self.step = tf.Variable(
                0,
                dtype=tf.int64,
                name="step",
                trainable=False,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )
        self.generator_optimizer = self.replica_step.generator_optimizer
        self.discriminator_optimizer = self.replica_step.discriminator_optimizer
        self._initial = None
        if config.training.initial_generator:
            self._initial = build_network(config, "generator", self._pretrained)
            if self.folder is None or not checkpoint_paths(self.folder):  # else it is restored
                self._start_from_initial_generator()
        keep, chief = config.training.keep_checkpoints, is_chief(self.strategy)
        self.checkpoints = Checkpoints(self._state(), self.folder, keep, chief)
        self._writes = chief and self.folder is not None

    def _build_networks(self) -> None:
        training = self.config.training
        options = {
            "precision": training.precision,
            "fused_batch_norm": True,
            # Faster in bfloat16 on a CPU only.
            "matmul_gradients": training.precision == "mixed_bfloat16"
            and device_kind(self.strategy) == "CPU",
            "synchronized": training.synchronized_batch_norm,
        }
        self.generator, self.discriminator = (
            build_network(self.config, kind, self._pretrained, seed=seed, **options)
            for seed, kind in enumerate(("generator", "discriminator"), start=2 * training.seed)
        )

    def _start_from_initial_generator(self) -> None:
        """Gives both the generator and the other end of its dial the weights of the named one."""
        name = self.config.training.initial_generator
        source = ModelFolder(name).generator()
        try:
            require_same_network(source, self._initial)
        except ValueError as error:
            raise TrainingError(
                f"training.initial_generator {name} is another network than this configuration "
                "describes: its generator, data.lightness_scale and data.color_space must be the "
                "same."
            ) from error
        for network in (self.generator, self._initial):
            network.set_weights(source.get_weights())

    def _state(self) -> tf.train.Checkpoint:
        state = tf.train.Checkpoint(
            generator=self.generator,
            discriminator=self.discriminator,
            generator_optimizer=self.generator_optimizer,
            discriminator_optimizer=self.discriminator_optimizer,
            step=self.step,
        )
        # A checkpoint does not see the random state of Keras's dropout by itself.
        random_states = [
            layer.seed_generator.state
            for network in (self.generator, self.discriminator)
            for layer in network._flatten_layers()
            if isinstance(layer, keras.layers.Dropout)
        ]
        if random_states:
            state.random_states = random_states
        # The next two are what a reader of the run needs beside the generator (`model_folder`).
        if self.config.training.ema_momentum:
            state.average = [variable.value for variable in self._average()]
        if self._initial is not None:
            state.initial_generator = self._initial
        return state

    def _average(self) -> list[keras.Variable]:
        """Returns the moving averages of the generator's trainable variables."""
        optimizer = self.generator_optimizer
        return getattr(optimizer, "inner_optimizer", optimizer)._model_variables_moving_average

    @property
    def current_step(self) -> int:
        """The number of steps taken so far."""
        return int(self.step.numpy())

    def inference_generator(self) -> keras.Model:
        """Returns a float32 copy of the generator from plain Keras layers.

        It holds the moving average of the weights where `training.ema_momentum` is on, and
        depends neither on the strategy nor on the precision of the training.
        """
        average = self._average() if self.config.training.ema_momentum else None
        return for_inference(
            self.config, self.generator, self._pretrained, self.current_step, average
        )

    # The step ---------------------------------------------------------------------------

    @tf.function(reduce_retracing=True)
    def train_steps(self, iterator: Iterator, count: int | tf.Tensor) -> tf.Tensor:
        """Takes `count` steps in the graph, on every replica.

        Args:
            iterator: over a (distributed) data set of (lightness, chroma) global batches.
            count: number of steps.

        Returns:
            float32 (count, 5): the `METRICS` of every step, over the global batch.
        """
        count = tf.convert_to_tensor(count, tf.int32)
        rows = tf.TensorArray(tf.float32, size=count, element_shape=[len(METRICS)])
        for i in tf.range(count):
            per_replica = self.strategy.run(self.replica_step, args=next(iterator))
            # Each replica's share was already divided by the global batch: the sum is the mean.
            row = self.strategy.reduce(tf.distribute.ReduceOp.SUM, per_replica, axis=None)
            rows = rows.write(i, row)
            self.step.assign_add(1)
        return rows.stack()

    # The loop ---------------------------------------------------------------------------

    def fit(
        self,
        dataset: ImageDataset,
        *,
        steps: int | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        verbose: int | str = "auto",
    ) -> dict[str, float]:
        """Trains from the current step to step `steps`, in a run folder if there is one.

        Args:
            dataset: the training images.
            steps: where to stop, counted from step 0; the default is `training.steps`.
            callbacks: Keras callbacks. A "batch" of theirs is one call of `train_steps`, of 10
                steps on a CPU and 100 on an accelerator; `logs` holds `METRICS`.
            verbose: 1 rewrites one line of progress, 2 prints a line an epoch, at most one every
                ten seconds, 0 nothing; "auto" is 1 on a terminal and in notebooks, else 2.

        Returns:
            The `METRICS` averaged over the last (part of an) epoch.

        Raises:
            NonFiniteLossError: a loss is not finite any more; nothing was saved since.
            Interrupted: Ctrl-C or SIGTERM; the run was saved.
            TrainingError: the images have another size, or are fewer than one batch.
        """
        end = steps or self.config.training.steps
        batches, epoch_steps = self._batches(dataset)
        self.replica_step.predict.count_colors(dataset)
        if self._writes:
            self._prepare_folder(dataset)
        callback_list = self._callback_list(callbacks, verbose, end, epoch_steps)
        stops, logs = callback_list.model, {}
        with stop_on_signal() as stop:
            callback_list.on_train_begin()
            while self.current_step < end and not (stop or stops.stop_training):
                epoch = self.current_step // epoch_steps
                callback_list.on_epoch_begin(epoch)
                epoch_end, seen = min(end, (epoch + 1) * epoch_steps), []
                while self.current_step < epoch_end and not (stop or stops.stop_training):
                    first = self.current_step
                    callback_list.on_train_batch_begin(first % epoch_steps)
                    rows = self._take_steps(batches, epoch_end)
                    seen.append(rows)
                    means = np.concatenate(seen).mean(axis=0, dtype=np.float64)
                    logs = dict(zip(METRICS, means.tolist(), strict=True))
                    self._write(dataset, first, epoch, rows)
                    last = (self.current_step - 1) % epoch_steps
                    callback_list.on_train_batch_end(last, logs)
                callback_list.on_epoch_end(epoch, logs)
            self._save_if_due(every=1)
            callback_list.on_train_end(logs)
        if stop:
            saved = f" and saved. To resume: pix2pix-color train --resume {self.folder}"
            rest = saved if self.folder else "; there is no run folder to resume from."
            raise Interrupted(f"Stopped at step {self.current_step}{rest}")
        return logs

    def _batches(self, dataset: ImageDataset) -> tuple[Iterator, int]:
        """Returns the distributed batches from the current step on, and steps per epoch."""
        data, training = self.config.data, self.config.training
        size = dataset.images.element_spec.shape[0]
        if size != data.image_size:
            raise TrainingError(
                f"The images are {size} pixels wide, data.image_size is {data.image_size}."
            )
        drop_remainder = self.strategy.num_replicas_in_sync > 1 or training.xla
        batches = dataset.training_batches(
            training.batch_size,
            seed=training.seed,
            start_step=self.current_step,
            **{name: getattr(data, name) for name in ("flip", "shift", "crop", "aged", "hinted")},
            drop_remainder=drop_remainder,
        )
        distributed = self.strategy.experimental_distribute_dataset(batches)
        return iter(distributed), dataset.steps_per_epoch(training.batch_size, drop_remainder)

    def _prepare_folder(self, dataset: ImageDataset) -> None:
        if not self.current_step and self.checkpoints.paths:
            raise TrainingError(
                f"{self.folder} already holds a run. Resume it (pix2pix-color train --resume "
                f"{self.folder}) or choose another folder."
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / "config.json", self.config.to_json())
        write_description(self.folder, self._guide and self._guide.description, dataset)
        start_history(self.folder / "history.csv", self.current_step)

    def _callback_list(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        verbose: int | str,
        end: int,
        epoch_steps: int,
    ) -> keras.callbacks.CallbackList:
        """Returns the callbacks of a run; `stop_training` of their `model` asks it to stop."""
        if verbose == "auto":
            verbose = 1 if sys.stdout.isatty() or "ipykernel" in sys.modules else 2
        own = [Progress(end, epoch_steps, live=verbose == 1)] if verbose else []
        if self._writes:
            own.append(keras.callbacks.TensorBoard(str(self.folder / "logs"), write_graph=False))
        # Callbacks ask a model for its optimizer; a second model over the same layers, since the
        # generator itself must not track (and so checkpoint) its optimizer twice.
        model = keras.Model(self.generator.inputs, self.generator.outputs, name="generator")
        model.optimizer, model.stop_training = self.generator_optimizer, False
        return keras.callbacks.CallbackList([*own, *callbacks], model=model)

    def _take_steps(self, batches: Iterator, epoch_end: int) -> np.ndarray:
        """Takes steps until something is due, about a second of them; returns the metrics."""
        first, training = self.current_step, self.config.training
        at_once = 10 if device_kind(self.strategy) == "CPU" else 100  # alike on all workers
        due = (at_once, training.checkpoint_every, training.sample_every or at_once)
        count = min(epoch_end - first, *(every - first % every for every in due))
        rows = self.train_steps(batches, tf.constant(count)).numpy()
        bad = np.argwhere(~np.isfinite(rows))
        if len(bad):
            step, column = bad[0]
            self._raise_non_finite(first + int(step), f"{METRICS[column]} is {rows[tuple(bad[0])]}")
        return rows

    def _write(self, dataset: ImageDataset, first: int, epoch: int, rows: np.ndarray) -> None:
        """Writes what is due after some steps, of which `first` was the first."""
        training, step = self.config.training, self.current_step
        if self._writes:
            path = self.folder / "history.csv"
            append_history(path, first, epoch, rows, training.log_every)
            every = training.sample_every
            if every and step // every > first // every:
                path = self.folder / "samples" / f"step-{step:06d}.png"
                write_samples(path, self.inference_generator(), dataset)
        self._save_if_due(training.checkpoint_every)

    def _save_if_due(self, every: int) -> None:
        if self.folder and self.current_step // every > self.checkpoints.saved // every:
            self.save()

    def _raise_non_finite(self, step: int, what: str) -> None:
        kept = self.checkpoints.paths
        kept = f"The last good checkpoint is {kept[-1]}." if kept else "No checkpoint was written."
        raise NonFiniteLossError(
            f"Stopped at step {step}: {what}. {kept} Lower the learning rates or choose another "
            "training.precision.",
            step,
        )

    # Saving and resuming ----------------------------------------------------------------

    def save(self) -> str:
        """Writes a checkpoint of everything that the next step depends on, and returns its path.

        Raises:
            NonFiniteLossError: a weight is not finite; nothing is written.
            TrainingError: the checkpoint could not be written.
        """
        for variable in [*self.generator.weights, *self.discriminator.weights]:
            if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
                self._raise_non_finite(self.current_step, f"{variable.path} is not finite")
        return self.checkpoints.save()

    @classmethod
    def resume(
        cls,
        folder: str | Path,
        *,
        changes: Sequence[str] = (),
        strategy: tf.distribute.Strategy | None = None,
    ) -> Trainer:
        """Returns the trainer of a run folder, at its newest readable checkpoint.

        A run that was stopped before its first checkpoint starts again, with a warning.

        Args:
            folder: the run folder.
            changes: overrides such as `"training.steps=100000"`; not of the networks.
            strategy: from `make_strategy`; it may differ from the first run's.

        Raises:
            ModelError: not a run folder.
            ConfigError: a change is not valid, or one of the networks.
            TrainingError: no readable checkpoint.
        """
        config = ModelFolder(folder).run_config(*changes)
        trainer = cls(config, folder, strategy)
        if not trainer.checkpoints.paths:
            warnings.warn(f"{folder} holds no checkpoint yet: it starts at step 0.", stacklevel=2)
            return trainer
        trainer.checkpoints.restore()
        training = config.training
        if not has_schedule(training):  # a checkpoint holds the rates, which may have changed
            trainer.generator_optimizer.learning_rate = training.generator_learning_rate
            trainer.discriminator_optimizer.learning_rate = training.discriminator_learning_rate
        return trainer
