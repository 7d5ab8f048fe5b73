"""Tables, and files that can be read back."""

from __future__ import annotations

import csv
import hashlib
import json

import numpy as np
import pytest
from conftest import as_dataset, random_images

from pix2pix_color.data import ImageDataset
from pix2pix_color.errors import EvaluationError
from pix2pix_color.evaluation import SCORES, Evaluation, compare, evaluate
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


def test_the_summary_carries_protocol_baselines_reference_count_and_intervals(evaluation):
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


def test_the_table_has_a_row_for_each_score_and_a_column_for_each_predictor(evaluation):
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


def test_some_scores_alone_as_a_table_and_as_panels(evaluation):
    lines = evaluation.table(only=("ssim", "mae_ab")).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        "| true SSIM ↑", "| mean absolute error, ab ↓"
    ]  # fmt: skip
    panels = evaluation.panels(("ssim", "fcd", "colorfulness"))
    assert list(panels) == ["true SSIM ↑", "colorfulness"]
    value, low, high = panels["true SSIM ↑"]["no color at all"]
    assert value == evaluation.scores["no_color"]["ssim"]
    assert (low, high) == evaluation.intervals["no_color"]["ssim"]
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
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in padded]
    plain = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert cells[0] == plain[0] and cells[2:] == plain[2:]


def test_everything_is_written_and_read_back(evaluation, tmp_path):
    evaluation.write(tmp_path / "scores", step=7, model="report")
    again = Evaluation.load(tmp_path / "scores")
    assert again.summary() == evaluation.summary()
    assert again.extra == {"step": 7, "model": "report"}
    assert again.images == evaluation.images
    np.testing.assert_array_equal(again.labels, LABELS)
    assert again.predictors == evaluation.predictors
    for predictor, series in evaluation.per_image.items():
        assert list(again.per_image[predictor]) == list(series)
        for name, values in series.items():
            np.testing.assert_allclose(again.per_image[predictor][name], values, rtol=1e-5)
    assert again.table() == evaluation.table()
    again.write(tmp_path / "again")
    for name in ("metrics.json", "scores.csv", "table.md"):
        first, second = (tmp_path / folder / name for folder in ("scores", "again"))
        assert first.read_text() == second.read_text()


def test_the_csv_has_a_row_for_each_image(evaluation, tmp_path):
    evaluation.write(tmp_path)
    with open(tmp_path / "scores.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    digests = [hashlib.sha256(image.tobytes()).hexdigest()[:16] for image in IMAGES]
    assert [row["image"] for row in rows] == digests
    assert [int(row["label"]) for row in rows] == LABELS.tolist()
    values = evaluation.per_image["a, b.c"]["psnr"]
    assert [row["a, b.c.psnr"] for row in rows] == [f"{value:.6g}" for value in values]
    page = (tmp_path / "table.md").read_text()
    assert evaluation.table() in page
    assert "- FCD: " in page.partition("## Left out")[2]
    assert SCORES["report_psnr"].text in page


def test_without_labels_the_column_is_empty(tmp_path):
    generator = build_generator(GeneratorConfig(depth=2, filters=4), 8, seed=0)
    evaluate(generator, as_dataset(IMAGES), progress=False).write(tmp_path)
    again = Evaluation.load(tmp_path)
    assert again.labels is None
    assert compare(again, again).scores["psnr"].mean == 0


def test_save_writes_the_summary_alone(evaluation, tmp_path):
    saved = json.loads(evaluation.save(tmp_path, step=7).read_text())
    assert saved == {"step": 7, **json.loads(json.dumps(evaluation.summary()))}
    assert evaluation.save(tmp_path / "mine.json").name == "mine.json"
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.json", "mine.json"}


def test_what_was_not_written_by_evaluate_is_refused(evaluation, tmp_path):
    def refused(match: str) -> None:
        with pytest.raises(EvaluationError, match=match):
            Evaluation.load(tmp_path)

    refused("metrics.json and scores.csv")
    evaluation.write(tmp_path)
    content = (tmp_path / "scores.csv").read_text().splitlines()
    (tmp_path / "scores.csv").write_text("\n".join(content[:-1]) + "\n")
    refused("do not match")
    (tmp_path / "scores.csv").write_text("")
    refused("does not hold")
    (tmp_path / "scores.csv").write_text("image,label,model.psnr\n0,,one\n")
    refused("does not hold")
    (tmp_path / "scores.csv").write_text("step,loss\n1,2\n")
    refused("other columns")
    (tmp_path / "metrics.json").write_text("[]")
    refused("does not hold")
