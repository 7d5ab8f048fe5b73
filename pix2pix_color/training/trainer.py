"""The training loop: steps in the graph under a strategy, a run folder, exact resume."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from ..classifier import load_classifier
from ..config import Config
from ..data import ImageDataset
from ..distribute import device_kind, is_chief, make_strategy
from ..errors import Interrupted, NonFiniteLossError, TrainingError
from ..files import write_atomically
from ..model_folder import (
    ModelFolder,
    absolute_paths,
    build_for_inference,
    checkpoint_paths,
    for_inference,
)
from ..networks import build_discriminator, build_generator
from .checkpoints import Checkpoints
from .initial import start_from
from .loop import make_callback_list, stop_on_signal
from .optimizers import has_schedule, make_optimizer
from .perceptual import load_perceptual_network
from .step import METRICS, TrainingStep
from .terms import ColorRebalancing, Predict, generator_terms
from .writers import HistoryWriter, SampleWriter, write_description

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
        ClassifierError: the classifier that guides the generator cannot be loaded.
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
        if config.training.deterministic:
            tf.config.experimental.enable_op_determinism()
        guide = config.generator.guide
        self._guide = load_classifier(guide) if guide else None
        with self.strategy.scope():
            self._build_networks()
            self._build_step()
        self._initial: keras.Model | None = None
        if config.training.initial_generator:
            self._initial = build_for_inference(config, self._guide_network())
            if self.folder is None or not checkpoint_paths(self.folder):  # else it is restored
                start_from(config, self.generator, self._initial)
        self.checkpoints = Checkpoints(
            self._state(),
            self.step,
            self.folder,
            config.training.keep_checkpoints,
            is_chief(self.strategy),
        )

    def _build_networks(self) -> None:
        config, training = self.config, self.config.training
        options = {
            "color_space": config.data.color_space,
            "lightness_scale": config.data.lightness_scale,
            "precision": training.precision,
            "fused_batch_norm": True,
            # Faster in bfloat16 on a CPU only.
            "matmul_gradients": training.precision == "mixed_bfloat16"
            and device_kind(self.strategy) == "CPU",
            "synchronized": training.synchronized_batch_norm,
        }
        size = config.data.image_size
        self.generator = build_generator(
            config.generator,
            size,
            guide=self._guide_network(),
            seed=2 * training.seed,
            **options,
        )
        self.discriminator = build_discriminator(
            config.discriminator, size, seed=2 * training.seed + 1, **options
        )

    def _build_step(self) -> None:
        config, training = self.config, self.config.training
        self.generator_optimizer = make_optimizer(
            training, training.generator_learning_rate, training.ema_momentum
        )
        self.discriminator_optimizer = make_optimizer(
            training, training.discriminator_learning_rate
        )
        self.generator_optimizer.build(self.generator.trainable_variables)
        self.discriminator_optimizer.build(self.discriminator.trainable_variables)
        perceptual_network = None
        if training.perceptual_weight:
            perceptual_network = load_perceptual_network(
                config.data.image_size, training.precision, training.perceptual_network
            )
        self._rebalancing = ColorRebalancing(training.rebalance) if training.rebalance else None
        self.replica_step = TrainingStep(
            config,
            self.generator,
            self.discriminator,
            self.generator_optimizer,
            self.discriminator_optimizer,
            Predict(config, self.generator, self.discriminator, self._rebalancing),
            generator_terms(config, perceptual_network),
        )
        self.step = tf.Variable(
            0,
            dtype=tf.int64,
            name="step",
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def _guide_network(self) -> keras.Model | None:
        return self._guide and self._guide.network()

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
            for layer in network.layers
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
            callbacks: Keras callbacks. A "batch" of theirs is one call of `train_steps`, up to
                `training.log_every` steps; `logs` holds `METRICS`.
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
        if self._rebalancing is not None:
            self._rebalancing.count(dataset)
        if self._writes:
            self._prepare_folder(dataset)
        callback_list = make_callback_list(
            self.generator,
            self.generator_optimizer,
            callbacks,
            logs=self.folder / "logs" if self._writes else None,
            verbose=verbose,
            end=end,
            steps=epoch_steps,
        )
        stops = callback_list.model
        logs: dict[str, float] = {}
        with self._writers(dataset) as write, stop_on_signal() as stop:
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
                    write(first, epoch, rows)
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
            flip=data.flip,
            shift=data.shift,
            drop_remainder=drop_remainder,
        )
        distributed = self.strategy.experimental_distribute_dataset(batches)
        return iter(distributed), dataset.steps_per_epoch(training.batch_size, drop_remainder)

    @property
    def _writes(self) -> bool:
        return self.folder is not None and is_chief(self.strategy)

    def _take_steps(self, batches: Iterator, epoch_end: int) -> np.ndarray:
        """Runs to the next row of the history or the end of the epoch; returns the metrics."""
        first, log_every = self.current_step, self.config.training.log_every
        count = min(log_every - first % log_every, epoch_end - first)
        rows = self.train_steps(batches, tf.constant(count)).numpy()
        bad = np.argwhere(~np.isfinite(rows))
        if len(bad):
            step, column = bad[0]
            self._raise_non_finite(first + int(step), f"{METRICS[column]} is {rows[tuple(bad[0])]}")
        return rows

    @contextlib.contextmanager
    def _writers(self, dataset: ImageDataset) -> Iterator[Callable[[int, int, np.ndarray], None]]:
        """Yields a function of (first step, epoch, metrics) that writes what is due."""
        training, samples = self.config.training, None
        if not self._writes:
            yield lambda first, epoch, rows: self._save_if_due(training.checkpoint_every)
            return
        history = HistoryWriter(self.folder / "history.csv", training.log_every, self.current_step)
        if training.sample_every:
            samples = SampleWriter(self.folder, dataset, self.inference_generator)

        def write(first: int, epoch: int, rows: np.ndarray) -> None:
            history.write(first, epoch, rows)
            step, every = self.current_step, training.sample_every
            if samples and step // every > first // every:
                samples.write(step)
            self._save_if_due(training.checkpoint_every)

        try:
            yield write
        finally:
            history.close()

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

    def _prepare_folder(self, dataset: ImageDataset) -> None:
        if not self.current_step and not self._resumed and (self.folder / "config.json").exists():
            raise TrainingError(
                f"{self.folder} already holds a run. Resume it (pix2pix-color train --resume "
                f"{self.folder}) or choose another folder."
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / "config.json", self.config.to_json())
        write_description(self.folder, self._guide and self._guide.description, dataset)

    _resumed = False

    def save(self) -> str:
        """Writes a checkpoint of everything that the next step depends on, and returns its path.

        Raises:
            NonFiniteLossError: a weight is not finite; nothing is written.
            TrainingError: the checkpoint could not be written.
        """
        for network in (self.generator, self.discriminator):
            for variable in network.weights:
                if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
                    self._raise_non_finite(self.current_step, f"{variable.path} is not finite")
        return self.checkpoints.save()

    def restore(self) -> int:
        """Restores the newest readable checkpoint of the run folder and returns its step.

        Raises:
            TrainingError: there is no readable checkpoint, or it is of other networks.
        """
        self.checkpoints.restore()
        return self.current_step

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
            TrainingError: not a run folder, or no readable checkpoint.
        """
        before = ModelFolder(folder).config
        config = before.override(*changes)
        for name in ("color_space", "lightness_scale"):  # other networks of the same shapes
            if getattr(config.data, name) != getattr(before.data, name):
                raise TrainingError(
                    f"data.{name} is part of the networks and cannot change on resuming: start "
                    "another run."
                )
        trainer = cls(config, folder, strategy)
        trainer._resumed = True
        if trainer.checkpoints.paths:
            trainer.restore()
            trainer._change_learning_rates(before)
        else:
            warnings.warn(f"{folder} holds no checkpoint yet: it starts at step 0.", stacklevel=2)
        return trainer

    def _change_learning_rates(self, before: Config) -> None:
        """Sets the constant rates that differ from `before`: a checkpoint holds the old ones."""
        for network in ("generator", "discriminator"):
            name, optimizer = f"{network}_learning_rate", getattr(self, f"{network}_optimizer")
            rate = getattr(self.config.training, name)
            if rate != getattr(before.training, name) and not has_schedule(self.config.training):
                optimizer.learning_rate = rate

    def inference_generator(self) -> keras.Model:
        """Returns a float32 copy of the generator from plain Keras layers.

        It holds the moving average of the weights where `training.ema_momentum` is on, and
        depends neither on the strategy nor on the precision of the training.
        """
        average = self._average() if self.config.training.ema_momentum else None
        return for_inference(
            self.config, self.generator, self._guide_network(), self.current_step, average
        )
