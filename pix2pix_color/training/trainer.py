"""The training loop: one `tf.function` step under a strategy, run folder, exact resume."""

from __future__ import annotations

import contextlib
import math
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from ..config import Config
from ..data import ImageDataset
from ..distribute import device_kind, is_chief, make_strategy
from ..errors import Interrupted, NonFiniteLossError, TrainingError
from ..files import replacing, write_atomically
from ..networks import build_discriminator, build_generator
from .callbacks import METRICS, CheckpointWriter, HistoryWriter, SampleWriter
from .initial import initialize_generator
from .objective import Objective
from .optimizers import apply_gradients, has_schedule, make_optimizer

__all__ = ["METRICS", "Trainer"]


class Trainer:
    """Trains the two networks against each other (report section 3.3).

    Args:
        config: the run.
        folder: the run folder, made when training starts; `None` writes nothing.
        strategy: from `make_strategy`; `None` picks one.

    Attributes:
        generator, discriminator: the networks being trained.
        generator_optimizer, discriminator_optimizer: one each, built.
        objective: what a step minimizes.
        step: int64 variable, the steps taken so far.
        recent: first step, epoch and `METRICS` rows of the latest call of `train_steps`.
    """

    def __init__(
        self,
        config: Config,
        folder: str | Path | None = None,
        strategy: tf.distribute.Strategy | None = None,
    ) -> None:
        self.config = config
        self.folder = Path(folder) if folder is not None else None
        self.strategy = strategy or make_strategy("auto")
        training = config.training
        if training.batch_size % self.strategy.num_replicas_in_sync:
            raise TrainingError(
                f"training.batch_size {training.batch_size} is not a multiple of the "
                f"{self.strategy.num_replicas_in_sync} replicas."
            )
        if training.deterministic:
            tf.config.experimental.enable_op_determinism()
        options = {
            "color_space": config.data.color_space,
            "lightness_scale": config.data.lightness_scale,
            "precision": training.precision,
            "fused_batch_norm": training.fused_batch_norm,
            "matmul_gradients": training.matmul_gradients
            and training.precision == "mixed_bfloat16"
            and device_kind(self.strategy) == "CPU",
            "synchronized": training.synchronized_batch_norm,
        }
        size = config.data.image_size
        with self.strategy.scope():
            self.generator = build_generator(
                config.generator, size, seed=2 * training.seed, **options
            )
            self.discriminator = build_discriminator(
                config.discriminator, size, seed=2 * training.seed + 1, **options
            )
            self.generator_optimizer = make_optimizer(
                training, training.generator_learning_rate, training.ema_momentum
            )
            self.discriminator_optimizer = make_optimizer(
                training,
                training.discriminator_learning_rate,
                first_step=training.adversarial_from,
            )
            self.generator_optimizer.build(self.generator.trainable_variables)
            self.discriminator_optimizer.build(self.discriminator.trainable_variables)
            self.objective = Objective(
                config,
                self.generator,
                self.discriminator,
                self.generator_optimizer,
                self.discriminator_optimizer,
            )
            self.step = tf.Variable(
                0,
                dtype=tf.int64,
                name="step",
                trainable=False,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )
        self._resumed = False
        self.recent = (0, 0, np.empty((0, len(METRICS)), np.float32))
        self.checkpoint = tf.train.Checkpoint(
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
            self.checkpoint.random_states = random_states
        self._replica_step = (
            tf.function(self.objective.__call__, jit_compile=True)
            if training.xla
            else self.objective
        )
        self._initial: Path | None = None
        if training.initial_generator and not self._checkpoint_paths():
            self._initial = initialize_generator(self.generator, training.initial_generator)

    # The step ---------------------------------------------------------------------------

    def train_steps(self, iterator: Iterator, count: int | tf.Tensor) -> tf.Tensor:
        """Takes `count` steps in the graph, on every replica.

        Args:
            iterator: over a (distributed) data set of (lightness, chroma) global batches.
            count: number of steps.

        Returns:
            float32 (count, 5): the `METRICS` of every step, over the global batch.
        """
        count, training = tf.convert_to_tensor(count, tf.int32), self.config.training
        alone = training.adversarial_from - self.current_step if training.adversarial_from else 0
        if alone <= 0:
            return self._train_steps(iterator, count, training.adversarial_weight > 0)
        # A graph of its own: what has no discriminator does not pay for one.
        rows = self._train_steps(iterator, tf.minimum(count, alone), False)
        if alone < count:
            rest = self._train_steps(iterator, count - alone, True)
            rows = tf.concat([rows, rest], axis=0)
        return rows

    @tf.function(reduce_retracing=True)
    def _train_steps(self, iterator: Iterator, count: tf.Tensor, adversarial: bool) -> tf.Tensor:
        rows = tf.TensorArray(tf.float32, size=count, element_shape=[len(METRICS)])
        for i in tf.range(count):
            per_replica = self.strategy.run(self._update, args=(*next(iterator), adversarial))
            # Each replica's share was already divided by the global batch: the sum is the mean.
            row = self.strategy.reduce(tf.distribute.ReduceOp.SUM, per_replica, axis=None)
            rows = rows.write(i, row)
            self.step.assign_add(1)
        return rows.stack()

    def _update(
        self, lightness: tf.Tensor, chroma: tf.Tensor, adversarial: bool | None = None
    ) -> tf.Tensor:
        """Updates both networks from one forward pass of a replica's share of a batch."""
        training = self.config.training
        if adversarial is None:
            adversarial = training.adversarial_weight > 0
        replicas = tf.distribute.get_replica_context()
        count = replicas.all_reduce(
            tf.distribute.ReduceOp.SUM, tf.cast(tf.shape(lightness)[0], tf.float32)
        )
        step = tf.identity(self.step)
        row, generator_gradients, discriminator_gradients = self._replica_step(
            lightness, chroma, count, step, self.objective.draw(lightness, count, step), adversarial
        )
        apply_gradients(training, self.generator_optimizer, generator_gradients, self.generator)
        if adversarial:
            apply_gradients(
                training, self.discriminator_optimizer, discriminator_gradients, self.discriminator
            )
        return row

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
            callbacks: more Keras callbacks. A "batch" of theirs is one call of
                `train_steps`, up to `training.log_every` steps; `logs` holds `METRICS`.
            verbose: 1 shows a progress bar, 2 a line an epoch, 0 nothing; "auto" shows the
                bar on a terminal and in notebooks, and else lines.

        Returns:
            The `METRICS` averaged over the last (part of an) epoch.

        Raises:
            NonFiniteLossError: a loss stopped being a finite number; nothing was saved since.
            Interrupted: Ctrl-C or SIGTERM; the run was saved.
            TrainingError: the data are of another size, or fewer than a batch.
        """
        training, end = self.config.training, steps or self.config.training.steps
        start = self.current_step
        size = self.config.data.image_size
        if dataset.images.element_spec.shape[0] != size:
            raise TrainingError(
                f"The images are {dataset.images.element_spec.shape[0]} pixels wide, "
                f"data.image_size is {size}."
            )
        drop_remainder = self.strategy.num_replicas_in_sync > 1 or training.xla
        epoch_steps = dataset.steps_per_epoch(training.batch_size, drop_remainder)
        batches = dataset.training_batches(
            training.batch_size,
            seed=training.seed,
            start_step=start,
            flip=self.config.data.flip,
            shift=self.config.data.shift,
            drop_remainder=drop_remainder,
        )
        self.objective.prepare(dataset)
        iterator = iter(self.strategy.experimental_distribute_dataset(batches))
        writes = self.folder is not None and is_chief(self.strategy)
        if verbose == "auto":
            verbose = 1 if sys.stdout.isatty() or "ipykernel" in sys.modules else 2
        own: list[keras.callbacks.Callback] = []
        if writes:
            self._prepare_folder(start)
            own += [
                HistoryWriter(self),
                keras.callbacks.TensorBoard(str(self.folder / "logs"), write_graph=False),
            ]
            if training.sample_every:
                own.append(SampleWriter(self, dataset, training.sample_every))
        if self.folder is not None:
            own.append(CheckpointWriter(self))
        # Callbacks ask a model for its optimizer; a second model over the same layers, since
        # the generator itself must not track (and so checkpoint) its optimizer twice.
        model = keras.Model(self.generator.inputs, self.generator.outputs, name="generator")
        model.optimizer, model.stop_training = self.generator_optimizer, False
        callback_list = keras.callbacks.CallbackList(
            [*own, *callbacks],
            add_progbar=verbose != 0,
            model=model,
            verbose=verbose,
            epochs=math.ceil(end / epoch_steps),
            steps=epoch_steps,
        )
        logs: dict[str, float] = {}
        with _stop_on_signal() as stop:
            callback_list.on_train_begin()
            while self.current_step < end and not (stop or model.stop_training):
                logs = self._fit_epoch(iterator, callback_list, epoch_steps, end, stop)
            callback_list.on_train_end(logs)
        if stop:
            raise Interrupted(self._interruption())
        return logs

    def _fit_epoch(self, iterator, callbacks, epoch_steps: int, end: int, stop: list) -> dict:
        """Runs to the end of the epoch in chunks, and returns its mean metrics."""
        epoch, log_every = self.current_step // epoch_steps, self.config.training.log_every
        epoch_end = min(end, (epoch + 1) * epoch_steps)
        callbacks.on_epoch_begin(epoch)
        total, seen, logs = np.zeros(len(METRICS)), 0, {}
        while self.current_step < epoch_end and not (stop or callbacks.model.stop_training):
            first = self.current_step
            count = min(log_every - first % log_every, epoch_end - first)
            callbacks.on_train_batch_begin(first % epoch_steps)
            rows = self.train_steps(iterator, count).numpy()
            self._require_finite(rows, first)
            total, seen = total + rows.sum(axis=0), seen + count
            logs = dict(zip(METRICS, (total / seen).tolist(), strict=True))
            last = (first + count - 1) % epoch_steps
            self.recent = (first, epoch, rows)
            callbacks.on_train_batch_end(last, logs)
        callbacks.on_epoch_end(epoch, logs)
        return logs

    @property
    def current_step(self) -> int:
        """The number of steps taken so far."""
        return int(self.step.numpy())

    def _require_finite(self, rows: np.ndarray, first: int) -> None:
        bad = np.argwhere(~np.isfinite(rows))
        if len(bad):
            step, column = bad[0]
            self._raise_non_finite(first + int(step), f"{METRICS[column]} is {rows[tuple(bad[0])]}")

    def _raise_non_finite(self, step: int, what: str) -> None:
        kept = self._manager.latest_checkpoint if self.folder is not None else None
        kept = f"The last good checkpoint is {kept}." if kept else "No checkpoint was written."
        raise NonFiniteLossError(
            f"Stopped at step {step}: {what}. {kept} Lower the learning rates, set "
            "training.clip_norm=1, or choose another training.precision.",
            step,
        )

    def _interruption(self) -> str:
        if self.folder is None:
            return f"Stopped at step {self.current_step}; there is no run folder to go on from."
        return (
            f"Stopped at step {self.current_step} and saved. To go on: "
            f"pix2pix-color train --resume {self.folder}"
        )

    # Saving and going on ----------------------------------------------------------------

    @property
    def _checkpoint_folder(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def _manager(self) -> tf.train.CheckpointManager:
        if not hasattr(self, "_cached_manager"):
            # Under several workers all must take part in saving, and only the chief's counts.
            folder = self._checkpoint_folder if is_chief(self.strategy) else tempfile.mkdtemp()
            self._cached_manager = tf.train.CheckpointManager(
                self.checkpoint,
                str(folder),
                max_to_keep=self.config.training.keep_checkpoints,
                checkpoint_name="step",
                step_counter=self.step,
            )
        return self._cached_manager

    def _prepare_folder(self, start: int) -> None:
        if start == 0 and not self._resumed and (self.folder / "config.json").exists():
            raise TrainingError(
                f"{self.folder} already holds a run. Go on with it "
                f"(pix2pix-color train --resume {self.folder}) or choose another folder."
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / "config.json", self.config.to_json())
        if self._initial is not None:
            # An export mixes the two; what the configuration names may be gone by then.
            with replacing(self.folder / "initial_generator.keras") as temporary:
                shutil.copyfile(self._initial, temporary)

    def save(self) -> str:
        """Writes a checkpoint of everything that the next step depends on.

        Returns:
            Its path.

        Raises:
            NonFiniteLossError: a weight is not finite; nothing is written.
            TrainingError: the checkpoint could not be written.
        """
        if self.folder is None:
            raise TrainingError("This trainer has no run folder to save to.")
        for network in (self.generator, self.discriminator):
            for variable in network.weights:
                if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
                    self._raise_non_finite(self.current_step, f"{variable.path} is not finite")
        try:
            return self._manager.save(checkpoint_number=self.current_step)
        except (tf.errors.OpError, OSError) as error:
            raise TrainingError(
                f"Could not write a checkpoint to {self._checkpoint_folder}: {error}"
            ) from error

    def _checkpoint_paths(self) -> list[str]:
        if self.folder is None:
            return []
        state = tf.train.get_checkpoint_state(str(self._checkpoint_folder))
        return list(state.all_model_checkpoint_paths) if state else []

    def restore(self) -> int:
        """Goes back to the newest readable checkpoint of the run folder.

        A damaged checkpoint is passed over, with a warning that names it.

        Returns:
            The step it was written at.

        Raises:
            TrainingError: no checkpoint, none readable, or one of other networks.
        """
        paths = self._checkpoint_paths()
        if not paths:
            raise TrainingError(f"{self._checkpoint_folder} holds no checkpoint to go on from.")
        for path in reversed(paths):
            try:
                reader = tf.train.load_checkpoint(path)
                for name in reader.get_variable_to_shape_map():
                    reader.get_tensor(name)
            except Exception as error:  # IndexError, ValueError or TensorFlow's own: all damage
                reason = str(error).splitlines()[0][:200] if str(error) else repr(error)
                warnings.warn(
                    f"The checkpoint {path} is damaged and was passed over: {reason}", stacklevel=2
                )
                continue
            try:
                self.checkpoint.restore(path).assert_consumed()
                return self.current_step
            except (AssertionError, ValueError) as error:
                raise TrainingError(
                    f"The checkpoint {path} belongs to other networks than this configuration "
                    "describes: resume with the run's own config.json."
                ) from error
        raise TrainingError(f"None of the checkpoints in {self._checkpoint_folder} can be read.")

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
        path = Path(folder) / "config.json"
        if not path.is_file():
            raise TrainingError(f"{folder} is not a run folder: it has no config.json.")
        before = Config.from_json(path.read_text(encoding="utf-8"))
        config = before.override(*changes)
        for name in ("color_space", "lightness_scale"):  # other networks of the same shapes
            if getattr(config.data, name) != getattr(before.data, name):
                raise TrainingError(
                    f"data.{name} belongs to the networks and cannot change on resuming: start "
                    "another run."
                )
        trainer = cls(config, folder, strategy)
        trainer._resumed = True
        if trainer._checkpoint_paths():
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
        depends neither on this package (unless `data.color_space` is "rgb") nor on the
        strategy.
        """
        data = self.config.data
        generator = build_generator(
            self.config.generator,
            data.image_size,
            color_space=data.color_space,
            lightness_scale=data.lightness_scale,
        )
        generator.set_weights(self.generator.get_weights())
        # Loss scaling may have skipped every step so far, and then there is no average yet.
        optimizer = self.generator_optimizer
        if self.config.training.ema_momentum and keras.ops.convert_to_numpy(optimizer.iterations):
            # Not Keras's finalize_variable_values: it accepts variables of the strategy only.
            optimizer = getattr(optimizer, "inner_optimizer", optimizer)
            averages = optimizer._model_variables_moving_average
            for variable, average in zip(generator.trainable_variables, averages, strict=True):
                variable.assign(keras.ops.convert_to_numpy(average))
        return generator


@contextlib.contextmanager
def _stop_on_signal() -> Iterator[list[int]]:
    """Yields a list that Ctrl-C and SIGTERM fill; a second Ctrl-C stops at once."""
    received: list[int] = []

    def receive(number: int, _frame: object) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    previous: dict[int, Callable] = {}
    with contextlib.suppress(ValueError):  # not in the main thread: signals are not ours
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, receive)
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
