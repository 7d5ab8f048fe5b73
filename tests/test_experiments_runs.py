"""Studies run, for real and tiny, on the photographs inside scikit-image."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import run_python, tiny_config

from pix2pix_color.distribute import make_strategy
from pix2pix_color.errors import Interrupted, StudyError
from pix2pix_color.experiments import runner as runner_module
from pix2pix_color.experiments import runs, search
from pix2pix_color.experiments.jobs import plan
from pix2pix_color.experiments.report import (
    open_results,
    publish,
    rows_of,
    sample_sheet,
    study_panels,
    study_table,
)
from pix2pix_color.experiments.runner import Runner, free_tf_memory, interruptible, run_studies
from pix2pix_color.experiments.studies import SEARCH
from pix2pix_color.experiments.study import REPORT, Study, Variant
from pix2pix_color.experiments.table import Results, as_table
from pix2pix_color.model_folder import ModelFolder, build_for_inference, for_inference
from pix2pix_color.training import Trainer

BASE = tiny_config("data.dataset=photographs")
CPU = make_strategy("cpu")
OPTIONS = {"base": BASE, "images": 30, "budget": 80, "verbose": 0, "say": lambda text: None}
TWO = dataclasses.replace(REPORT, seeds=(0, 1))


def study(name: str, *variants: Variant) -> Study:
    return Study(name, "mine", f"Title of {name}", "4.2.1", "A claim.", "A question?", variants)


FIRST = study("first", TWO, Variant("RGB", ("data.color_space=rgb",)))
SECOND = study(
    "second",
    TWO,
    Variant("explodes", ("training.generator_learning_rate=1e30", "training.l1_weight=1e30")),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of two studies that share their baseline; one variant of them diverges."""
    folder = tmp_path_factory.mktemp("experiments")
    run_studies([FIRST, SECOND], folder, **OPTIONS)
    return folder


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    return shutil.copytree(finished, tmp_path / "copy")


def rows_by_variant(folder: Path) -> dict[tuple[str, int], dict]:
    rows = Results(folder / "results.csv").records()
    return {(row["variant"], row["seed"]): row for row in rows}


def forget(folder: Path, *runs: str) -> None:
    """Deletes runs, their folders and their rows."""
    table = Results(folder / "results.csv")
    table.rows = table.rows[~table.rows["run"].isin(runs)]
    table.write()
    for run in runs:
        shutil.rmtree(folder / run)


class TestResults:
    def test_a_row_a_run_and_the_baseline_only_once(self, finished):
        rows = Results(finished / "results.csv").rows
        assert rows[["study", "variant", "seed"]].to_records(index=False).tolist() == [
            ("first", "report", 0),
            ("first", "RGB", 0),
            ("second", "explodes", 0),
            ("first", "report", 1),
        ]

    def test_say_what_was_run_and_what_it_cost(self, finished):
        row = rows_by_variant(finished)["report", 1]
        generator = ModelFolder(finished / row["run"]).generator()
        assert row["generator_parameters"] == generator.count_params()
        assert (row["steps"], row["batch_size"], row["images"]) == (10, 8, 80)
        assert row["tflop"] == pytest.approx(row["gflop_per_image"] * 80 / 1e3, rel=1e-4)
        assert row["seconds"] > 0
        assert row["images_per_second"] > 0
        assert (row["dataset"], row["split"], row["limit"]) == ("photographs", "test", 30)
        history = (finished / row["run"] / "history.csv").read_text().splitlines()
        assert float(history[-1].split(",")[2]) == pytest.approx(row["generator_loss"], rel=1e-4)

    def test_scores_are_those_of_the_saved_generator(self, finished):
        rows = rows_by_variant(finished)
        row, first = rows["RGB", 0], rows["report", 0]
        metrics, of_first = (
            json.loads((finished / r["run"] / "metrics.json").read_text()) for r in (row, first)
        )
        assert metrics["scores"]["model"]["psnr"] == pytest.approx(row["psnr"], rel=1e-5)
        assert metrics["count"] == row["count"]
        assert row["psnr_low"] < row["psnr"] < row["psnr_high"]
        # The baselines are scored once, with the first run, and stand in every row.
        assert "no_color" not in metrics["scores"]
        for r in (row, first):
            assert r["no_color_psnr"] == pytest.approx(
                of_first["scores"]["no_color"]["psnr"], rel=1e-5
            )

    def test_the_gain_is_paired_with_the_reports_run_of_the_same_seed(self, finished):
        rows = rows_by_variant(finished)
        own, report = rows["RGB", 0], rows["report", 0]
        assert own["psnr_gain"] == pytest.approx(own["psnr"] - report["psnr"], abs=1e-3)
        scores = [np.load(finished / row["run"] / "per_image.npz")["psnr"] for row in (own, report)]
        half = 1.96 * np.std(scores[0] - scores[1], ddof=1) / np.sqrt(own["count"])
        assert own["psnr_gain_high"] - own["psnr_gain"] == pytest.approx(half, abs=1e-3)
        assert report["psnr_gain"] is None

    def test_a_variant_that_diverges_is_recorded_and_the_others_go_on(self, finished):
        row = rows_by_variant(finished)["explodes", 0]
        assert row["status"].startswith("diverged at step ")
        assert row["psnr"] is None
        assert not (finished / row["run"] / "saved_model").exists()

    def test_checkpoints_do_not_stay(self, finished):
        assert not list(finished.glob("*/checkpoints"))


