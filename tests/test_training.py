import csv
import dataclasses
import math
import os
import shutil
import signal
import types
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import as_dataset, random_images, run_python, tiny_config

from pix2pix_color import color, losses
from pix2pix_color.config import Config, TrainingConfig
from pix2pix_color.distribute import make_strategy
from pix2pix_color.errors import (
    ConfigError,
    Interrupted,
    ModelError,
    NonFiniteLossError,
    TrainingError,
)
from pix2pix_color.networks import build_discriminator, build_generator, color_generator
from pix2pix_color.training import METRICS, Trainer
from pix2pix_color.training.loop import Progress
from pix2pix_color.training.optimizers import make_optimizer

PLAIN = ("generator.normalization=none", "discriminator.normalization=none")


def make_trainer(*changes, folder=None):
    return Trainer(tiny_config(*changes), folder, make_strategy("cpu"))


def fit(trainer, images=None, **options):
    images = random_images() if images is None else images
    return trainer.fit(as_dataset(images), verbose=0, **options)


def batch(count=8, seed=0):
    return color.split(random_images(count, seed=seed))


def update(trainer, lightness, chroma):
    """Takes one step outside of a graph, which is quicker than tracing one."""
    return np.array(trainer.strategy.run(trainer.replica_step, args=(lightness, chroma)))


def weights(trainer):
    return [*trainer.generator.get_weights(), *trainer.discriminator.get_weights()]


def largest_difference(one, other):
    return max(np.abs(a - b).max() for a, b in zip(one, other, strict=True))


