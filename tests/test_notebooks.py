"""The notebooks run, and the committed ones carry the outputs of one clean run."""

from __future__ import annotations

import ast
import os
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from pix2pix_color import build_generator, figures, notebook
from pix2pix_color.config import Config
from pix2pix_color.errors import DataError
from pix2pix_color.startup import without_stderr

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.ipynb")))
# These show the results that come with the package, whatever the settings.
OF_RESULTS = ("06_architecture_and_hyperparameters", "07_ablations")
OF_MANY_IMAGES = (*OF_RESULTS, "08_colorize_your_photos", "09_beyond_the_report")
MACHINE_PATH = re.compile(r"/(?:root|tmp|home|work|var|Users|content)/|[A-Z]:\\Users")


def read(name: str):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def code_cells(name: str) -> list:
    return [cell for cell in read(name).cells if cell.cell_type == "code"]


def texts(cells) -> list[str]:
    """Returns every text in the outputs: printed, displayed, or part of an error."""
    found = []
    for output in (output for cell in cells for output in cell.outputs):
        found += [output.get("text", ""), *output.get("traceback", ())]
        found += [str(v) for k, v in output.get("data", {}).items() if not k.startswith("image/")]
    return found


def noise(cells) -> list[str]:
    """Returns the errors and whatever was written to stderr."""
    outputs = [output for cell in cells for output in cell.outputs]
    errors = [o.evalue for o in outputs if o.output_type == "error"]
    return errors + [o.text for o in outputs if o.get("name") == "stderr"]


@pytest.fixture(scope="module")
def kernel():
    """A notebook client whose kernel lives through all notebooks of this test process."""
    client = nbclient.NotebookClient(
        nbformat.v4.new_notebook(),
        timeout=300,
        kernel_name="python3",
        shutdown_kernel="immediate",
        resources={"metadata": {"path": str(FOLDER)}},
    )
    environment = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"}
    environment["PYTHONPATH"] = str(FOLDER.parent)  # this checkout, whatever is installed
    client.execute(cleanup_kc=False, env=environment)
    yield client
    client.nb = nbformat.v4.new_notebook()
    client.execute(cleanup_kc=True)


@pytest.fixture
def run(kernel, tmp_path):
    """Returns a function that runs a notebook in fast mode, in an empty namespace."""

    def execute(name: str, dataset: str) -> list:
        settings = {
            "PIX2PIX_COLOR_FAST": "1",
            "PIX2PIX_COLOR_DATASET": dataset,
            "PIX2PIX_COLOR_MODEL": "report",
            "PIX2PIX_COLOR_OUTPUT": str(tmp_path),
        }
        set_up = f"%reset -f\n__import__('os').environ.update({settings!r})"
        kernel.nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(set_up)])
        kernel.execute(cleanup_kc=False)
        kernel.nb = document = read(name)
        kernel.execute(cleanup_kc=False)
        return [cell for cell in document.cells if cell.cell_type == "code"]

    return execute


@pytest.mark.parametrize("name", NAMES)
def test_runs_in_fast_mode_on_the_photographs(name, run, tmp_path):
    before = (FOLDER / f"{name}.ipynb").read_bytes()
    cells = run(name, "photographs")
    assert noise(cells) == []
    shown = "\n".join(texts(cells))
    if name in OF_RESULTS:
        assert "Nothing is trained here" in shown
    else:
        assert "photographs, not CIFAR-10" in shown and "Fast mode" in shown
    assert not MACHINE_PATH.search(shown)
    pictures = [o for c in cells for o in c.outputs if "image/png" in o.get("data", {})]
    saved = list(tmp_path.glob(f"{name[:2]}-*.png"))
    assert len(pictures) == len(saved) > 0
    assert (FOLDER / f"{name}.ipynb").read_bytes() == before


@pytest.mark.cifar10
def test_finds_the_images_of_figure_3_in_cifar10(run):
    cells = run("04_image_comparison", "cifar10")
    assert noise(cells) == []
    shown = "\n".join(texts(cells))
    assert len(re.findall(r"\.png\s+found", shown)) == 4
    assert "not CIFAR-10" not in shown


