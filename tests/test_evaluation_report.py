"""The report of a scored model, as a function and as the command `evaluate`."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from conftest import tiny_config
from PIL import Image

from pix2pix_color.apps import cli
from pix2pix_color.config import GeneratorConfig
from pix2pix_color.errors import EvaluationError
from pix2pix_color.evaluation import report
from pix2pix_color.networks import build_generator

DATA = {"dataset": "photographs", "limit": 12}


def test_a_folder_holds_scores_table_and_figures(tiny_run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "IMAGES_PER_GROUP", 1)  # drawing takes longer than scoring so few
    folder, said = tmp_path / "scores", []
    (evaluation,) = report.write_report(tiny_run, folder, **DATA, say=said.append).values()
    assert said[-1] == f"Saved metrics.json, scores.csv, table.md and 14 figures in {folder}."
    made = {path.name for path in folder.iterdir()}
    assert {"table.md", "scores.png", "psnr-against-report-psnr.png", "images-by-psnr.png"} < made
    assert {"images-by-report-ssim.png", "images-by-chroma-auc.png"} < made and len(made) == 17
    with Image.open(folder / "samples.png") as samples:
        assert samples.width > samples.height
    first = (folder / "scores.csv").read_text().splitlines()[1].split(",")
    assert first[:2] == [evaluation.images[0], ""]  # photographs have no labels

    command = ["evaluate", "--model", str(tiny_run), "--dataset", "photographs", "--limit", "3"]
    assert cli.main([*command, "-o", str(folder)]) == 1
    assert "metrics.json exists" in capsys.readouterr().err
    assert json.loads((folder / "metrics.json").read_text())["count"] == 12
    monkeypatch.setattr(report, "make_figures", lambda *_: {})
    assert cli.main([*command, "-o", str(folder), "--overwrite"]) == 0
    assert json.loads((folder / "metrics.json").read_text())["count"] == 3


def test_two_models_on_both_splits(tiny_run, tiny_export, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "make_figures", lambda *_: {})
    seen, splits = [], ("train", "test")
    options = {**DATA, "against": tiny_export, "splits": splits, "on_split": seen.append}
    done = report.write_report(tiny_run, tmp_path, **options)
    assert seen == list(done.values()) and tuple(done) == splits
    for split, evaluation in done.items():
        saved = json.loads((tmp_path / split / "metrics.json").read_text())
        assert saved == {**evaluation.extra, **evaluation.summary()}
        assert (saved["split"], saved["count"], saved["step"]) == (split, 12, 8)
        # No path of this machine.
        assert (saved["model"], saved["against"]) == (tiny_run.name, tiny_export.name)
        assert saved["reference"]["split"] == "train" and saved["reference"]["count"] > 12
        # The one was exported from the other.
        assert saved["difference"]["scores"]["psnr"]["difference"] == pytest.approx(0, abs=1e-3)
    table = (tmp_path / "side_by_side.md").read_text()
    assert "| the other model | train, 12 images | test, 12 images | train - test |" in table


def test_the_command_prints_tables_or_json(tiny_run, tiny_export, capsys):
    command = ["evaluate", "--model", str(tiny_run), "--dataset", "photographs", "--limit", "12"]
    assert cli.main([*command, "--against", str(tiny_export), "--split", "both"]) == 0
    text = capsys.readouterr().out
    assert "Model tiny, trained for 8 steps." in text
    assert "| no color at all |" in text
    assert "| the model - the other model, 12 images |" in text
    assert "Left out: FCD: " in text
    assert "Train and test side by side:" in text
    assert max(map(len, text.splitlines())) < 160  # it is read in a terminal

    assert cli.main([*command, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["split"], summary["step"]) == ("test", 8)
    assert {"model", "no_color", "own_mean_chroma", "real"} <= set(summary["scores"])


def test_a_model_of_another_size_is_refused(monkeypatch):
    def load(name: str) -> SimpleNamespace:
        network = build_generator(GeneratorConfig(depth=2, filters=4), {"a": 8, "b": 16}[name])
        return SimpleNamespace(name=name, config=tiny_config(), generator=network)

    monkeypatch.setattr(report.Colorizer, "load", load)
    with pytest.raises(EvaluationError, match="^a and b cannot be scored: .*'against' takes image"):
        report.write_report("a", against="b", dataset="photographs", limit=3)