class TestGoingOn:
    def refuse(self, monkeypatch):
        def perform(*_, **__):
            raise AssertionError("nothing is left to be done")

        monkeypatch.setattr(runner_module, "perform", perform)

    def test_what_is_done_is_skipped(self, copied, monkeypatch):
        self.refuse(monkeypatch)
        before = (copied / "results.csv").read_bytes()
        run_studies([SECOND, FIRST], copied, **OPTIONS)
        assert (copied / "results.csv").read_bytes() == before

    def test_the_rows_are_enough_and_so_are_the_folders(self, copied, monkeypatch, tmp_path):
        self.refuse(monkeypatch)
        before = rows_by_variant(copied)
        (tmp_path / "rows").mkdir()
        shutil.copy(copied / "results.csv", tmp_path / "rows" / "results.csv")
        run_studies([FIRST, SECOND], tmp_path / "rows", **OPTIONS)
        (copied / "results.csv").unlink()
        run_studies([FIRST, SECOND], copied, **OPTIONS)
        assert rows_by_variant(copied) == before

    def test_a_failure_is_recorded_and_tried_again(self, copied, monkeypatch):
        before = rows_by_variant(copied)["RGB", 0]
        forget(copied, before["run"])
        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "fit", lambda *_, **__: tf.ensure_shape(tf.zeros(3), [4]))
            run_studies([FIRST], copied, **OPTIONS)
        row = rows_by_variant(copied)["RGB", 0]
        assert row["status"].startswith("failed: ")
        assert row["psnr"] is None
        run_studies([FIRST], copied, **OPTIONS, keep_generators=False)
        row = rows_by_variant(copied)["RGB", 0]
        assert row["status"] == "done"
        assert row["psnr"] == pytest.approx(before["psnr"], rel=1e-3)
        assert not (copied / row["run"] / "saved_model").exists()
        self.refuse(monkeypatch)  # without its generator it counts as done
        run_studies([FIRST], copied, **OPTIONS)

    def test_rescoring_trains_nothing(self, copied, monkeypatch):
        monkeypatch.setattr(runs, "train", None)
        before = rows_by_variant(copied)
        run_studies([FIRST], copied, **{**OPTIONS, "images": 20, "seeds": [0]}, rescore=True)
        after = rows_by_variant(copied)
        assert after["report", 0]["limit"] == after["RGB", 0]["limit"] == 20
        assert after["report", 1] == before["report", 1]
        assert after["RGB", 0]["psnr"] != before["RGB", 0]["psnr"]
        assert after["RGB", 0]["psnr_gain"] != before["RGB", 0]["psnr_gain"]
        assert after["explodes", 0] == before["explodes", 0]

    def test_an_invalid_study_is_refused_before_anything_is_trained(self, tmp_path):
        deep = study("deep", TWO, Variant("too deep", ("generator.depth=4",)))
        with pytest.raises(StudyError, match="too deep"):
            run_studies([FIRST, deep], tmp_path / "runs", **OPTIONS)
        assert not (tmp_path / "runs").exists()