@pytest.mark.parametrize("name", NAMES)
def test_committed_outputs_are_one_clean_run(name):
    cells = code_cells(name)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert noise(cells) == []
    shown = "\n".join(texts(cells))
    assert not MACHINE_PATH.search(shown)
    assert "Fast mode" not in shown and "not CIFAR-10" not in shown
    most = 3_000_000 if name in OF_MANY_IMAGES else 1_500_000  # bytes
    assert (FOLDER / f"{name}.ipynb").stat().st_size < most


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_are_short_and_define_nothing_long(name):
    document = read(name)
    assert (document.nbformat, document.nbformat_minor) == (4, 5)
    assert document.metadata.kernelspec.name == "python3"
    nbformat.validate(document)
    for cell in code_cells(name):
        assert len(cell.source.splitlines()) <= 30
        tree = ast.parse(re.sub(r"(?m)^(\s*)%.*$", r"\1pass", cell.source))
        for node in ast.walk(tree):
            assert not isinstance(node, ast.ClassDef)
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 5


def test_every_set_up_cell_installs_from_the_repository_where_nothing_is_here():
    (first,) = {code_cells(name)[0].source for name in NAMES}
    assert "git+https://github.com/pix2pix-color/pix2pix_color" in first
    assert '"../pix2pix_color/__init__.py"' in first


# The module behind the notebooks ---------------------------------------------------------


def test_settings_come_from_the_environment(monkeypatch, tmp_path):
    for name in ("FAST", "DATASET", "MODEL", "OUTPUT"):
        monkeypatch.delenv(f"PIX2PIX_COLOR_{name}", raising=False)
    assert notebook.setup() == notebook.Settings()
    monkeypatch.setenv("PIX2PIX_COLOR_FAST", "1")
    monkeypatch.setenv("PIX2PIX_COLOR_DATASET", "photographs")
    monkeypatch.setenv("PIX2PIX_COLOR_MODEL", "runs/mine")
    monkeypatch.setenv("PIX2PIX_COLOR_OUTPUT", str(tmp_path))
    settings = notebook.setup()
    assert settings == notebook.Settings(True, "photographs", "runs/mine", tmp_path)
    assert not settings.is_cifar10
    assert notebook.setup(dataset="cifar10", fast=False).is_cifar10
    monkeypatch.setenv("PIX2PIX_COLOR_FAST", "0")
    assert not notebook.setup().fast


def test_a_missing_data_set_is_said_and_never_replaced(capsys, monkeypatch):
    said = []
    monkeypatch.setattr(notebook, "say", said.append)
    with pytest.raises(DataError):
        notebook.Settings(dataset="no-such-data").load("train")
    assert "PIX2PIX_COLOR_DATASET=photographs" in said[0]


def test_figures_are_saved_only_when_asked(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    figure = figures.image_grid(np.zeros((1, 1, 4, 4), np.uint8))
    notebook.Settings().show(figure, "one")
    assert list(tmp_path.iterdir()) == []
    notebook.Settings(output=tmp_path / "new").show(figure, "one")
    assert (tmp_path / "new" / "one.png").read_bytes().startswith(b"\x89PNG")


def test_networks_are_drawn_without_graphviz(monkeypatch):
    which = shutil.which
    monkeypatch.setattr(
        shutil, "which", lambda name, **o: None if name == "dot" else which(name, **o)
    )
    network = build_generator(Config.fast().generator)
    png = notebook.plot_network(network)
    assert png.startswith(b"\x89PNG") and len(png) > 20_000


def test_start_up_noise_is_silenced_and_stderr_comes_back():
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        try:
            os.dup2(file.fileno(), 2)
            with without_stderr():
                os.write(2, b"noise")
            os.write(2, b"kept")
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        file.seek(0)
        assert file.read() == b"kept"
