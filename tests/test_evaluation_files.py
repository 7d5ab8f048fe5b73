"""What an evaluation shows: its summary, tables, panels and files."""

from __future__ import annotations

import csv
import hashlib
import json

import numpy as np
import pytest
from conftest import as_dataset, random_images

from pix2pix_color.data import ImageDataset
from pix2pix_color.evaluation import PROTOCOL, SCORES, Evaluation, evaluate
from pix2pix_color.evaluation.tables import aligned, value_text
from pix2pix_color.networks import GeneratorConfig, build_generator

IMAGES = random_images(6, 8)
LABELS = np.array([3, 1, 4, 1, 5, 9])


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    generator = build_generator(GeneratorConfig(depth=2, filters=4), 8, seed=0)
    plain = as_dataset(IMAGES)
    dataset = ImageDataset("synthetic", "train", plain.images, 6, 0, LABELS, ("a", "b"))
    return evaluate({"model": generator, "a, b.c": generator}, dataset, progress=False)


def test_the_summary_has_protocol_baselines_reference_count_and_intervals(evaluation):
    summary = json.loads(json.dumps(evaluation.summary(), allow_nan=False))
    assert summary["count"] == evaluation.count == 6
    assert list(summary["scores"]) == [
        "model", "a, b.c", "no_color", "mean_chroma", "own_mean_chroma", "other_chroma", "real"
    ]  # fmt: skip
    assert set(SCORES) < set(summary["protocol"])
    assert summary["reference"] == {"dataset": "synthetic", "split": "train", "count": 6}
    for predictor, scores in summary["scores"].items():
        assert set(summary["intervals"][predictor]) == set(scores)
        for name, value in scores.items():
            low, high = summary["intervals"][predictor][name]
            assert low <= value <= high


def test_the_table_has_a_row_per_score_and_a_column_per_predictor(evaluation):
    lines = evaluation.table().splitlines()
    assert lines[0].startswith("| synthetic, train, 6 images | the model | a, b.c | no color at")
    assert len(lines) == 2 + len(SCORES)
    assert {line.count(" | ") for line in lines} == {7}
    low, high = evaluation.intervals["model"]["psnr"]
    value = evaluation.scores["model"]["psnr"]
    assert lines[2].startswith(f"| true PSNR (dB) ↑ | {value:.2f} [{low:.2f}, {high:.2f}] |")
    assert "[" not in evaluation.table(intervals=False)
    short = evaluation.table(short=True).splitlines()
    assert len(short) == 5
    assert short[2].startswith("| no color at all | ")
    assert short[3].startswith(f"| the model | {value:.2f} | ")


def test_selected_scores_as_a_table_and_as_panels(evaluation):
    lines = evaluation.table(only=("ssim", "mae_ab")).splitlines()
    titles = [line.split(" | ")[0] for line in lines[2:]]
    assert titles == ["| true SSIM ↑", "| mean absolute error, ab ↓"]
    panels = evaluation.panels(("ssim", "fcd", "colorfulness"))
    assert list(panels) == ["true SSIM ↑", "colorfulness"]
    value, *ends = panels["true SSIM ↑"]["no color at all"]
    assert value == evaluation.scores["no_color"]["ssim"]
    assert tuple(ends) == evaluation.intervals["no_color"]["ssim"]
    assert "real images" in panels["colorfulness"]


def test_numbers_as_text():
    assert value_text(23.006, 2) == "23.01"
    assert value_text(23.006, 2, (22.931, 23.081)) == "23.01 [22.93, 23.08]"
    assert value_text(-0.0001, 2, (-0.004, 0.004)) == "0.00 [0.00, 0.00]"
    assert value_text(1.0, 1, (float("nan"), float("nan"))) == "1.0"
    assert value_text(None, 2) == value_text(float("nan"), 2) == "–"  # noqa: RUF001
    assert value_text(float("inf"), 2) == "∞"


def test_a_table_for_the_terminal_keeps_its_cells_and_lines_up(evaluation):
    table = evaluation.table(intervals=False)
    padded = aligned(table).splitlines()
    assert len({len(line) for line in padded}) == 1
    cells, plain = (
        [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        for lines in (padded, table.splitlines())
    )
    assert cells[0] == plain[0] and cells[2:] == plain[2:]


def test_a_folder_holds_summary_table_and_a_row_per_image(evaluation, tmp_path):
    folder = evaluation.write(tmp_path / "scores", step=7, model="report")
    saved = json.loads((folder / "metrics.json").read_text())
    summary = json.loads(json.dumps(evaluation.summary()))
    assert saved == {"step": 7, "model": "report", **summary}
    with open(folder / "scores.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    digests = [hashlib.sha256(image.tobytes()).hexdigest()[:16] for image in IMAGES]
    assert [row["image"] for row in rows] == digests == list(evaluation.images)
    assert [int(row["label"]) for row in rows] == LABELS.tolist()
    for predictor, series in evaluation.per_image.items():
        for name, values in series.items():
            written = [float(row[f"{predictor}.{name}"]) for row in rows]
            np.testing.assert_allclose(written, values, rtol=1e-5)
    page = (folder / "table.md").read_text()
    assert evaluation.table() in page
    assert "model: report" in page
    assert "- FCD: " in page.partition("## Left out")[2]
    assert PROTOCOL["report_psnr"] in page


def test_save_writes_the_summary_alone(evaluation, tmp_path):
    saved = json.loads(evaluation.save(tmp_path, step=7).read_text())
    assert saved == {"step": 7, **json.loads(json.dumps(evaluation.summary()))}
    assert evaluation.save(tmp_path / "mine.json").name == "mine.json"
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.json", "mine.json"}
