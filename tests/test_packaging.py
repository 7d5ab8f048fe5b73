"""What `pip install .` carries, and that it works far from the checkout."""

from __future__ import annotations

import configparser
import importlib.util
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import pix2pix_color
from pix2pix_color import reproduction

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "saved_models" / "report"


def run(*command: object, **options) -> str:
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=300, **options
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the checkout, so that no build/ is left in it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    for name in ("pix2pix_color", "saved_models"):
        (source / name).symlink_to(ROOT / name)
    from setuptools import __version__ as setuptools_version

    # With the setuptools of the `test` extra nothing is fetched.
    isolation = ["--no-isolation"] if int(setuptools_version.split(".")[0]) > 70 else []
    run(sys.executable, "-m", "build", "--wheel", *isolation, "-o", folder, source)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment variables of a Python that has the wheel, and not the checkout."""
    target = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "-t", target, wheel)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PIX2PIX_COLOR_")}
    return {**environment, "PYTHONPATH": str(target), "PYTHONSAFEPATH": "1"}


def test_the_wheel_has_every_module_and_every_model_file(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "pix2pix_color"
    modules = {f.relative_to(ROOT).as_posix() for f in package.rglob("*.py")}
    models = {
        f"pix2pix_color/{f.relative_to(ROOT).as_posix()}"
        for f in (ROOT / "saved_models").rglob("*")
        if f.is_file()
    }
    assert modules <= names
    assert models <= names
    assert "pix2pix_color/py.typed" in names
    assert {f"pix2pix_color/saved_models/report/{n}" for n in ("SHA256SUMS", "README.md")} <= names
    top = {name.partition("/")[0] for name in names}
    assert top == {"pix2pix_color", f"pix2pix_color-{pix2pix_color.__version__}.dist-info"}


def test_an_installed_wheel_colorizes_far_from_the_checkout(installed: dict, tmp_path: Path):
    import numpy as np
    from PIL import Image

    gray = np.random.default_rng(0).integers(0, 256, (31, 47), dtype=np.uint8)
    Image.fromarray(gray).save(tmp_path / "gray.png")
    script = "import pix2pix_color; print(pix2pix_color.__file__)"
    where = run(sys.executable, "-c", script, cwd=tmp_path, env=installed)
    assert str(ROOT) not in where
    command = (sys.executable, "-m", "pix2pix_color", "colorize", "gray.png", "-o", "color.png")
    run(*command, cwd=tmp_path, env=installed)
    with Image.open(tmp_path / "color.png") as colored:
        assert colored.size == (47, 31)
        assert colored.mode == "RGB"
    info = run(sys.executable, "-m", "pix2pix_color", "info", cwd=tmp_path, env=installed)
    assert "report: 6,268,610 parameters, checksums right" in info


def test_every_import_of_the_package_is_declared():
    """What is imported, but for the standard library, is in install_requires or an extra."""
    parser = configparser.RawConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = parser["options.extras_require"]
    declared = parser["options"]["install_requires"]
    for extra in ("notebooks", "experiments", "demo", "onnx", "lite", "video"):
        declared += extras[extra]
    named = {
        re.split(r"[ <>=]", line, maxsplit=1)[0].lower().replace("-", "_")
        for line in declared.splitlines()
        if line and not line.startswith("#")
    }
    # absl comes with TensorFlow, IPython with ipykernel.
    modules = {"pil": "pillow", "skimage": "scikit_image", "absl": "tensorflow"}
    modules |= {"ipython": "ipykernel", "starlette": "gradio", "onnx": "tf2onnx"}
    for path in (ROOT / "pix2pix_color").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"^\s*(?:from|import) (\w+)", text, re.MULTILINE):
            if name in sys.stdlib_module_names or (ROOT / "pix2pix_color" / f"{name}.py").exists():
                continue
            if importlib.util.find_spec(name) is None:
                continue  # a word of a docstring
            assert modules.get(name.lower(), name.lower()) in named, f"{path.name} imports {name}"


def test_the_url_is_the_same_everywhere():
    parser = configparser.RawConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    url = parser["metadata"]["url"]
    readers = [ROOT / "README.md", ROOT / "CITATION.cff", *(ROOT / "notebooks").glob("*.ipynb")]
    for path in readers:
        found = re.findall(r"https://github\.com/[\w.-]+/pix2pix_color", path.read_text("utf-8"))
        assert found, f"{path} does not name the repository"
        assert set(found) == {url}


def test_versions_agree():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {pix2pix_color.__version__}\n" in citation


def test_the_readme_shows_the_shipped_scores(tmp_path: Path):
    """`python -m pix2pix_color.reproduction readme` would change nothing."""
    copy = tmp_path / "README.md"
    copy.write_bytes((ROOT / "README.md").read_bytes())
    reproduction.update_readme(copy, MODEL / "metrics.json")
    assert copy.read_text("utf-8") == (ROOT / "README.md").read_text("utf-8")


def test_the_links_of_the_readme_lead_somewhere():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_the_readme_has_a_line_for_each_module():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in (ROOT / "pix2pix_color").iterdir():
        if path.stem.startswith("_") or path.name == "py.typed":
            continue
        assert f"| `{path.stem}` |" in text, path.name


def test_update_readme_says_when_there_is_nothing_to_fill(tmp_path: Path):
    (tmp_path / "README.md").write_text("no comments here")
    (tmp_path / "metrics.json").write_text("{}")
    with pytest.raises(reproduction.ReproductionError, match="no <!-- scores -->"):
        reproduction.update_readme(tmp_path / "README.md", tmp_path / "metrics.json")