class TestSharing:
    def test_what_another_runner_does_is_left_to_it(self, copied, monkeypatch):
        row = rows_by_variant(copied)["RGB", 0]
        forget(copied, row["run"])
        monkeypatch.setattr(runner_module, "perform", lambda *_, **__: row)
        lines = []
        options = {**OPTIONS, "say": lines.append, "seeds": [0]}
        with Runner(copied, base=BASE).claim(row["run"]) as mine:
            assert mine
            run_studies([FIRST], copied, **options)
        assert "[1/1] first / RGB, seed 0: another runner has it." in lines
        assert ("RGB", 0) not in rows_by_variant(copied)
        run_studies([FIRST], copied, **options)  # the claim ended with its runner
        assert rows_by_variant(copied)["RGB", 0] == row

    def test_what_another_runner_has_done_meanwhile_is_not_done_again(self, copied, monkeypatch):
        runner = Runner(copied, base=BASE, images=30, say=lambda text: None)
        job = plan([FIRST], BASE, 80, [0])[1]
        seen = iter([None, None])  # it was not done when the runner looked at all runs
        original = runner.done
        monkeypatch.setattr(runner, "done", lambda job: next(seen, None) or original(job))
        monkeypatch.setattr(runner_module, "perform", None)
        runner.run([job])

    def test_a_search_has_one_runner(self, tmp_path):
        lines = []
        runner = Runner(tmp_path, base=BASE, images=30, say=lines.append)
        with Runner(tmp_path, base=BASE).claim("search-80-seed0"):
            search.run_search(runner, budget=160, trials=1)
        assert lines == ["Another runner has the search."]
        assert not list(tmp_path.glob("search-*"))


_KILLED = """
import os, signal, sys
from conftest import tiny_config
from pix2pix_color.errors import Interrupted
from pix2pix_color.experiments import runs
from pix2pix_color.experiments.runner import run_studies
from pix2pix_color.experiments.study import REPORT, Study

changes = ("data.dataset=photographs", "training.deterministic=true", "generator.dropout=0.3")
study = Study("one", "mine", "One", "4.2.1", "A claim.", "A question?", (REPORT,))

class Stop(runs._Clock):
    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        if stops and self.trainer.current_step == stops[0][0]:
            os.kill(os.getpid(), stops.pop()[1])

def run(folder, *stop):
    stops[:] = [stop] if stop else []
    base = tiny_config(*changes)
    options = {"budget": 160, "images": 30, "seeds": [0], "verbose": 0}
    run_studies([study], f"{sys.argv[1]}/{folder}", base=base, **options)

runs._Clock, stops = Stop, []
if sys.argv[2] == "first":
    run("whole")
    run("killed", 7, signal.SIGKILL)  # its last checkpoint is of step 6
try:
    run("killed", 15, signal.SIGTERM)
except Interrupted as stop:
    print("INTERRUPTED", stop, flush=True)
run("killed")
"""


def test_a_study_that_was_killed_and_stopped_ends_with_the_same_table(tmp_path):
    code, output, _ = run_python(_KILLED, tmp_path, "first")
    assert code == -9
    assert "one / report, seed 0: done" in output
    assert not (tmp_path / "killed" / "results.csv").exists()
    code, output, errors = run_python(_KILLED, tmp_path, "then")
    assert code == 0, errors
    assert "INTERRUPTED one / report, seed 0: Stopped at step 15 and saved." in output
    assert "run the same command again" in output
    folders = [tmp_path / "whole", tmp_path / "killed"]
    ((whole,), (killed,)) = (Results(folder / "results.csv").records() for folder in folders)
    for row in (whole, killed):
        assert row.pop("seconds") > 0
        assert row.pop("images_per_second") > 0
    assert killed == whole
    # The histories are the same too, without a gap or a repetition.
    histories = [(folder / whole["run"] / "history.csv").read_text() for folder in folders]
    assert histories[0] == histories[1]
    assert len(histories[0].splitlines()) == 21


def test_a_generator_continued_from_another_keeps_the_statistics_it_started_with():
    config = tiny_config()
    trained = build_for_inference(config)
    fresh = for_inference(config, trained, None, 3)
    continued = config.override("training.initial_generator=stable")
    kept = for_inference(continued, trained, None, 3)
    for one, other in zip(trained.get_weights(), kept.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    layer = "down1_norm"
    assert np.any(
        fresh.get_layer(layer).moving_variance != trained.get_layer(layer).moving_variance
    )


def test_a_stop_swallowed_by_an_objects_deletion_comes_between_two_runs(monkeypatch):
    class Deleted:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)

    swallowed = []
    monkeypatch.setattr(sys, "unraisablehook", lambda hooked: swallowed.append(hooked.exc_type))
    with pytest.raises(Interrupted, match="run the same command again"), interruptible() as check:
        check()
        del [Deleted()][0]
        assert swallowed == [KeyboardInterrupt]  # Python ignored it
        check()
        pytest.fail("not stopped")


