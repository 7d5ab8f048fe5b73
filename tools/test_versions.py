"""`make test-versions`: installs the checkout in fresh environments and runs its commands there.

    python tools/test_versions.py                # all environments, one after another
    python tools/test_versions.py lower colab    # only these

Three environments install the newest packages under each supported Python. `lower` installs the
oldest packages that `setup.cfg` allows, all together; `colab` has the versions of Google Colab. All
commands run without TensorFlow Datasets, which only `cifar10` and `tfds:NAME` need.

A Python that is not installed is reported. The exit code is 1 if a step failed or nothing ran.
"""

from __future__ import annotations

import argparse
import configparser
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PIP = "-m pip --quiet --disable-pip-version-check"
STEPS = {
    "install": f"python {PIP} install --constraint constraints.txt ../*.whl",
    "import TFDS": "python -c 'import tensorflow_datasets'",
    "remove TFDS": f"python {PIP} uninstall --yes tensorflow-datasets",
    "draw": 'python -c \'from PIL import Image; Image.linear_gradient("L").save("gray.png")\'',
    "info": "pix2pix-color info",
    "colorize": "pix2pix-color colorize gray.png -o color.png",
    "train": "pix2pix-color train --run run --preset fast --dataset photographs "
    "--set training.steps=20",
    "evaluate": "pix2pix-color evaluate --model run --dataset photographs --limit 32",
}
VERSIONS = """python -c '
import platform
from importlib.metadata import version
packages = ("tensorflow", "keras", "numpy", "protobuf")
print("Python", platform.python_version(), *(f"{name} {version(name)}" for name in packages))'
"""


def lower_bounds() -> list[str]:
    """Returns the requirements in `setup.cfg` with `==` instead of `>=`, without upper bounds."""
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / "setup.cfg", encoding="utf-8")
    requirements = metadata["options"]["install_requires"].split("\n")
    return [re.sub(" *>= *([^, ]+).*", r"==\1", line) for line in requirements if line]


ENVIRONMENTS: dict[str, tuple[str, list[str]]] = {  # the version of Python, pip's constraints
    "3.11": ("3.11", []),
    "3.12": ("3.12", []),
    "3.13": ("3.13", []),
    "lower": ("3.11", lower_bounds()),
    "colab": ("3.12", ["tensorflow==2.19.0", "keras==3.10.0", "protobuf==5.29.*"]),
}


def run(command: str, folder: Path) -> tuple[bool, str]:
    """Runs a command in an environment's folder; returns whether it succeeded, and its output."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PIX2PIX_"))}
    variables["PATH"] = f"{folder / 'venv' / 'bin'}{os.pathsep}{variables['PATH']}"
    with (folder / "log.txt").open("w+", errors="replace") as log:
        code = subprocess.call(
            command, shell=True, cwd=folder, env=variables, stdout=log, stderr=log
        )
        log.seek(0)
        return code == 0, log.read().strip()


def create(version: str, folder: Path) -> bool:
    """Creates a virtual environment, if the `PATH` or pyenv has this version of Python."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    pythons = (f"python{version}", *pyenv.glob(f"versions/{version}.*/bin/python"))
    return any(run(f"{python} -m venv venv", folder)[0] for python in pythons)


def check(name: str, folder: Path) -> tuple[str, str]:
    """Runs all steps in a new environment and prints a line for each.

    Returns:
        `"passed"`, `"absent"` or which steps failed; the versions of the main packages.
    """
    version, constraints = ENVIRONMENTS[name]
    folder.mkdir()
    (folder / "constraints.txt").write_text("\n".join(constraints))
    if not create(version, folder):
        return "absent", f"Python {version}"
    failed = []
    for step, command in STEPS.items():
        start = time.monotonic()
        passed, output = run(command, folder)
        result = f"{'passed' if passed else 'FAILED'} {time.monotonic() - start:6.1f} s"
        print(f"{name:6} {step:12} {result}", flush=True)
        if not passed:
            failed.append(step)
            for line in output.splitlines()[-15:]:
                print(f"    {line[:300]}", flush=True)
        if failed == ["install"]:
            return "FAILED: install", f"Python {version}"
    return f"FAILED: {', '.join(failed)}" if failed else "passed", run(VERSIONS, folder)[1]


def main() -> int:
    """Checks the chosen environments, prints a table, and returns the exit code."""
    parser = argparse.ArgumentParser(description="Test the package in fresh environments.")
    parser.add_argument("name", nargs="*", help=f"one of {', '.join(ENVIRONMENTS)}; default: all")
    names = parser.parse_args().name or list(ENVIRONMENTS)
    if not set(names) <= set(ENVIRONMENTS):
        parser.error(f"choose from {', '.join(ENVIRONMENTS)}.")
    results, rows = set(), []
    with tempfile.TemporaryDirectory(prefix="pix2pix_color_") as temporary:
        folder = Path(temporary)
        # The wheel is built from links to the checkout's files, so that no build/ is left in it.
        (folder / "source").mkdir()
        for file in ("setup.cfg", "pyproject.toml", "README.md", "pix2pix_color", "saved_models"):
            (folder / "source" / file).symlink_to(ROOT / file)
        built, output = run(f"{sys.executable} {PIP} wheel --no-deps ./source", folder)
        if not built:
            sys.exit(output)
        for name in names:
            start = time.monotonic()
            result, versions = check(name, folder / name)
            results.add(result)
            rows.append(f"{name:6} {time.monotonic() - start:6.0f} s  {versions}  {result}")
            shutil.rmtree(folder / name)
    print("", *rows, sep="\n")
    return 0 if "passed" in results and results <= {"passed", "absent"} else 1


if __name__ == "__main__":
    sys.exit(main())
