"""Studies run, for real and tiny, on the photographs inside scikit-image."""

from __future__ import annotations

import json
import shutil
import signal
import weakref
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from conftest import tiny_config
from pandas.testing import assert_series_equal

from pix2pix_color import color
from pix2pix_color.data import load_dataset
from pix2pix_color.errors import Interrupted, StudyError
from pix2pix_color.experiments import runner
from pix2pix_color.experiments.report import (
    open_results,
    publish,
    rows_of,
    sample_sheet,
    study_panels,
    study_table,
)
from pix2pix_color.experiments.runner import free_tf_memory, run_studies
from pix2pix_color.experiments.study import Study, Variant
from pix2pix_color.experiments.table import Results
from pix2pix_color.files import locked
from pix2pix_color.model_folder import ModelFolder, build_network, for_inference
from pix2pix_color.training import Trainer

BUDGET = 160  # 20 steps of 8 images


def study(name: str, *variants: Variant) -> Study:
    base = tiny_config("data.dataset=photographs")
    claims = f"Title of {name}", "A claim.", "A question?"
    return Study(name, "generator", *claims, variants, BUDGET, base)


FIRST = study("first", Variant("RGB", ("data.color_space=rgb",)))
SECOND = study(
    "second",
    Variant("explodes", ("training.generator_learning_rate=1e30", "training.l1_weight=1e30")),
)


