"""What `pip install .` installs, that it works far from the checkout, and what is stated twice."""

from __future__ import annotations

import configparser
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pix2pix_color
from pix2pix_color.files import DEFAULT_MODEL

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pix2pix_color"


def run(*command: object, **options) -> str:
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=300, **options
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, tiny_export: Path) -> Path:
    """A folder into which a checkout with one tiny model was installed, and nothing else."""
    checkout, target = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("installed")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        (checkout / name).write_bytes((ROOT / name).read_bytes())
    (checkout / "pix2pix_color").symlink_to(PACKAGE)
    shutil.copytree(tiny_export, checkout / "saved_models" / DEFAULT_MODEL)
    # With the setuptools of the `test` extra nothing is downloaded.
    options = ("--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "install", *options, "-t", target, checkout)
    return target


def files_in(folder: Path) -> set[str]:
    paths = (f for f in folder.rglob("*") if f.is_file() and f.parent.name != "__pycache__")
    return {path.relative_to(folder).as_posix() for path in paths}


def test_every_module_and_every_model_file_is_installed(installed: Path, tiny_export: Path):
    model = {f"saved_models/{DEFAULT_MODEL}/{name}" for name in files_in(tiny_export)}
    assert files_in(installed / "pix2pix_color") == files_in(PACKAGE) | model
    about = f"pix2pix_color-{pix2pix_color.__version__}.dist-info"
    assert {path.name for path in installed.iterdir()} == {"pix2pix_color", about, "bin"}
    assert files_in(installed / "bin") == {"pix2pix-color"}


def test_the_models_are_light():
    """All of them together stay under 40 MB of 2**20 bytes; PyPI takes wheels of up to 100."""
    models = ROOT / "saved_models"
    assert sum((models / name).stat().st_size for name in files_in(models)) < 40 << 20


def test_an_installation_colorizes_far_from_the_checkout(installed: Path, photograph: Path):
    from PIL import Image

    script = """
import pix2pix_color
from pix2pix_color.apps.cli import main
print(pix2pix_color.__file__)
assert main(["colorize", "in.png", "-o", "color.png"]) == 0
assert main(["info"]) == 0
"""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PIX2PIX_COLOR_")}
    environment |= {"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    output = run(sys.executable, "-c", script, cwd=photograph.parent, env=environment)
    assert output.startswith(str(installed))
    assert re.search(f"  {DEFAULT_MODEL}: [0-9,]+ parameters, checksums match", output)
    with Image.open(photograph.parent / "color.png") as colored:
        assert (colored.size, colored.mode) == ((50, 40), "RGB")


def setup_cfg() -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def test_every_import_of_the_package_is_declared():
    """Imports outside the standard library are in install_requires or an extra."""
    parser = setup_cfg()
    declared = parser["options"]["install_requires"]
    assert all(" >=" in line for line in declared.splitlines() if line), "a lower bound is missing"
    for extra in ("notebooks", "experiments", "demo", "onnx", "lite", "heic", "video"):
        declared += parser["options.extras_require"][extra]
    named = {
        re.split(r"[ <>=]", line, maxsplit=1)[0].lower().replace("-", "_")
        for line in declared.splitlines()
        if line and not line.startswith("#")
    }
    # absl comes with TensorFlow, IPython with ipykernel.
    modules = {"pil": "pillow", "skimage": "scikit_image", "absl": "tensorflow"}
    modules |= {"ipython": "ipykernel", "starlette": "gradio"}
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"^\s*(?:from|import) (\w+)", text, re.MULTILINE):
            if name in sys.stdlib_module_names or (PACKAGE / f"{name}.py").exists():
                continue
            if importlib.util.find_spec(name) is None:
                continue  # a word of a docstring
            assert modules.get(name.lower(), name.lower()) in named, f"{path.name} imports {name}"


def test_the_url_is_the_same_everywhere():
    url = setup_cfg()["metadata"]["url"]
    readers = [ROOT / "README.md", ROOT / "CITATION.cff", *(ROOT / "notebooks").glob("*.ipynb")]
    for path in readers:
        found = re.findall(r"https://github\.com/[\w.-]+/pix2pix_color", path.read_text("utf-8"))
        assert found, f"{path} does not name the repository"
        assert set(found) == {url}


def test_versions_agree():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {pix2pix_color.__version__}\n" in citation


def test_the_links_of_the_readme_lead_somewhere_and_it_has_a_line_for_each_module():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("https://") or (ROOT / link).exists(), link
    for path in PACKAGE.iterdir():
        if not path.stem.startswith("_") and path.name != "py.typed":
            assert f"| `{path.stem}` |" in text, path.name
