"""The report of a scored model, as a function and as the command `evaluate`."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from pix2pix_color.apps import cli
from pix2pix_color.config import GeneratorConfig
from pix2pix_color.errors import EvaluationError
from pix2pix_color.evaluation import report
from pix2pix_color.networks import build_generator


@pytest.fixture(autouse=True)
def small_grids(monkeypatch: pytest.MonkeyPatch) -> None:
    """One image per group instead of eight: drawing takes longer than scoring so few."""
    monkeypatch.setattr(report, "IMAGES_PER_GROUP", 1)


def test_a_report_of_two_models_on_both_splits(tiny_run, tiny_export, tmp_path, capsys):
    said, seen = [], []
    done = report.write_report(
        tiny_run,
        tmp_path,
        against=tiny_export,
        dataset="photographs",
        splits=("train", "test"),
        limit=12,
        say=said.append,
        on_split=seen.append,
    )
    assert seen == list(done.values()) and list(done) == ["train", "test"]
    assert (
        f"Saved metrics.json, scores.csv, table.md and 14 figures in {tmp_path / 'test'}." in said
    )
    for split, evaluation in done.items():
        saved = json.loads((tmp_path / split / "metrics.json").read_text())
        assert saved == {**evaluation.extra, **evaluation.summary()}
        assert (saved["split"], saved["count"], saved["step"]) == (split, 12, 8)
        # No path of this machine.
        assert (saved["model"], saved["against"]) == (tiny_run.name, tiny_export.name)
        assert saved["reference"]["split"] == "train" and saved["reference"]["count"] > 12
        assert saved["difference"]["scores"]["psnr"]["difference"] == pytest.approx(0, abs=1e-3)
        made = {path.name for path in (tmp_path / split).iterdir()}
        assert {"scores.csv", "table.md", "scores.png", "psnr-against-report-psnr.png"} < made
        assert {"images-by-psnr.png", "images-by-report-ssim.png"} < made
        with Image.open(tmp_path / split / "samples.png") as samples:
            assert samples.width > samples.height
    first = (tmp_path / "test" / "scores.csv").read_text().splitlines()[1].split(",")
    assert first[:2] == [done["test"].images[0], ""]  # photographs have no labels
    table = (tmp_path / "side_by_side.md").read_text()
    assert "| the other model | train, 12 images | test, 12 images | train - test |" in table

    command = ["evaluate", "--model", tiny_run, "--dataset", "photographs", "-o", tmp_path]
    assert cli.main([*map(str, command), "--split", "both"]) == 1
    assert "metrics.json exists" in capsys.readouterr().err
    assert report.write_report(
        tiny_run, tmp_path / "test", dataset="photographs", limit=3, overwrite=True
    )["test"].models == ("model",)


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


def test_a_model_of_another_size_is_refused(tiny_run, tmp_path):
    build_generator(GeneratorConfig(depth=2, filters=4), 16).save(tmp_path / "generator.keras")
    with pytest.raises(EvaluationError, match="'against' takes images of shape") as error:
        report.write_report(tiny_run, against=tmp_path, dataset="photographs", limit=3)
    assert str(error.value).startswith(f"{tiny_run} and {tmp_path} cannot be scored")