def run(folder: Path, *studies: Study, images: int = 30) -> dict[tuple[str, int], dict]:
    """Runs studies and returns the rows of the table by variant and seed."""
    rows = run_studies(studies, folder, images=images).rows.to_dict("records")
    return {(row["variant"], row["seed"]): row for row in rows}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of two studies that share their baseline; one variant of them diverges."""
    folder = tmp_path_factory.mktemp("experiments")
    run_studies([FIRST, SECOND], folder, images=30)
    return folder


@pytest.fixture(scope="module")
def rows(finished) -> dict[tuple[str, int], dict]:
    return run(finished, FIRST, SECOND)


def refuse(*_, **__):
    raise AssertionError("nothing is left to be done")


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    return shutil.copytree(finished, tmp_path / "copy")


def forget(folder: Path, name: str) -> None:
    """Deletes a run, its folder and its row."""
    results = Results(folder / "experiments.csv")
    results.rows = results.rows[results.rows["run"] != name]
    results.write()
    shutil.rmtree(folder / name)


class TestResults:
    def test_a_row_a_run_and_the_baseline_only_once(self, finished):
        table = open_results(finished).rows
        assert table[["study", "variant", "seed"]].to_records(index=False).tolist() == [
            ("first", "report", 0),
            ("first", "RGB", 0),
            ("second", "explodes", 0),
            ("first", "report", 1),
        ]

    def test_say_what_was_run_and_what_it_cost(self, finished, rows):
        row = rows["report", 1]
        generator = ModelFolder(finished / row["run"]).generator()
        assert row["generator_parameters"] == generator.count_params()
        assert (row["steps"], row["batch_size"], row["images"]) == (20, 8, BUDGET)
        assert row["tflop"] == pytest.approx(row["gflop_per_image"] * BUDGET / 1e3, rel=1e-4)
        assert (row["dataset"], row["split"], row["limit"]) == ("photographs", "test", 30)
        history = np.genfromtxt(finished / row["run"] / "history.csv", delimiter=",", names=True)
        last = history["generator_loss"][-2:].mean()  # a tenth
        assert row["generator_loss"] == pytest.approx(last, rel=1e-4)

    def test_scores_are_those_of_the_saved_generator(self, finished, rows):
        row = rows["RGB", 0]
        metrics = json.loads((finished / row["run"] / "metrics.json").read_text())
        assert metrics["scores"]["model"]["psnr"] == pytest.approx(row["psnr"], rel=1e-5)
        assert metrics["scores"]["no_color"]["psnr"] == pytest.approx(row["no_color_psnr"])
        assert metrics["count"] == row["count"]
        assert row["psnr_low"] < row["psnr"] < row["psnr_high"]
        generator = ModelFolder(finished / row["run"]).generator()
        sheet = sample_sheet(FIRST, finished, budget=BUDGET)
        lightness, _ = color.split(sheet["real"])
        colors = color.to_uint8(color.merge(lightness, generator(lightness, training=False)))
        np.testing.assert_array_equal(sheet["RGB"], colors)

    def test_the_gain_is_paired_with_the_reports_run_of_the_same_seed(self, finished, rows):
        own, report = rows["RGB", 0], rows["report", 0]
        assert own["psnr_gain"] == pytest.approx(own["psnr"] - report["psnr"], abs=1e-3)
        scores = [np.load(finished / row["run"] / "per_image.npz")["psnr"] for row in (own, report)]
        half = 1.96 * np.std(scores[0] - scores[1], ddof=1) / np.sqrt(own["count"])
        assert own["psnr_gain_high"] - own["psnr_gain"] == pytest.approx(half, abs=1e-3)
        assert np.isnan(report["psnr_gain"])

    def test_a_variant_that_diverges_is_recorded_and_the_others_go_on(self, finished, rows):
        row = rows["explodes", 0]
        assert row["status"].startswith("diverged at step ")
        assert np.isnan(row["psnr"])
        assert not (finished / row["run"] / "saved_model").exists()
        assert not list(finished.glob("*/checkpoints"))  # nobody needs them any more


class TestGoingOn:
    def test_what_is_done_is_skipped(self, copied, monkeypatch):
        before = (copied / "experiments.csv").read_bytes()
        monkeypatch.setattr(Trainer, "fit", refuse)
        monkeypatch.setattr(runner, "evaluate", refuse)
        run(copied, SECOND, FIRST)
        assert (copied / "experiments.csv").read_bytes() == before

    def test_a_lost_table_is_made_again_from_the_saved_generators(self, copied, rows, monkeypatch):
        (copied / "experiments.csv").unlink()
        monkeypatch.setattr(Trainer, "fit", refuse)
        read = []
        monkeypatch.setattr(
            runner, "load_dataset", lambda *a, **o: read.append(a) or load_dataset(*a, **o)
        )
        again = run(copied, FIRST)
        assert read == [("photographs", "test"), ("photographs", "train")]  # once for all runs
        for name in (("report", 0), ("RGB", 0), ("report", 1)):
            assert_series_equal(pd.Series(again[name]), pd.Series(rows[name]), rtol=1e-4)

    def test_a_failure_is_recorded_and_tried_again(self, copied, rows, monkeypatch):
        forget(copied, rows["RGB", 0]["run"])
        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "fit", lambda *_, **__: tf.ensure_shape(tf.zeros(3), [4]))
            row = run(copied, FIRST)["RGB", 0]
        assert row["status"].startswith("failed: ")
        assert np.isnan(row["psnr"])
        row = run(copied, FIRST)["RGB", 0]
        assert row["psnr"] == pytest.approx(rows["RGB", 0]["psnr"], rel=1e-3)

    def test_an_invalid_study_is_refused_before_anything_is_trained(self, tmp_path):
        deep = study("deep", Variant("too deep", ("generator.depth=4",)))
        with pytest.raises(StudyError, match="too deep"):
            run(tmp_path / "runs", FIRST, deep)
        assert not (tmp_path / "runs").exists()

    def test_what_another_runner_does_is_left_to_it(self, copied, rows, capsys):
        name = rows["RGB", 0]["run"]
        forget(copied, name)
        with locked(copied / ".locks" / f"{name}.lock"):
            left = run(copied, FIRST)
        assert "[1/1] first / RGB, seed 0: another runner has it." in capsys.readouterr().out
        assert ("RGB", 0) not in left


class Killed(BaseException):
    """Ends a training at once, like SIGKILL: nothing is saved."""


def at_step(monkeypatch, step: int, action: Callable[[], None]) -> None:
    """Makes every training do something after a step."""
    fit = Trainer.fit

    def fit_until(trainer: Trainer, dataset):
        class Stop(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                if trainer.current_step == step:
                    action()

        return fit(trainer, dataset, callbacks=[Stop()])

    monkeypatch.setattr(Trainer, "fit", fit_until)


def test_a_study_that_was_killed_and_stopped_ends_with_the_same_table(rows, tmp_path, monkeypatch):
    def kill():
        raise Killed

    baseline = study("first")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        at_step(patch, 8, kill)
        run(tmp_path, baseline)
    with monkeypatch.context() as patch:
        at_step(patch, 14, lambda: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(Interrupted) as stop:
            run(tmp_path, baseline)
    assert str(stop.value) == (
        "first / report, seed 0: Stopped at step 14 and saved. To resume, run the same command "
        "again."
    )
    assert not (tmp_path / "experiments.csv").exists()
    row = run(tmp_path, baseline)["report", 0]
    whole = pd.Series(rows["report", 0])[[*row]]  # without the gains of other variants
    assert_series_equal(pd.Series(row), whole, rtol=1e-2)
    history = np.genfromtxt(tmp_path / row["run"] / "history.csv", delimiter=",", names=True)
    assert history["step"].tolist() == [*range(20)]  # without a gap or a repetition


def test_a_generator_continued_from_another_keeps_the_statistics_it_started_with():
    config = tiny_config("training.initial_generator=stable")
    trained = build_network(config, "generator")
    kept = for_inference(config, trained, None, step=3)
    for one, other in zip(trained.get_weights(), kept.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_memory_of_a_run_is_given_back():
    def train() -> weakref.ref:
        trainer = Trainer(tiny_config("training.precision=mixed_bfloat16"))
        data = tf.data.Dataset.from_tensors((tf.zeros([8, 8, 8, 1]), tf.zeros([8, 8, 8, 2])))
        trainer.train_steps(iter(data.repeat()), 1)
        return weakref.ref(trainer.step.handle)

    handle = train()
    free_tf_memory()
    assert handle() is None


class TestReport:
    def test_finds_each_variants_rows_wherever_they_were_run(self, finished):
        table = open_results(finished).rows
        found = rows_of(SECOND, table, BUDGET)
        assert [(name, len(own)) for name, own in found.items()] == [("report", 2), ("explodes", 1)]
        assert list(found["report"]["study"]) == ["first", "first"]
        assert rows_of(SECOND, table, BUDGET + 1) == {}

    def test_shows_claim_cost_scores_and_gain(self, finished, rows):
        table = open_results(finished).rows
        text = study_table(FIRST, table)
        own = rows["RGB", 0]["psnr"]
        report = np.mean([rows["report", seed]["psnr"] for seed in (0, 1)])
        count = rows["RGB", 0]["count"]
        assert "The report: A claim." in text
        assert f"Budget 160 images per variant; scored on {count} images of photographs" in text
        (line,) = [line for line in text.splitlines() if line.startswith("| RGB |")]
        assert f"| {own:.2f} [" in line
        assert f"| {own - report:+.2f} [" in line
        lines = study_table(SECOND, table).splitlines()
        (line,) = [line for line in lines if line.startswith("| explodes |")]
        assert "diverged at step" in line
        assert study_table(FIRST, table, budget=123).endswith("No run yet.\n")

    def test_the_sample_sheet_is_the_same_from_a_published_copy(self, finished, tmp_path):
        publish(finished, tmp_path)
        publish(finished, tmp_path)  # replaces the same runs
        sheets = [sample_sheet(FIRST, folder, budget=BUDGET) for folder in (finished, tmp_path)]
        for sheet in sheets:
            assert list(sheet) == ["real", "report", "RGB"]
            assert all(images.shape == (8, 8, 8, 3) for images in sheet.values())
            np.testing.assert_array_equal(sheet["RGB"], sheets[0]["RGB"])
            assert (sheet["RGB"] != sheet["report"]).any()
        assert open_results(tmp_path).rows.equals(open_results(finished).rows)
        assert list(sample_sheet(SECOND, finished, budget=BUDGET)) == ["real", "report"]

    def test_the_panels_hold_means_over_seeds_within_intervals(self, finished, rows):
        table = open_results(finished).rows
        panels = study_panels(FIRST, table, ("psnr", "ssim"), budget=BUDGET)
        assert list(panels) == ["true PSNR (dB) ↑", "true SSIM ↑"]
        own = [rows["report", seed] for seed in (0, 1)]
        mean, low, high = panels["true PSNR (dB) ↑"]["report"]
        assert mean == pytest.approx(np.mean([row["psnr"] for row in own]))
        images = (own[0]["psnr_high"] - own[0]["psnr_low"]) / 2
        # Of two sources of chance the interval is wider than of either alone.
        seeds = 1.96 * np.std([row["psnr"] for row in own], ddof=1) / np.sqrt(2)
        assert (high - low) / 2 >= 0.999 * np.hypot(images, seeds)
        (panel,) = study_panels(SECOND, table, ("psnr",), budget=BUDGET).values()
        assert list(panel) == ["report"]
