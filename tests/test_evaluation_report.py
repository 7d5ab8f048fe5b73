"""What an evaluation shows: summary, tables, files and figures, and the report's Figure 3."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import as_dataset, random_images
from PIL import Image

from pix2pix_color import color, metrics
from pix2pix_color.data import ImageDataset
from pix2pix_color.errors import EvaluationError
from pix2pix_color.evaluation import (
    FIGURE_3,
    PROTOCOL,
    SCORES,
    Evaluation,
    evaluate,
    find_image,
    images_at,
    sample_images,
    value_text,
)
from pix2pix_color.evaluation.images import digest
from pix2pix_color.evaluation.report import as_text, write_report
from pix2pix_color.networks import GeneratorConfig, build_generator

IMAGES = random_images(6, 8)
LABELS = np.array([3, 1, 4, 1, 5, 9])
PICTURES = Path(__file__).resolve().parents[2] / "shared" / "report" / "figure3"


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
    assert set(SCORES) - {"agreement"} < set(summary["protocol"])
    assert set(summary["left_out"]) == {"semantic_accuracy", "fcd"}
    assert summary["reference"] == {"dataset": "synthetic", "split": "train", "count": 6}
    for predictor, scores in summary["scores"].items():
        assert set(summary["intervals"][predictor]) == set(scores)
        for name, value in scores.items():
            low, high = summary["intervals"][predictor][name]
            if name == "blotches":  # noise has no flat luminance
                assert (low, value, high) == (None, None, None)
            else:
                assert low <= value <= high


def test_tables_and_panels(evaluation):
    lines = evaluation.table().splitlines()
    assert lines[0].startswith("| synthetic, train, 6 images | the model | a, b.c | no color at")
    assert len(lines) == 1 + len(SCORES)  # all but top-1 agreement
    assert {line.count(" | ") for line in lines} == {7}
    low, high = evaluation.intervals["model"]["psnr"]
    value = evaluation.scores["model"]["psnr"]
    assert lines[2].startswith(f"| true PSNR (dB) ↑ | {value:.2f} [{low:.2f}, {high:.2f}] |")
    assert "| FCD ↓ | – | – |" in evaluation.table()  # noqa: RUF001
    assert "[" not in evaluation.table(intervals=False)
    short = evaluation.table(short=True).splitlines()
    assert len(short) == 5
    assert short[2].startswith("| no color at all | ")
    assert short[3].startswith(f"| the model | {value:.2f} | ")
    selected = evaluation.table(only=("ssim", "mae_ab")).splitlines()[2:]
    titles = [line.split(" | ")[0] for line in selected]
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


def test_files_hold_the_summary_the_table_and_a_row_per_image(evaluation, tmp_path):
    evaluation.write(tmp_path)
    summary = json.loads(json.dumps(evaluation.summary()))
    assert json.loads((tmp_path / "metrics.json").read_text()) == summary
    with open(tmp_path / "scores.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    digests = [hashlib.sha256(image.tobytes()).hexdigest()[:16] for image in IMAGES]
    assert [row["image"] for row in rows] == digests == list(evaluation.images)
    assert [int(row["label"]) for row in rows] == LABELS.tolist()
    for predictor, series in evaluation.per_image.items():
        for name, values in series.items():
            written = [float(row[f"{predictor}.{name}"]) for row in rows]
            np.testing.assert_allclose(written, values, rtol=1e-5)
    page = (tmp_path / "table.md").read_text()
    assert evaluation.table() in page
    assert "- FCD: the classifier takes 32x32" in page.partition("## Left out")[2]
    assert PROTOCOL["report_psnr"] in page
    evaluation.save(tmp_path, step=7)
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"step": 7, **summary}


def test_a_model_and_another_in_a_folder_and_as_text(tiny_run, tiny_export, tmp_path):
    folder, said = tmp_path / "scores", []
    options = {"dataset": "photographs", "limit": 12}
    scored = write_report(tiny_run, folder, against=tiny_export, **options, say=said.append)
    assert said[-1] == f"Saved metrics.json, scores.csv, table.md and 5 figures in {folder}."
    assert {path.name for path in folder.iterdir()} == {
        "metrics.json", "scores.csv", "table.md", "samples.png", "scores.png",
        "psnr-against-report-psnr.png", "images-by-psnr.png", "images-by-ciede2000.png",
    }  # fmt: skip
    with Image.open(folder / "samples.png") as samples:
        assert samples.width > samples.height
    first = (folder / "scores.csv").read_text().splitlines()[1].split(",")
    assert first[:2] == [scored.images[0], ""]  # photographs have no labels
    assert f"model: {tiny_run.name}; step: 8" in (folder / "table.md").read_text()
    # One was exported from the other.
    assert scored.difference("model", "against").values["psnr"][0] == pytest.approx(0, abs=1e-3)
    text = as_text(scored)
    assert "Model tiny, trained for 8 steps." in text
    assert "| the model - the other model, 12 images |" in text
    assert "Left out: FCD: " in text
    with pytest.raises(EvaluationError, match="scores is not empty"):
        write_report(tiny_run, folder, **options)


# Images by their hash, and the report's Figure 3 ----------------------------------------------


def test_images_are_found_by_their_hash_and_chosen_by_it():
    images = random_images(20, 8)
    dataset = as_dataset(images)
    digests = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    np.testing.assert_array_equal(find_image(dataset, digests[13]), images[13])
    assert find_image(dataset, "0" * 64) is None
    order = np.argsort(digests)[:5]
    np.testing.assert_array_equal(sample_images(dataset, 5), images[order])
    np.testing.assert_array_equal(images_at(dataset, [7, 2, 7]), images[[7, 2, 7]])


@pytest.mark.skipif(
    not PICTURES.is_dir(), reason="needs the pictures of the report's Figure 3, which are not here"
)
@pytest.mark.parametrize("row", [1, 2, 3, 4])
def test_the_report_s_pictures_score_what_is_recorded(row):
    recorded = FIGURE_3[row - 1]
    real, fake = (
        np.asarray(Image.open(PICTURES / f"row{row}_{kind}.png").convert("RGB"))[None]
        for kind in ("real", "colorized")
    )
    assert digest(real) == recorded.sha256
    again = float(metrics.report_psnr(real, fake)[0]), float(metrics.report_ssim(real, fake)[0])
    assert again == pytest.approx(recorded.recomputed, abs=1e-3)
    if row > 1:  # the report's own numbers, wrap-around and all
        assert again == pytest.approx((recorded.report_psnr, recorded.report_ssim), abs=1e-3)

    def true_scores(other):
        truth = color.to_float(real)
        return float(metrics.psnr(truth, other)[0]), float(metrics.ssim(truth, other)[0])

    assert true_scores(color.to_float(fake)) == pytest.approx(recorded.true, abs=1e-3)
    lightness, chroma = color.split(real)
    psnr, ssim = true_scores(color.merge(lightness, 0 * chroma))
    assert psnr == pytest.approx(recorded.no_color[0], abs=1e-2)
    assert ssim == pytest.approx(recorded.no_color[1], abs=1e-3)