def test_the_memory_of_a_run_is_given_back():
    def train() -> weakref.ref:
        trainer = Trainer(tiny_config("training.precision=mixed_bfloat16"), strategy=CPU)
        data = tf.data.Dataset.from_tensors((tf.zeros([8, 8, 8, 1]), tf.zeros([8, 8, 8, 2])))
        trainer.train_steps(iter(data.repeat()), 1)
        return weakref.ref(trainer.step.handle)

    with free_tf_memory():
        handle = train()
    assert handle() is None


def test_the_time_left_is_that_of_the_operations_left(finished, tmp_path):
    jobs = plan([FIRST], BASE, 80)
    assert Runner(tmp_path, base=BASE).time_left(jobs) == "unknown until the first run is done"
    runner = Runner(finished, base=BASE)
    runner.results.rows["seconds"] = 600 * runner.results.rows["tflop"] / jobs[0].tflop
    assert runner.time_left([jobs[0]] * 13) == "about 2 h 10 min"


class TestReport:
    def test_finds_each_variants_rows_wherever_they_were_run(self, finished):
        rows = open_results(finished).rows
        found = rows_of(SECOND, rows, 80, BASE)
        assert [(name, len(own)) for name, own in found.items()] == [("report", 2), ("explodes", 1)]
        assert list(found["report"]["study"]) == ["first", "first"]
        assert rows_of(SECOND, rows, 81, BASE) == {}

    def test_shows_claim_cost_scores_and_gain(self, finished):
        rows = open_results(finished).rows
        text = study_table(FIRST, rows, base=BASE)
        by_variant = rows_by_variant(finished)
        own = by_variant["RGB", 0]["psnr"]
        report = np.mean([by_variant["report", seed]["psnr"] for seed in (0, 1)])
        assert "The report: A claim." in text
        count = by_variant["RGB", 0]["count"]
        assert f"Budget 80 images per variant; scored on {count} images of photographs" in text
        (line,) = [line for line in text.splitlines() if line.startswith("| RGB |")]
        assert f"| {own:.2f} [" in line
        assert f"| {own - report:+.2f} [" in line
        assert "report psnr" not in text.lower()
        (line,) = [
            line
            for line in study_table(SECOND, rows, base=BASE).splitlines()
            if line.startswith("| explodes |")
        ]
        assert "diverged at step" in line

    def test_says_when_nothing_was_run(self, finished):
        text = study_table(FIRST, open_results(finished).rows, budget=123, base=BASE)
        assert text.endswith("No run yet.\n")

    def test_the_sample_sheet_is_the_same_from_a_published_copy(self, finished, tmp_path):
        # The real ones, and each variant's first seed; "explodes" has none.
        assert publish(finished, tmp_path / "small") == 3
        sheets = [
            sample_sheet(FIRST, f, budget=80, base=BASE) for f in (finished, tmp_path / "small")
        ]
        for sheet in sheets:
            assert list(sheet) == ["real", "report", "RGB"]
            assert all(images.shape == (8, 8, 8, 3) for images in sheet.values())
            np.testing.assert_array_equal(sheet["RGB"], sheets[0]["RGB"])
            assert (sheet["RGB"] != sheet["report"]).any()
        assert open_results(tmp_path / "small").records() == open_results(finished).records()

    def test_the_panels_hold_means_over_seeds_within_intervals(self, finished):
        rows, by_variant = open_results(finished).rows, rows_by_variant(finished)
        panels = study_panels(FIRST, rows, ("psnr", "ssim"), budget=80, base=BASE)
        assert list(panels) == ["true PSNR (dB) ↑", "true SSIM ↑"]
        own = [by_variant["report", seed] for seed in (0, 1)]
        mean, low, high = panels["true PSNR (dB) ↑"]["report"]
        assert mean == pytest.approx(np.mean([row["psnr"] for row in own]))
        images = (own[0]["psnr_high"] - own[0]["psnr_low"]) / 2
        deviation = np.std([row["psnr"] for row in own], ddof=1)
        # Of two sources of chance the interval is wider than of either alone.
        seeds = 1.96 * deviation / np.sqrt(2)
        assert (high - low) / 2 >= 0.999 * np.hypot(images, seeds)
        assert (
            "explodes"
            not in study_panels(SECOND, rows, ("psnr",), budget=80, base=BASE)["true PSNR (dB) ↑"]
        )

    def test_the_samples_are_the_generators_colors(self, finished):
        row = rows_by_variant(finished)["report", 0]
        generator = ModelFolder(finished / row["run"]).generator()
        scorer = runs.Scorer(runs.Data(BASE, 30).test(), 30)
        sheet = sample_sheet(FIRST, finished, budget=80, base=BASE)
        np.testing.assert_array_equal(sheet["real"], scorer.samples)
        assert scorer.strip(generator) == (finished / row["run"] / "samples.png").read_bytes()


