"""`make reproduce` and the release: each part runs, and no file of the user is replaced."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
from conftest import run_python, tiny_config
from PIL import Image

import pix2pix_color
from pix2pix_color import evaluate, load_dataset
from pix2pix_color.config import Config
from pix2pix_color.errors import ChecksumError, DataError
from pix2pix_color.files import write_checksums
from pix2pix_color.model_folder import ModelFolder
from tools import release, reproduce
from tools.notebooks import NotebookError, run_notebook, run_notebooks

nbformat = pytest.importorskip("nbformat")
ROOT = Path(__file__).resolve().parents[1]


def write_notebook(path: Path, *cells: str) -> Path:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


@pytest.fixture
def checkout(tiny_export: Path, tmp_path: Path) -> Path:
    """A checkout of one tiny notebook and a tiny model, which is the working folder."""
    cell = "import os; os.environ['PIX2PIX_COLOR_DATASET']"
    write_notebook(tmp_path / "notebooks" / "01_dataset.ipynb", cell)
    shutil.copytree(tiny_export, tmp_path / "saved_models" / "report")
    return tmp_path


@pytest.fixture
def without_cifar10(monkeypatch) -> None:
    """A machine without CIFAR-10 and without a network."""

    def load(name: str, *arguments, **options):
        if name == "cifar10":
            raise DataError("cifar10 is not on this machine.")
        return load_dataset(name, *arguments, **options)

    monkeypatch.setattr(pix2pix_color, "load_dataset", load)


def test_reproduces_everything_without_a_network(checkout, without_cifar10, monkeypatch, capsys):
    monkeypatch.chdir(checkout)
    monkeypatch.setattr(reproduce, "SCORED_IMAGES", 20)
    tiny = tiny_config("data.dataset=photographs", "training.steps=4")
    monkeypatch.setattr(Config, "fast", classmethod(lambda cls: tiny))
    committed = (checkout / "notebooks" / "01_dataset.ipynb").read_bytes()
    made = checkout / "reproduced"
    reproduce.create_folder(made)
    (made / "figures" / "old.png").touch()
    reproduce.reproduce()
    assert not (made / "figures" / "old.png").exists()  # an earlier reproduction is replaced
    output = capsys.readouterr().out
    assert "do not compare them with the report's" in output
    for name in ("figures", "notebooks", "scores.md", "colorized.png", "run"):
        assert (made / name).exists()
        assert f"  {made / name}: " in output
    assert "'photographs'" in (made / "notebooks" / "01_dataset.ipynb").read_text()
    scores = (made / "scores.md").read_text()
    assert "NOT CIFAR-10" in scores
    assert "| no color at all |" in scores
    assert (checkout / "notebooks" / "01_dataset.ipynb").read_bytes() == committed


def test_stops_where_something_is_missing_or_in_the_way(checkout, without_cifar10, tmp_path):
    with pytest.raises(reproduce.ReproductionError, match="root of a complete checkout"):
        reproduce.reproduce(checkout=tmp_path / "elsewhere")
    made, model = checkout / "reproduced", checkout / "saved_models" / "report"
    (model / "config.json").write_text("{}")
    with pytest.raises(ChecksumError, match="SHA-256 differs"):
        reproduce.reproduce(made, checkout=checkout)
    assert not made.exists()
    write_checksums(model)
    made.mkdir()
    (made / "photo.png").write_bytes(b"mine")
    with pytest.raises(reproduce.ReproductionError, match="was not created by this command"):
        reproduce.reproduce(made, checkout=checkout)
    assert (made / "photo.png").exists()


@pytest.mark.cifar10
def test_cifar10_is_used_where_it_is_available():
    assert reproduce.choose_dataset()[0] == "cifar10"


# Notebooks ----------------------------------------------------------------------------------


def test_a_notebook_that_fails_is_named_and_kept(tmp_path: Path, capsys):
    broken = write_notebook(tmp_path / "broken.ipynb", "1 / 0")
    before = broken.read_bytes()
    with pytest.raises(NotebookError, match="ZeroDivisionError"):
        run_notebook(broken, broken)
    assert broken.read_bytes() == before  # a committed notebook keeps its outputs
    (failed,) = run_notebooks([broken], tmp_path / "out")
    assert failed.startswith("broken: ZeroDivisionError")
    assert "broken: failed after" in capsys.readouterr().out
    assert "ZeroDivisionError" in (tmp_path / "out" / "broken.ipynb").read_text()


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
def test_ctrl_c_ends_a_notebook(tmp_path: Path):
    """In a process of its own: nbclient leaves its event loop with a signal handler."""
    interrupt = "import os, signal; os.kill(os.getppid(), signal.SIGINT)"
    long = write_notebook(tmp_path / "long.ipynb", f"{interrupt}\nimport time; time.sleep(600)")
    script = """
import pathlib, sys
from tools.notebooks import run_notebook
try:
    run_notebook(*map(pathlib.Path, sys.argv[1:]))
except KeyboardInterrupt:
    print("interrupted")
"""
    code, output, errors = run_python(script, long, tmp_path / "out.ipynb")
    assert (code, output) == (0, "interrupted\n"), errors
    assert not (tmp_path / "out.ipynb").exists()


# Release ------------------------------------------------------------------------------------


def test_the_readme_shows_the_shipped_scores(tmp_path: Path):
    copy = tmp_path / "README.md"
    copy.write_bytes((ROOT / "README.md").read_bytes())
    table = release.scores_table(ROOT / "saved_models" / "report" / "metrics.json")
    release.fill_readme(copy, "scores", table)
    assert copy.read_text("utf-8") == (ROOT / "README.md").read_text("utf-8")


def test_a_readme_without_comments_is_an_error(tmp_path: Path):
    (tmp_path / "README.md").write_text("no comments here")
    with pytest.raises(release.ReleaseError, match="no <!-- scores -->"):
        release.fill_readme(tmp_path / "README.md", "scores", "")


def test_a_run_is_scored_at_the_steps_it_kept(tiny_run, tmp_path: Path):
    earlier = "step,score,value,low,high\n3,psnr,20,19,21\n8,psnr,1,1,1\n"
    (tmp_path / "by_step.csv").write_text(earlier)
    release.score_steps(tiny_run, tmp_path, "photographs", steps=(8, 12))
    table = pd.read_csv(tmp_path / "by_step.csv").set_index(["step", "score"])
    images = load_dataset("photographs", "test", image_size=8)
    scores = evaluate(ModelFolder(tiny_run).generator(), images, progress=False).scores["model"]
    assert {score for step, score in table.index if step == 8} == set(scores)
    assert table.value[8, "ssim"] == pytest.approx(scores["ssim"], abs=1e-5)
    assert table.value[3, "psnr"] == 20  # a step that the run does not have
    assert Image.open(tmp_path / "by_step.png").width > 100
    with pytest.raises(release.ReleaseError, match="no checkpoint"):
        release.score_steps(tiny_run, tmp_path, "photographs", steps=(12,))