def read_history(folder):
    with open(folder / "history.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def adam_first_step(gradient, rate, beta_2=0.999, epsilon=1e-7):
    root = np.sqrt(1 - beta_2)
    return -rate * root * gradient / (root * np.abs(gradient) + epsilon)


class TestOneStep:
    def test_both_networks_learn_from_the_same_forward_pass(self):
        # A generator that moves far: gradients taken after its update would be quite others.
        rates = {"generator": 0.5, "discriminator": 0.01}
        changes = [f"training.{n}_learning_rate={r}" for n, r in rates.items()]
        trainer = make_trainer(*changes, *PLAIN)
        lightness, chroma = batch()
        config = trainer.config
        generator = build_generator(config.generator, 8, seed=0)
        discriminator = build_discriminator(config.discriminator, 8, seed=1)
        with tf.GradientTape(persistent=True) as tape:
            fake = generator(lightness, training=True)
            real_logits = discriminator(tf.concat([lightness, chroma], -1), training=True)
            fake_logits = discriminator(tf.concat([lightness, fake], -1), training=True)
            cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
            ones = tf.ones_like(fake_logits)
            adversarial = cross_entropy(ones, fake_logits)
            l1 = tf.reduce_mean(tf.abs(chroma - fake))
            generator_loss = adversarial + 100 * l1
            discriminator_loss = cross_entropy(0.9 * ones, real_logits)
            discriminator_loss += cross_entropy(0 * ones, fake_logits)
        row = update(trainer, lightness, chroma)
        expected = [generator_loss, adversarial, l1, discriminator_loss]
        np.testing.assert_allclose(row[:4], expected, rtol=1e-5)
        accuracy = (np.mean(real_logits >= 0) + np.mean(fake_logits < 0)) / 2
        assert row[4] == pytest.approx(accuracy)
        for network, loss in ((generator, generator_loss), (discriminator, discriminator_loss)):
            moved = getattr(trainer, network.name)
            gradients = tape.gradient(loss, [v.value for v in network.trainable_variables])
            for old, new, gradient in zip(
                network.trainable_variables, moved.trainable_variables, gradients, strict=True
            ):
                expected = old + adam_first_step(gradient.numpy(), rates[network.name])
                np.testing.assert_allclose(new, expected, rtol=1e-3, atol=1e-5)

    def test_without_an_adversary_only_l1_counts_and_the_discriminator_rests(self):
        trainer = make_trainer("training.adversarial_weight=0", "training.l1_weight=7", *PLAIN)
        before = trainer.discriminator.get_weights()
        lightness, chroma = batch()
        expected = np.mean(losses.l1_loss(chroma, trainer.generator(lightness)))
        row = dict(zip(METRICS, update(trainer, lightness, chroma), strict=True))
        assert row["generator_loss"] == pytest.approx(7 * expected, rel=1e-5)
        assert row["adversarial_loss"] == row["discriminator_loss"] == 0
        assert largest_difference(before, trainer.discriminator.get_weights()) == 0

    def test_weight_decay_shrinks_kernels_and_nothing_else(self):
        rate, decay = 0.01, 0.1
        changes = [f"training.{n}_learning_rate={rate}" for n in ("generator", "discriminator")]
        plain, decayed = (make_trainer(*changes, f"training.weight_decay={d}") for d in (0, decay))
        before = [v.numpy() for v in plain.generator.trainable_variables]
        for trainer in (plain, decayed):
            update(trainer, *batch())
        for old, one, other in zip(
            before,
            plain.generator.trainable_variables,
            decayed.generator.trainable_variables,
            strict=True,
        ):
            shrunk = rate * decay * old if "kernel" in one.path else np.zeros_like(old)
            np.testing.assert_allclose(one.numpy() - other.numpy(), shrunk, atol=1e-6)

    @pytest.mark.parametrize(
        "changes",
        [
            ("data.color_space=rgb", "training.l1_weight=7"),
            ("discriminator.conditional=false", "training.adversarial_weight=3"),
            ("training.adversarial_loss=hinge",),
        ],
    )
    def test_the_losses_are_those_of_what_the_networks_give(self, changes):
        trainer = make_trainer(*changes, *PLAIN)
        lightness, chroma = batch()
        config, training = trainer.config, trainer.config.training
        fake, real = color_generator(trainer.generator)(lightness), chroma
        if config.data.color_space == "rgb":
            real = random_images(8).astype(np.float32) / 127.5 - 1
        images = (real, fake)
        if config.discriminator.conditional:
            images = [tf.concat([lightness, colors], -1) for colors in images]
        real_logits, fake_logits = map(trainer.discriminator, images)
        kind = training.adversarial_loss
        expected = [
            np.mean(losses.adversarial_loss(fake_logits, kind)),
            np.mean(np.abs(real - fake)),
            np.mean(losses.discriminator_loss(real_logits, fake_logits, kind=kind)),
        ]
        row = update(trainer, lightness, chroma)
        np.testing.assert_allclose(row[1:4], expected, rtol=1e-3)
        total = training.adversarial_weight * row[1] + training.l1_weight * row[2]
        assert row[0] == pytest.approx(total, rel=1e-5)

    @pytest.mark.parametrize(
        "changes",
        [
            (
                "data.color_space=rgb",
                "data.lightness_scale=unit",
                "discriminator.conditional=false",
            ),
            ("data.color_space=rgb", "training.precision=mixed_bfloat16", "generator.dropout=0.3"),
            ("training.l1_weight=0",),
        ],
    )
    def test_a_step_moves_both_networks_and_the_copy_computes_the_same(self, changes):
        trainer = make_trainer(*changes)
        before = weights(trainer)
        lightness, chroma = batch()
        assert np.isfinite(update(trainer, lightness, chroma)).all()
        moved = [np.abs(a - b).max() for a, b in zip(before, weights(trainer), strict=True)]
        assert min(m for m, w in zip(moved, before, strict=True) if w.ndim == 4) > 0
        copy = trainer.inference_generator()
        assert {layer.compute_dtype for layer in copy.layers} == {"float32"}
        own = {type(x).__name__ for x in copy.layers if "pix2pix" in type(x).__module__}
        assert own <= {"RGBToChroma"}
        tolerance = 1e-5 if trainer.config.training.precision == "float32" else 0.05
        expected = trainer.generator(lightness, training=False)
        np.testing.assert_allclose(copy(lightness), expected, atol=tolerance)
        frozen = copy.get_weights()
        update(trainer, lightness, chroma)
        assert largest_difference(frozen, copy.get_weights()) == 0

    @pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
    def test_low_precision_follows_float32(self, precision):
        expected = fit(make_trainer(*PLAIN), steps=5)
        found = fit(make_trainer(f"training.precision={precision}", *PLAIN), steps=5)
        for name in METRICS[:4]:
            assert found[name] == pytest.approx(expected[name], rel=0.05)


@pytest.mark.parametrize(
    ("kind", "warmup", "rates"),
    [
        ("cosine", 0, {0: 2, 25: 1 + math.sqrt(0.5), 50: 1, 100: 0, 150: 0}),
        ("constant", 4, {0: 0.5, 4: 2, 5: 2, 99: 2}),
        ("cosine", 20, {0: 0.1, 20: 2, 60: 1, 100: 0}),
        ("cosine", 100, {0: 0.02, 100: 2}),
    ],
)
def test_schedules(kind, warmup, rates):
    training = TrainingConfig(steps=100, learning_rate_schedule=kind, warmup_steps=warmup)
    optimizer = make_optimizer(training, build_discriminator(tiny_config().discriminator), 2.0)
    for step, rate in rates.items():
        optimizer.iterations.assign(step)
        assert float(optimizer.learning_rate) == pytest.approx(rate, abs=1e-6)


class TestMovingAverage:
    @pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
    def test_is_the_average_of_the_weights_after_each_step(self, precision):
        trainer = make_trainer(
            "training.ema_momentum=0.6",
            "training.generator_learning_rate=0.01",
            f"training.precision={precision}",
        )
        if precision == "mixed_float16":  # no step is skipped at this scale
            trainer.generator_optimizer.dynamic_scale.assign(16.0)
        average = None
        for step in range(4):
            update(trainer, *batch(seed=step))
            trainer.step.assign_add(1)
            now = [v.numpy() for v in trainer.generator.trainable_variables]
            if average is None:
                average = now
            else:
                average = [0.6 * a + 0.4 * w for a, w in zip(average, now, strict=True)]
        generator = trainer.inference_generator()
        found = [v.numpy() for v in generator.trainable_variables]
        assert largest_difference(found, average) < 1e-6
        assert largest_difference(found, now) > 1e-3
        # The statistics of batch normalization are not averaged, but freed of their start.
        layer, own = (g.get_layer("down1_norm") for g in (trainer.generator, generator))
        start = 0.99**4
        np.testing.assert_allclose(own.moving_mean, layer.moving_mean / (1 - start), rtol=1e-4)
        variance = (layer.moving_variance - start) / (1 - start)
        np.testing.assert_allclose(own.moving_variance, variance, rtol=1e-3)

    def test_before_the_first_step_it_is_the_initial_weights(self):
        trainer = make_trainer(
            "training.ema_momentum=0.6", "training.precision=mixed_float16", *PLAIN
        )
        for _ in range(2):
            copy = trainer.inference_generator()
            assert largest_difference(copy.get_weights(), trainer.generator.get_weights()) == 0
            # A step that loss scaling skips is not a step of the average.
            trainer.generator_optimizer.dynamic_scale.assign(2.0**60)
            update(trainer, *batch())
            trainer.step.assign_add(1)


class Recorder(keras.callbacks.Callback):
    def __init__(self, stop_at=None):
        super().__init__()
        self.stop_at, self.calls, self.logs = stop_at, [], []

    def on_train_begin(self, logs=None):
        self.calls.append("begin")

    def on_epoch_begin(self, epoch, logs=None):
        self.calls.append(f"epoch {epoch}")

    def on_train_batch_end(self, batch, logs=None):
        self.calls.append(batch)
        self.logs.append(logs)
        if batch == self.stop_at:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(f"end {epoch}")
        self.logs.append(logs)

    def on_train_end(self, logs=None):
        self.calls.append("end")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of 8 steps in epochs of 5, saved every third step, and what its callbacks saw."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    trainer = make_trainer("training.checkpoint_every=3", "training.sample_every=4", folder=folder)
    recorder = Recorder()
    logs = fit(trainer, callbacks=[recorder])
    return trainer, folder, recorder, logs


@pytest.fixture
def copied(finished, tmp_path):
    """The folder of that run, copied to where a test may damage it."""
    return shutil.copytree(finished[1], tmp_path / "moved")


class TestRunFolder:
    def test_holds_the_run(self, finished):
        trainer, folder, _, _ = finished
        assert Config.from_json((folder / "config.json").read_text()) == trainer.config
        kept = sorted(p.stem for p in (folder / "checkpoints").glob("*.index"))
        assert kept == ["step-3", "step-6", "step-8"]
        assert list((folder / "logs").rglob("events*"))

    def test_history_has_a_row_every_log_every_steps_from_step_0_on(self, finished):
        rows = read_history(finished[1])
        assert list(rows[0]) == ["step", "epoch", *METRICS]
        assert [(r["step"], r["epoch"]) for r in rows] == [
            ("0", "0"), ("2", "0"), ("4", "0"), ("6", "1")
        ]  # fmt: skip
        fresh = make_trainer()
        stream = as_dataset(random_images()).training_batches(8)
        expected = fresh.train_steps(iter(stream), 5).numpy()
        for row in rows[:3]:  # the value at that very step, not an average
            found = [float(row[name]) for name in METRICS]
            np.testing.assert_allclose(found, expected[int(row["step"])], rtol=1e-3)

    def test_sample_grids_show_gray_real_and_colorized_rows(self, finished):
        samples = sorted((finished[1] / "samples").iterdir())
        assert [p.name for p in samples] == ["step-000004.png", "step-000008.png"]
        grid = tf.io.decode_png(samples[0].read_bytes()).numpy()
        assert grid.shape == (3 * 8, 8 * 8, 3)
        assert np.ptp(grid[:8].astype(int), axis=-1).max() <= 1
        np.testing.assert_array_equal(grid[8:16], np.concatenate(random_images()[:8], axis=1))
        assert (grid[16:] != grid[:8]).any()

    def test_callbacks_are_called_as_keras_calls_them(self, finished):
        _, _, recorder, logs = finished
        assert recorder.calls == [
            "begin", "epoch 0", 2, 3, 4, "end 0", "epoch 1", 0, 2, "end 1", "end"
        ]  # fmt: skip
        assert set(recorder.logs[0]) == set(METRICS)
        assert logs == recorder.logs[-1]

    def test_an_existing_one_is_not_overwritten(self, copied):
        before = (copied / "history.csv").read_text()
        with pytest.raises(TrainingError, match=r"already holds a run.*--resume"):
            fit(make_trainer(folder=copied))
        assert (copied / "history.csv").read_text() == before

    def test_a_finished_run_stays_finished_until_it_is_to_go_on(self, copied, finished):
        trainer = Trainer.resume(copied)
        before = weights(trainer)
        fit(trainer)
        assert trainer.current_step == 8
        assert largest_difference(before, weights(trainer)) == 0
        trainer = Trainer.resume(copied, changes=["training.steps=11"])
        fit(trainer)
        assert trainer.current_step == 11
        old, new = read_history(finished[1]), read_history(copied)
        assert new[: len(old)] == old
        assert [r["step"] for r in new] == ["0", "2", "4", "6", "8", "10"]
        assert Config.from_json((copied / "config.json").read_text()).training.steps == 11
        kept = sorted(p.stem for p in (copied / "checkpoints").glob("*.index"))
        assert kept == ["step-11", "step-8", "step-9"]

    def test_nothing_is_written_without_one(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        trainer = make_trainer()
        fit(trainer, steps=2)
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(TrainingError, match="no run folder"):
            trainer.save()


class TestStopping:
    def test_a_callback_stops_the_run_at_once_and_it_is_saved(self, tmp_path):
        trainer = make_trainer("training.checkpoint_every=2", folder=tmp_path / "run")
        recorder = Recorder(stop_at=1)
        fit(trainer, callbacks=[recorder])
        assert trainer.current_step == 2
        assert recorder.calls == ["begin", "epoch 0", 1, "end 0", "end"]
        assert Trainer.resume(tmp_path / "run").current_step == 2

    def test_images_of_another_size_are_refused(self):
        with pytest.raises(TrainingError, match=r"16 pixels wide, data.image_size is 8"):
            fit(make_trainer(), random_images(8, 16))

    def test_ctrl_c_without_a_folder_says_that_nothing_was_saved(self):
        class CtrlC(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                os.kill(os.getpid(), signal.SIGINT)

        handler = signal.getsignal(signal.SIGINT)
        with pytest.raises(Interrupted, match="Stopped at step 2; there is no run folder"):
            fit(make_trainer("training.checkpoint_every=2"), callbacks=[CtrlC()])
        assert signal.getsignal(signal.SIGINT) is handler


class TestNonFinite:
    def test_a_loss_stops_the_run_by_name_and_step_and_the_last_checkpoint_stays(self, tmp_path):
        images = random_images().astype(np.float32) / 255
        images[7, 3, 3] = np.nan
        dataset = as_dataset(images)
        steps = [np.isnan(chroma).any() for _, chroma in dataset.training_batches(8).take(5)]
        bad = int(np.argmax(steps))
        assert 0 < bad < 5  # the seed puts the image somewhere in the middle
        trainer = make_trainer("training.checkpoint_every=1", folder=tmp_path / "run")
        with pytest.raises(NonFiniteLossError) as caught:
            trainer.fit(dataset, verbose=0)
        message = str(caught.value)
        assert f"Stopped at step {bad}: generator_loss is nan" in message
        assert f"checkpoints/step-{bad}" in message and "Lower the learning rates" in message
        resumed = Trainer.resume(tmp_path / "run")
        assert resumed.current_step == bad
        assert all(np.isfinite(w).all() for w in weights(resumed))

    def test_a_weight_that_is_not_finite_is_never_saved(self, copied):
        trainer = Trainer.resume(copied)
        kernel = trainer.discriminator.get_layer("conv1").kernel
        kernel.assign(kernel * np.inf)
        before = sorted(os.listdir(copied / "checkpoints"))
        with pytest.raises(NonFiniteLossError, match=r"conv1/kernel is not finite.*step-8"):
            trainer.save()
        assert sorted(os.listdir(copied / "checkpoints")) == before


def damage(folder, step, part="data-00000-of-00001"):
    path = folder / "checkpoints" / f"step-{step}.{part}"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


class TestResume:
    def test_brings_everything_back_even_where_the_folder_was_moved(self, finished, copied):
        first, again = finished[0], Trainer.resume(copied)
        assert again.current_step == 8
        assert largest_difference(weights(first), weights(again)) == 0
        for name in ("generator_optimizer", "discriminator_optimizer"):
            states = [[v.numpy() for v in getattr(t, name).variables] for t in (first, again)]
            assert largest_difference(*states) == 0

    @pytest.mark.parametrize("part", ["data-00000-of-00001", "index"])
    def test_a_damaged_newest_checkpoint_is_passed_over_and_named(self, copied, part):
        damage(copied, 8, part)
        with pytest.warns(UserWarning, match=r"step-8 is damaged and was skipped"):
            trainer = Trainer.resume(copied)
        assert trainer.current_step == 6
        fit(trainer)
        assert trainer.current_step == 8
        assert Trainer.resume(copied).current_step == 8

    @pytest.mark.filterwarnings("ignore:The checkpoint")
    def test_all_damaged_is_an_error(self, copied):
        for step in (3, 6, 8):
            damage(copied, step)
        with pytest.raises(TrainingError, match=r"None of the checkpoints in .* can be read"):
            Trainer.resume(copied)

    def test_other_networks_are_an_error(self, copied):
        for change in ("generator.filters=8", "data.color_space=rgb", "data.image_size=16"):
            with pytest.raises(ConfigError, match=f"{change.partition('=')[0]} determines the net"):
                Trainer.resume(copied, changes=[change])
        config = Trainer.resume(copied).config.override("discriminator.depth=2")
        (copied / "config.json").write_text(config.to_json())  # by hand
        with pytest.raises(TrainingError, match="step-8 belongs to other networks"):
            Trainer.resume(copied)

    def test_a_folder_without_a_run_is_an_error(self, tmp_path):
        with pytest.raises(ModelError, match="not a run folder"):
            Trainer.resume(tmp_path)

    def test_a_run_that_ended_before_its_first_checkpoint_starts_again(self, copied):
        shutil.rmtree(copied / "checkpoints")
        with pytest.warns(UserWarning, match="no checkpoint yet: it starts at step 0"):
            trainer = Trainer.resume(copied)
        fit(trainer, steps=4)
        assert [r["step"] for r in read_history(copied)] == ["0", "2"]
        assert Trainer.resume(copied).current_step == 4

    def test_changed_learning_rates_take_effect(self, copied):
        def rates(trainer):
            optimizers = (trainer.generator_optimizer, trainer.discriminator_optimizer)
            return [float(o.learning_rate) for o in optimizers]

        np.testing.assert_allclose(rates(Trainer.resume(copied)), [2e-4, 2.5e-5])
        changed = Trainer.resume(copied, changes=["training.generator_learning_rate=1e-3"])
        np.testing.assert_allclose(rates(changed), [1e-3, 2.5e-5])
        fit(changed, steps=10)
        np.testing.assert_allclose(rates(Trainer.resume(copied)), [1e-3, 2.5e-5])

    def test_the_names_in_a_checkpoint_are_those_of_older_runs(self, copied):
        listed = tf.train.list_variables(str(copied / "checkpoints" / "step-8"))
        names = {name.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE") for name, _ in listed}
        network = {
            "generator": {f"_operations/{i}/moving_{s}" for i in (2, 5, 8) for s in STATISTICS},
            "discriminator": {f"_operations/{i}/moving_{s}" for i in (2, 5) for s in STATISTICS},
        }
        expected = {"_CHECKPOINTABLE_OBJECT_GRAPH", "save_counter", "step"}
        for name, count in (("generator", 14), ("discriminator", 10)):
            expected |= {f"{name}/{path}" for path in network[name]}
            optimizer = f"{name}_optimizer"
            expected |= {f"{optimizer}/_iterations", f"{optimizer}/_learning_rate"}
            expected |= {f"{optimizer}/_trainable_variables/{i}" for i in range(count)}
            expected |= {f"{optimizer}/_variables/{i}" for i in range(2, 2 + 2 * count)}
        assert names == expected


STATISTICS = ("mean", "variance")


# Bit for bit --------------------------------------------------------------------------------

EXACT = """
import os, signal, sys
import keras
import numpy as np
from conftest import TINY, as_dataset, random_images
from pix2pix_color.colorizer import Colorizer
from pix2pix_color.config import Config
from pix2pix_color.distribute import make_strategy
from pix2pix_color.errors import Interrupted
from pix2pix_color.export import export_model
from pix2pix_color.training import Trainer

folder, phase = sys.argv[1:]
dataset = as_dataset(random_images(20))  # epochs of 8 + 8 + 4 images
config = Config.vivid().override(
    *TINY, "generator.guide=", "generator.dropout=0.5", "generator.modulation=true",
    "generator.self_ensemble=true", "data.shift=2", "training.initial_generator=",
    "training.steps=12", "training.checkpoint_every=2", "training.deterministic=true",
    "training.generator_learning_rate=0.01", "training.warmup_steps=2",
    "training.ema_momentum=0.9", "training.weight_decay=0.02", "training.rebalance=0.5",
    "training.rgb_weight=1")

class Kill(keras.callbacks.Callback):
    def __init__(self, trainer, step, number):
        super().__init__()
        self.trainer, self.step, self.number = trainer, step, number
    def on_train_batch_end(self, batch, logs=None):
        if self.trainer.current_step == self.step:
            os.kill(os.getpid(), self.number)

def start(name):
    return Trainer(config, f"{folder}/{name}", make_strategy("cpu"))

def state(trainer):
    parts = {
        "generator": trainer.generator.variables,
        "discriminator": trainer.discriminator.variables,
        "generator_optimizer": trainer.generator_optimizer.variables,
        "discriminator_optimizer": trainer.discriminator_optimizer.variables,
        "dropout": trainer.checkpoints.state.random_states,
        "inference": trainer.inference_generator().weights,
        "step": [trainer.step],
    }
    return {name: [np.array(v) for v in variables] for name, variables in parts.items()}

if phase == "stopped":
    trainer = start("stopped")
    try:
        trainer.fit(dataset, verbose=0, callbacks=[Kill(trainer, 4, signal.SIGINT)])
    except Interrupted as interrupted:
        print(interrupted, flush=True)
    trainer = Trainer.resume(f"{folder}/stopped", strategy=make_strategy("cpu"))
    assert trainer.current_step == 4
    trainer.fit(dataset, verbose=0, callbacks=[Kill(trainer, 9, signal.SIGKILL)])
else:
    stopped = Trainer.resume(f"{folder}/stopped", strategy=make_strategy("cpu"))
    assert stopped.current_step == 8  # the last checkpoint
    whole = start("whole")
    before = whole.generator.get_weights()[0]
    for trainer in (stopped, whole):
        trainer.fit(dataset, verbose=0)
    assert np.abs(whole.generator.get_weights()[0] - before).max() > 0.01
    for name, variables in state(whole).items():
        for one, other in zip(variables, state(stopped)[name], strict=True):
            np.testing.assert_array_equal(one, other, name)
    rows = open(f"{folder}/whole/history.csv").read()
    assert rows == open(f"{folder}/stopped/history.csv").read()
    assert [row.split(",")[0] for row in rows.splitlines()] == "step 0 2 4 6 8 10".split()
    exported = export_model(f"{folder}/stopped", f"{folder}/exported")
    assert Colorizer.load(exported)(random_images(1, 40)[0]).shape == (40, 40, 3)
"""


def test_a_run_stopped_twice_ends_bit_for_bit_as_an_uninterrupted_one(tmp_path):
    """Stopped by Ctrl-C, resumed, killed, resumed: with every option that keeps a state."""
    code, output, errors = run_python(EXACT, tmp_path, "stopped", timeout=900)
    assert code == -signal.SIGKILL, errors[-3000:]
    resume = f"pix2pix-color train --resume {tmp_path / 'stopped'}"
    assert output.splitlines()[-1] == f"Stopped at step 4 and saved. To resume: {resume}"
    code, _, errors = run_python(EXACT, tmp_path, "compare", timeout=900)
    assert code == 0, errors[-3000:]


# Two replicas -------------------------------------------------------------------------------

REPLICAS = """
import numpy as np
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
from conftest import as_dataset, random_images, tiny_config
from pix2pix_color import color
from pix2pix_color.distribute import describe_strategy, make_strategy
from pix2pix_color.errors import TrainingError
from pix2pix_color.training import Trainer

# One for all: the collective operations of a second one would meet those of the first.
two, one = make_strategy("mirrored", devices=["/cpu:0", "/cpu:1"]), make_strategy("cpu")
assert describe_strategy(two) == "MirroredStrategy on 2 CPU replicas"
dataset = as_dataset(random_images(40))
rates = ["training.generator_learning_rate=0.01", "training.discriminator_learning_rate=0.01"]

def trained(strategy, *changes, steps=4):
    trainer = Trainer(tiny_config(*changes), None, strategy)
    return trainer, list(trainer.fit(dataset, steps=steps, verbose=0).values())

def weights(trainer):
    # A bias before a normalization has no gradient but rounding, which Adam makes into steps.
    normalized = trainer.config.generator.normalization != "none"
    last = ("chroma_conv", "logits")
    return [v.numpy() for n in (trainer.generator, trainer.discriminator) for v in n.weights
            if not (normalized and v.path.endswith("bias") and v.path.split("/")[0] not in last)]

def distance(xs, ys):
    return max(float((np.abs(x - y) / (1 + np.abs(x))).max()) for x, y in zip(xs, ys, strict=True))

def compare(tolerance, moved, *changes):
    (a, losses_a), (b, losses_b) = trained(one, *changes), trained(two, *changes)
    assert distance(weights(a), weights(b)) < tolerance, changes
    assert distance(losses_a, losses_b) < tolerance, changes
    assert distance(weights(Trainer(a.config, None, one)), weights(a)) > moved, changes
    return a, b

pair = compare(1e-5, 0.01, *rates, "generator.normalization=none",
               "discriminator.normalization=none", "training.ema_momentum=0.6")
averages = [trainer.inference_generator().trainable_variables for trainer in pair]
assert distance(*averages) < 1e-5
assert distance(averages[1], pair[1].generator.trainable_variables) > 1e-3
compare(1e-4, 0.01, *rates, "generator.kind=residual", "generator.kernel_size=3",
        "generator.normalization=none", "discriminator.normalization=spectral",
        "training.adversarial_loss=hinge", "training.feature_matching_weight=2",
        "training.rgb_weight=1", "training.rebalance=0.5")
compare(1e-4, 5e-4, "training.synchronized_batch_norm=true")

# Batch statistics of their own, and loss scaling: they skip a step together when the gradients
# of one overflow, here those of the first replica's half of the batch.
trainer, losses = trained(two, "training.precision=mixed_float16", steps=3)
assert np.isfinite(losses).all()

def copies():  # of every replica
    return [[c.numpy() for c in two.experimental_local_results(v.value)]
            for n in (trainer.generator, trainer.discriminator) for v in n.trainable_variables]

def scales():
    optimizers = (trainer.generator_optimizer, trainer.discriminator_optimizer)
    return np.array([o.dynamic_scale.numpy() for o in optimizers])

lightness, chroma = (part.numpy() for part in color.split(random_images(8)))
lightness[0] = 1e6
before, scales_before = copies(), scales()
batch = tf.data.Dataset.from_tensors((lightness, chroma))
trainer.train_steps(iter(two.experimental_distribute_dataset(batch)), 1)
for old, new in zip(before, copies()):
    assert distance(old, new) == distance(new[:1], new[1:]) == 0
np.testing.assert_allclose(scales(), scales_before / 2)

try:
    Trainer(tiny_config("training.batch_size=7"), None, two)
except TrainingError as error:
    assert str(error) == "training.batch_size 7 is not a multiple of the 2 replicas."
else:
    raise AssertionError
"""


def test_two_replicas_give_the_weights_of_one():
    code, _, errors = run_python(REPLICAS, timeout=900)
    assert code == 0, errors[-3000:]


def test_progress_names_the_step_the_run_stopped_at_and_the_time_left(capsys, monkeypatch):
    """A line that counts a stopped run's last epoch as whole."""
    seconds = iter((100, 104, 104))
    clock = types.SimpleNamespace(monotonic=lambda: next(seconds))
    monkeypatch.setattr("pix2pix_color.training.loop.time", clock)
    progress = Progress(end=1_000, steps=60, live=False)
    progress.on_epoch_begin(0)
    for last in (9, 41):
        progress.on_train_batch_end(last, {"l1_loss": 0.25})
    progress.on_train_end()
    expected = "Step 42 of 1,000 (epoch 1 of 17): l1_loss 0.25, 0:02:00 left\n"
    assert capsys.readouterr().out == expected


def test_images_that_changed_since_a_run_began_are_reported(tmp_path):
    """Kind: a split that moves. The run goes on with other data, and says so."""
    images = as_dataset(random_images())
    files = {f"{i}.png": i for i in range(6)}
    first = dataclasses.replace(images, files=files)
    Trainer(tiny_config("training.steps=2"), tmp_path).fit(first, verbose=0)
    changed = dataclasses.replace(images, files={"0.png": 9, "a.png": 1})
    trainer = Trainer.resume(tmp_path)
    expected = r"1 added \(a\.png\), 5 removed \(1\.png, 2\.png, 3\.png and 2 more\), 1 changed"
    with pytest.warns(UserWarning, match=expected):
        trainer.fit(changed, steps=trainer.current_step + 1, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        trainer.fit(changed, steps=trainer.current_step + 1, verbose=0)