class TestSearch:
    def runner(self, folder: Path) -> Runner:
        return Runner(folder, base=BASE, images=30, verbose=0, say=lambda text: None)

    def search(self, folder: Path, trials: int):
        return search.run_search(self.runner(folder), budget=160, trials=trials).records()

    def test_an_interrupted_one_resumes_with_the_same_points(self, tmp_path, monkeypatch):
        monkeypatch.setattr(search, "_REPORTS", 2)
        parts = []

        def stop_in_second_trial(trainer, *_, **options):
            parts.append(options["steps"])
            if len(parts) > 2:
                raise KeyboardInterrupt
            train(trainer, *_, **options)

        train, lines, runner = search.train, [], self.runner(tmp_path)
        runner.say = lines.append
        with monkeypatch.context() as patch:
            patch.setattr(search, "train", stop_in_second_trial)
            with pytest.raises(Interrupted, match="same command again"):
                search.run_search(runner, budget=160, trials=2)
        first = Results(tmp_path / "results.csv").records()
        assert len(first) == 1
        assert first[0]["study"] == SEARCH.name
        assert (first[0]["images"], first[0]["split"]) == (80, "train, held out")
        assert "training.generator_learning_rate=0.0002 " in first[0]["changes"]
        assert "training.discriminator_learning_rate=2.5e-05 " in first[0]["changes"]
        rows = self.search(tmp_path, 2)
        assert [row["variant"] for row in rows] == ["trial 0", "trial 1"]
        assert rows[0] == first[0]
        (started,) = (line for line in lines if line.startswith("[2/2]"))
        assert started.endswith(rows[1]["changes"])
        assert rows[1]["status"] == "done" or rows[1]["status"].startswith("pruned")
        assert self.search(tmp_path, 2) == rows
        assert "| 0 | `training" in study_table(SEARCH, as_table(rows))

    def test_trials_are_scored_on_images_that_they_do_not_learn_from(self):
        dataset = runs.Data(BASE, None).train(BASE)
        numbers = np.arange(dataset.count)
        kept, held = search.split_off(dataclasses.replace(dataset, labels=numbers))
        assert np.concatenate([kept.labels, held.labels]).tolist() == numbers.tolist()
        assert len(held.labels) == held.count
        kept, held = search.split_off(dataset)
        both = [
            image.tobytes() for part in (kept, held) for image in part.images.as_numpy_iterator()
        ]
        assert both == [image.tobytes() for image in dataset.images.as_numpy_iterator()]
        assert kept.count + held.count == dataset.count == len(both)
        assert held.count == dataset.count // 5
        assert len(list(held.images)) == held.count


def test_data_are_read_once_and_all_runs_are_scored_alike(monkeypatch):
    calls = []
    original = runs.load_dataset

    def count(*arguments, **options):
        calls.append((*arguments, options["drop_gray"]))
        return original(*arguments, **options)

    monkeypatch.setattr(runs, "load_dataset", count)
    data = runs.Data(BASE, 30)
    kept = study("kept", TWO, Variant("gray kept", ("data.drop_gray=false",)))
    for job in plan([kept], BASE, 80):
        data.train(job.config)
        data.test()
    assert calls == [
        ("photographs", "train", True),
        ("photographs", "test", True),
        ("photographs", "train", False),
    ]
