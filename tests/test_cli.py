"""The command line: answers at once, says what is wrong in one line, does the whole way."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from conftest import TINY
from PIL import Image

from pix2pix_color import colorizer
from pix2pix_color.apps import cli
from pix2pix_color.apps.cli import parser as cli_parser
from pix2pix_color.files import write_checksums
from tools import reproduce as reproduction

COMMANDS = ("train", "evaluate", "colorize", "demo", "export", "info", "reproduce")
SETTINGS = [word for change in TINY for word in ("--set", change)]


def settings(**changes: object) -> list[str]:
    """The options of a tiny run, some of them changed."""
    more = [f"training.{name}={value}" for name, value in changes.items()]
    return [*SETTINGS, *(word for change in more for word in ("--set", change))]


def error_line(capsys: pytest.CaptureFixture, code: int, *arguments: object) -> str:
    """Runs a command that must fail with `code`, and returns its one line."""
    capsys.readouterr()
    assert cli.main([str(word) for word in arguments]) == code
    lines = [
        line
        for line in capsys.readouterr().err.splitlines()
        if line.startswith("pix2pix-color: error: ")
    ]
    assert len(lines) == 1, lines
    return lines[0]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished tiny run, made by the command line."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    arguments = ["train", "--run", str(folder), "--dataset", "photographs", *settings()]
    assert cli.main(arguments) == 0
    return folder


@pytest.fixture(scope="module")
def shipped(run_folder: Path) -> Path:
    """The run's folder to ship."""
    folder = run_folder.parent / "shipped"
    assert cli.main(["export", str(run_folder), "-o", str(folder)]) == 0
    return folder


@pytest.fixture
def gray_file(tmp_path: Path) -> Path:
    path = tmp_path / "gray.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (9, 13), np.uint8)).save(path)
    return path


# Help and usage -----------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--help"], *([c, "--help"] for c in COMMANDS)])
def test_help_comes_at_once_and_without_tensorflow(arguments: list[str]):
    script = (
        "import sys\nfrom pix2pix_color import cli\ncode = cli.main(sys.argv[1:])\n"
        "heavy = {'tensorflow', 'keras', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    before = os.times()
    result = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])},
    )
    after = os.times()
    assert result.returncode == 0, result.stderr
    assert "exit codes:" in result.stdout
    # Of processor time: a busy machine is not slow code.
    assert after.children_user + after.children_system < 1.0 + (
        before.children_user + before.children_system
    )


def test_the_module_is_the_command():
    result = subprocess.run(
        [sys.executable, "-m", "pix2pix_color", "--version"],
        capture_output=True,
        text=True,
        cwd=Path(cli.__file__).parents[2],
    )
    assert result.stdout.startswith("pix2pix-color 0.")


def test_every_hyperparameter_is_in_the_help(capsys: pytest.CaptureFixture):
    from pix2pix_color.config import Config

    assert cli.main(["train", "--help"]) == 0
    text = capsys.readouterr().out
    for section, fields in Config.report().to_dict().items():
        for field, value in fields.items():
            assert f"  {section}.{field} = {value}\n" in text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train", "--preset", "reprot"], "did you mean 'report'?"),
        (["train", "--set", "training.batchsize=1"], "did you mean 'training.batch_size'?"),
        (["train", "--set", "training.batch_size"], "write NAME=VALUE"),
        (["train", "--set", "training.batch_size=many"], "give a whole number"),
        (["train", "--set", "generator.normalization=bach"], "did you mean 'batch'?"),
        (["train", "--set", "data.image_size=33"], "multiple of 32"),
        (["train", "--steps", "0"], "at least 1"),
        (["train", "--datset", "x"], "Did you mean --dataset?"),
        (["train", "--run", "a", "--resume", "b"], "not allowed with"),
        (["train", "--resume", "a", "--preset", "fast"], "not both"),
        (["train", "--resume", "a", "--set", "generator.depth=4"], "start another run"),
        (["trian"], "did you mean 'train'?"),
        (["--hepl"], "Did you mean --help?"),
        ([], "a command is needed"),
        (["evaluate", "--limit", "0"], "not a positive whole number"),
        (["colorize", "a.png"], "-o/--output"),
        (["colorize", "a.png", "b.png", "-o", "c.png"], "names one file"),
    ],
)
def test_a_wrong_command_line_names_the_right_one(arguments, expected, capsys):
    assert expected in error_line(capsys, 2, *arguments)


# The whole way ------------------------------------------------------------------------------


def test_train_says_what_it_uses_and_saves_the_generator(tmp_path: Path, capsys):
    folder = tmp_path / "run"
    options = ["--dataset", "photographs", *settings(steps=4), "--strategy", "cpu"]
    assert cli.main(["train", "--run", str(folder), *options]) == 0
    output = capsys.readouterr().out
    assert "Devices: OneDeviceStrategy on 1 CPU replica." in output
    assert "Data: photographs (train), " in output
    assert "gray ones dropped." in output
    assert f"Saved {folder / 'generator.keras'}, trained for 4 steps" in output
    assert (folder / "generator.keras").is_file()

    assert cli.main(["train", "--resume", str(folder), "--steps", "6"]) == 0
    output = capsys.readouterr().out
    assert f"Going on with {folder} at step 4." in output
    assert "trained for 6 steps" in output
    assert json.loads((folder / "config.json").read_text())["training"]["steps"] == 6

    assert cli.main(["train", "--resume", str(folder)]) == 0
    assert "has taken its 6 steps" in capsys.readouterr().out


def test_export_then_info_then_colorize(shipped: Path, gray_file: Path, tmp_path: Path, capsys):
    assert {"README.md", "SHA256SUMS", "config.json", "generator.keras", "saved_model"} <= {
        path.name for path in shipped.iterdir()
    }
    capsys.readouterr()
    assert cli.main(["info", str(shipped)]) == 0
    output = capsys.readouterr().out
    assert "parameters" in output
    assert '"image_size": 8' in output

    target = tmp_path / "color.png"
    assert cli.main(["colorize", str(gray_file), "-o", str(target), "--model", str(shipped)]) == 0
    with Image.open(target) as colored:
        assert (colored.size, colored.mode) == ((13, 9), "RGB")


def test_info_of_a_run_and_of_the_installation(run_folder: Path, capsys, monkeypatch):
    assert cli.main(["info", str(run_folder)]) == 0
    output = capsys.readouterr().out
    assert "Discriminator: " in output
    assert "Last logged: step 6, " in output
    monkeypatch.setattr(colorizer, "shipped_models", list)
    assert cli.main(["info"]) == 0
    output = capsys.readouterr().out
    assert "TensorFlow 2." in output
    assert "CPU:0" in output


def test_info_reports_a_damaged_shipped_model(shipped: Path, tmp_path: Path, capsys, monkeypatch):
    shutil.copytree(shipped, tmp_path / "saved_models" / "mine")
    monkeypatch.setattr(colorizer, "shipped_folder", lambda: tmp_path / "saved_models")
    assert cli.main(["info"]) == 0
    assert "checksums right" in capsys.readouterr().out
    (tmp_path / "saved_models" / "mine" / "config.json").write_text("{}")
    assert cli.main(["info"]) == 1
    assert "SHA-256 differs" in capsys.readouterr().out


def test_colorize_a_folder_goes_on_after_a_bad_file(shipped: Path, tmp_path: Path, capsys):
    images = tmp_path / "in"
    (images / "deep").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.jpg", "deep/a.png"):
        Image.fromarray(rng.integers(0, 256, (5, 7, 3), np.uint8)).save(images / name)
    (images / "bad.png").write_bytes(b"no image")
    (images / "notes.txt").write_text("left alone")
    before = {path: path.read_bytes() for path in images.rglob("*") if path.is_file()}
    output = tmp_path / "out"
    command = ["colorize", str(images), "-o", str(output), "--model", str(shipped)]
    capsys.readouterr()
    assert cli.main(command) == 1
    shown = capsys.readouterr()
    assert "[4/4]" in shown.out
    assert "1 of 4 images could not be colorized:" in shown.err
    assert "bad.png cannot be read: it is no PNG, JPEG" in shown.err
    made = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    assert made == {"a.png", "b.jpg", "deep/a.png"}
    assert {path: path.read_bytes() for path in before} == before

    first = (output / "a.png").stat().st_mtime_ns
    inside = ["colorize", str(images / "deep"), "-o", str(images / "deep" / "out")]
    for _ in range(2):  # what the first call made is no input of the second
        assert cli.main([*inside, "--model", str(shipped), "--overwrite"]) == 0
    assert [path.name for path in (images / "deep" / "out").iterdir()] == ["a.png"]
    shutil.rmtree(images / "deep" / "out")

    assert cli.main(command) == 1  # nothing is replaced unasked
    assert (output / "a.png").stat().st_mtime_ns == first
    assert "3 of 4 images skipped: their outputs exist" in capsys.readouterr().err
    (images / "bad.png").unlink()
    assert cli.main([*command, "--overwrite"]) == 0
    assert (output / "a.png").stat().st_mtime_ns != first


def test_colorize_never_writes_two_images_to_one_file(shipped: Path, tmp_path: Path, capsys):
    for name in ("x.png", "x.jpg"):
        Image.fromarray(np.full((4, 4), 90, np.uint8)).save(tmp_path / name)
    files = [str(tmp_path / "x.jpg"), str(tmp_path / "x.png")]
    command = ["colorize", *files, "--model", str(shipped)]
    assert cli.main([*command, "-o", str(tmp_path / "out"), "--format", "png"]) == 1
    assert "is already that of" in capsys.readouterr().err
    before = (tmp_path / "x.png").read_bytes()
    assert cli.main([*command, "-o", str(tmp_path), "--overwrite"]) == 1
    assert "would replace an input" in capsys.readouterr().err
    assert (tmp_path / "x.png").read_bytes() == before


# Bad input ----------------------------------------------------------------------------------


def truncated_png() -> bytes:
    import io

    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, format="png")
    return buffer.getvalue()[:2_000]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"%PDF-1.4 not an image", "it is no PNG, JPEG, TIFF"),
        (truncated_png(), "cannot be read"),
    ],
    ids=["missing", "empty", "not an image", "truncated"],
)
def test_a_bad_image_is_one_line(content, expected, shipped, tmp_path: Path, capsys):
    source, target = tmp_path / "bad.png", tmp_path / "out.png"
    if content is not None:
        source.write_bytes(content)
    line = error_line(capsys, 1, "colorize", source, "-o", target, "--model", shipped)
    assert "bad.png" in line
    assert expected in line
    assert not target.exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all files")
def test_an_unreadable_image_is_one_line(shipped, gray_file: Path, tmp_path: Path, capsys):
    gray_file.chmod(0)
    line = error_line(
        capsys, 1, "colorize", gray_file, "-o", tmp_path / "o.png", "--model", shipped
    )
    assert "gray.png" in line


def test_a_file_that_the_system_will_not_open(shipped, gray_file, tmp_path, capsys, monkeypatch):
    from pix2pix_color.image_files import reading

    def refuse(path: object, *_: object, **__: object):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(reading, "open", refuse, raising=False)
    line = error_line(
        capsys, 1, "colorize", gray_file, "-o", tmp_path / "o.png", "--model", shipped
    )
    assert "gray.png" in line
    assert "ermission denied" in line


def test_an_existing_output_stays(shipped, gray_file: Path, tmp_path: Path, capsys):
    target = tmp_path / "out.png"
    target.write_bytes(b"mine")
    line = error_line(capsys, 1, "colorize", gray_file, "-o", target, "--model", shipped)
    assert "--overwrite" in line
    assert target.read_bytes() == b"mine"
    line = error_line(
        capsys, 1, "colorize", gray_file, "-o", gray_file, "--model", shipped, "--overwrite"
    )
    assert "input" in line


def test_no_space_left_is_one_line_and_leaves_nothing(
    shipped, gray_file: Path, tmp_path: Path, capsys, monkeypatch
):
    from pix2pix_color.image_files import writing

    def full(_image: object, _pixels: object, _key: str, file: IO[bytes]):
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(writing, "_encode", full)
    output = tmp_path / "out"
    line = error_line(capsys, 1, "colorize", gray_file, "-o", output, "--model", shipped)
    assert "no space left" in line
    assert "Free some space" in line
    assert not any(output.iterdir())


def test_no_space_left_for_a_checkpoint(tmp_path: Path, capsys, monkeypatch):
    import tensorflow as tf

    def full(self, *_: object, **__: object):
        raise tf.errors.ResourceExhaustedError(None, None, "x; No space left on device")

    monkeypatch.setattr(tf.train.CheckpointManager, "save", full)
    options = ["--dataset", "photographs", *settings(steps=2)]
    line = error_line(capsys, 1, "train", "--run", tmp_path / "run", *options)
    assert "no space left" in line


def test_a_folder_without_images(shipped, tmp_path: Path, capsys):
    (tmp_path / "empty").mkdir()
    line = error_line(
        capsys, 1, "colorize", tmp_path / "empty", "-o", tmp_path / "out", "--model", shipped
    )
    assert "No image in" in line
    options = ["--dataset", tmp_path / "empty", *settings()]
    line = error_line(capsys, 1, "train", "--run", tmp_path / "run", *options)
    assert "No image in" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [("photograph", "did you mean 'photographs'?"), ("nowhere/at/all", "no data set or folder")],
)
def test_a_dataset_that_is_not_there(dataset, expected, run_folder, capsys):
    assert expected in error_line(
        capsys, 1, "evaluate", "--model", run_folder, "--dataset", dataset
    )


def test_cifar10_that_cannot_be_had(run_folder, capsys, monkeypatch):
    import tensorflow_datasets as tfds

    def fail(*_: object, **__: object):
        raise ConnectionError("no network")

    monkeypatch.setattr(tfds, "load", fail)
    line = error_line(capsys, 1, "evaluate", "--model", run_folder, "--dataset", "cifar10")
    assert "TFDS_DATA_DIR" in line
    assert "--dataset photographs" in line


def test_an_unknown_split(run_folder, capsys):
    command = ("evaluate", "--model", run_folder, "--dataset", "photographs", "--split", "tset")
    assert "did you mean 'test'?" in error_line(capsys, 1, *command)


def test_a_model_that_is_not_there(shipped, gray_file: Path, tmp_path: Path, capsys, monkeypatch):
    shutil.copytree(shipped, tmp_path / "saved_models" / "report")
    monkeypatch.setattr(colorizer, "shipped_folder", lambda: tmp_path / "saved_models")
    command = ("colorize", gray_file, "-o", tmp_path / "o.png", "--model", "reprot")
    assert "did you mean 'report'?" in error_line(capsys, 1, *command)


def test_a_model_that_fails_its_checksum(shipped, gray_file: Path, tmp_path: Path, capsys):
    model = tmp_path / "model"
    shutil.copytree(shipped, model)
    with open(model / "saved_model" / "saved_model.pb", "ab") as file:
        file.write(b"\0")
    command = ("colorize", gray_file, "-o", tmp_path / "o.png", "--model", model)
    assert "SHA-256 differs" in error_line(capsys, 1, *command)
    assert not (tmp_path / "o.png").exists()


def test_a_file_that_is_no_model(gray_file: Path, tmp_path: Path, capsys):
    fake = tmp_path / "fake.keras"
    fake.write_bytes(b"not a model")
    command = ("colorize", gray_file, "-o", tmp_path / "o.png", "--model", fake)
    assert "fake.keras" in error_line(capsys, 1, *command)


def test_a_checkpoint_of_another_architecture(run_folder, tmp_path: Path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder)
    values = json.loads((folder / "config.json").read_text())
    values["generator"]["filters"] = 6
    (folder / "config.json").write_text(json.dumps(values))
    line = error_line(capsys, 1, "train", "--resume", folder, "--steps", "20")
    assert "other networks" in line


def test_a_run_is_not_started_twice(run_folder, capsys):
    line = error_line(capsys, 1, "train", "--run", run_folder, *settings())
    assert f"--resume {run_folder}" in line


@pytest.mark.parametrize("content", [None, "{", '{"training": {"stps": 1}}'])
def test_a_folder_that_is_no_run(content, tmp_path: Path, capsys):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    for command in (["train", "--resume", tmp_path], ["export", tmp_path, "-o", tmp_path / "x"]):
        assert "config.json" in error_line(capsys, 1, *command)


def test_export_in_the_formats_asked_for(run_folder, tmp_path: Path, capsys):
    pytest.importorskip("tf2onnx", reason="needs tf2onnx: pip install pix2pix_color[onnx]")
    target = tmp_path / "mobile"
    command = ["export", str(run_folder), "-o", str(target), "--quantization", "float16"]
    assert cli.main([*command, "--format", "lite", "onnx"]) == 0
    made = {path.name for path in target.iterdir()}
    assert {"generator.onnx", "generator-float16.tflite", "SHA256SUMS"} <= made
    assert not {"saved_model", "generator.keras"} & made
    line = error_line(capsys, 2, *command, "--format", "pb")
    assert "saved_model" in line
    line = error_line(capsys, 1, *command, "--overwrite", "--render-size", 33)
    assert "multiple of 8" in line


def test_export_knows_the_formats_without_tensorflow():
    from pix2pix_color import export
    from pix2pix_color.apps.cli import export as cli_export

    assert cli_export._FORMATS == export.FORMATS
    assert cli_export._QUANTIZATIONS == export.QUANTIZATIONS


def test_colorize_knows_the_formats_without_numpy():
    from pix2pix_color import image_files
    from pix2pix_color.apps.cli import colorize as cli_colorize

    assert sorted(cli_colorize._FORMATS) == sorted(image_files.FORMATS)


def test_the_page_gets_its_options(monkeypatch):
    from pix2pix_color.apps import web as app

    calls = []
    monkeypatch.setattr(app, "demo", lambda *arguments, **options: calls.append(options))
    assert cli.main(["demo", "--port", "0", "--max-megabytes", "3", "--max-queue", "2"]) == 0
    (options,) = calls
    assert options["max_megabytes"] == 3
    assert options["max_queue"] == 2
    assert options["max_megapixels"] == 50


def test_colorize_a_film(shipped: Path, tmp_path: Path, capsys):
    pytest.importorskip("av", reason="PyAV is not installed: pip install 'pix2pix_color[video]'")
    import av
    from test_video import gray_frames, write_film

    film = write_film(tmp_path / "film.mp4", gray_frames(8))
    command = ["colorize", str(film), "-o", str(tmp_path / "out"), "--model", str(shipped)]
    assert cli.main(command) == 0
    with av.open(str(tmp_path / "out" / "film.mp4")) as made:
        assert sum(1 for _ in made.decode(video=0)) == 8
        assert made.streams.audio
    assert "--overwrite" in error_line(capsys, 1, *command)
    assert "for images" in error_line(capsys, 2, *command, "--compare")
    line = error_line(capsys, 1, *command, "--overwrite", "--smoothing", 2)
    assert "smoothing must be 0 to 1" in line


def test_export_replaces_only_when_asked(run_folder, tmp_path: Path, capsys):
    target = tmp_path / "model"
    target.mkdir()
    (target / "mine").write_text("mine")
    assert "--overwrite" in error_line(capsys, 1, "export", run_folder, "-o", target)
    assert (target / "mine").read_text() == "mine"


def test_a_strategy_that_is_not_there(tmp_path: Path, capsys):
    options = ["--dataset", "photographs", *settings()]
    command = ["train", "--run", tmp_path / "run", "--strategy", "mirorred", *options]
    assert "did you mean 'mirrored'?" in error_line(capsys, 1, *command)


# Ends ---------------------------------------------------------------------------------------


def test_ctrl_c_is_130_and_says_how_to_go_on(tmp_path: Path, capsys, monkeypatch):
    import signal

    from pix2pix_color.training import CheckpointWriter

    end = CheckpointWriter.on_train_batch_end

    def interrupt(self, batch, logs=None):
        signal.raise_signal(signal.SIGINT)
        end(self, batch, logs)

    monkeypatch.setattr(CheckpointWriter, "on_train_batch_end", interrupt)
    folder = tmp_path / "run"
    options = ["--dataset", "photographs", *settings()]
    line = error_line(capsys, 130, "train", "--run", folder, *options)
    assert f"pix2pix-color train --resume {folder}" in line
    monkeypatch.undo()
    assert cli.main(["train", "--resume", str(folder)]) == 0


def test_ctrl_c_elsewhere_is_130(monkeypatch, capsys):
    def interrupt(*_: object):
        raise KeyboardInterrupt

    add, _, text = cli_parser._COMMANDS["info"]
    monkeypatch.setitem(cli_parser._COMMANDS, "info", (add, interrupt, text))
    assert "interrupted" in error_line(capsys, 130, "info")


def test_a_bug_keeps_its_traceback(monkeypatch):
    def bug(*_: object):
        raise ZeroDivisionError

    add, _, text = cli_parser._COMMANDS["info"]
    monkeypatch.setitem(cli_parser._COMMANDS, "info", (add, bug, text))
    with pytest.raises(ZeroDivisionError):
        cli.main(["info"])


@pytest.mark.skipif(os.name == "nt", reason="pipes differ")
def test_a_reader_that_leaves_is_no_traceback():
    root = Path(cli.__file__).parents[2]
    command = [sys.executable, "-m", "pix2pix_color", "train", "--help"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root
    )
    process.stdout.close()
    process.wait(timeout=60)
    errors = process.stderr.read()
    process.stderr.close()
    assert errors == ""


# reproduce ----------------------------------------------------------------------------------


def test_reproduce_needs_a_checkout(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "root of a whole checkout" in error_line(capsys, 1, "reproduce")


def test_reproduce_keeps_a_folder_that_it_did_not_make(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.png").write_bytes(b"mine")
    with pytest.raises(reproduction.ReproductionError, match="was not made by this command"):
        reproduction._make_anew(tmp_path / "mine")
    assert (tmp_path / "mine" / "photo.png").exists()
    for _ in range(2):
        reproduction._make_anew(tmp_path / "reproduced")
        assert (tmp_path / "reproduced" / "figures").is_dir()


def test_the_dataset_is_cifar10_only_where_it_can_be_had(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))

    def no_network(*_: object, **__: object):
        raise OSError("no network")

    monkeypatch.setattr(reproduction.socket, "create_connection", no_network)
    dataset, reason = reproduction.choose_dataset()
    assert dataset == "photographs"
    reproduction._say_banner(dataset, reason)
    assert "NOT CIFAR-10" in capsys.readouterr().out
    (tmp_path / "cifar10" / "3.0.2").mkdir(parents=True)
    (tmp_path / "cifar10" / "3.0.2" / "dataset_info.json").write_text("{}")
    assert reproduction.choose_dataset()[0] == "cifar10"


def write_notebook(path: Path, *cells: str) -> None:
    import nbformat

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


def fake_checkout(root: Path, model: Path, *failing: str) -> None:
    for name in reproduction.NOTEBOOKS:
        cell = "1 / 0" if name in failing else "import os; os.environ['PIX2PIX_COLOR_DATASET']"
        write_notebook(root / "notebooks" / f"{name}.ipynb", cell)
    shutil.copytree(model, root / "saved_models" / "report")


def test_reproduce_does_the_whole_way(shipped: Path, tmp_path: Path, monkeypatch, capsys):
    """With tiny notebooks and model: each part runs, and the second time like the first."""
    fake_checkout(tmp_path, shipped)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reproduction, "choose_dataset", lambda: ("photographs", "it is a test"))
    monkeypatch.setattr(reproduction, "NOTEBOOKS", reproduction.NOTEBOOKS[:1])
    monkeypatch.setattr(reproduction, "SCORED_IMAGES", 20)
    tiny = cli_parser.Config.fast().override(*TINY, "training.steps=4")
    monkeypatch.setattr(cli_parser.Config, "fast", classmethod(lambda cls: tiny))
    committed = (tmp_path / "notebooks" / "01_dataset.ipynb").read_bytes()
    for _ in range(2):
        assert cli.main(["reproduce"]) == 0
    output = capsys.readouterr().out
    made = tmp_path / "reproduced"
    for name in ("figures", "notebooks", "scores.md", "colorized.png", "run"):
        assert (made / name).exists()
        assert f"  {made / name}: " in output
    assert "'photographs'" in (made / "notebooks" / "01_dataset.ipynb").read_text()
    scores = (made / "scores.md").read_text()
    assert "NOT CIFAR-10" in scores
    assert "| no color at all |" in scores
    assert (tmp_path / "notebooks" / "01_dataset.ipynb").read_bytes() == committed


def test_a_notebook_that_fails_is_named_and_kept(shipped: Path, tmp_path: Path, capsys):
    fake_checkout(tmp_path, shipped, "01_dataset")
    source, target = tmp_path / "notebooks", tmp_path / "out"
    with pytest.raises(reproduction.ReproductionError, match="ZeroDivisionError"):
        reproduction.run_notebook(source / "01_dataset.ipynb", target / "01_dataset.ipynb")
    assert "ZeroDivisionError" in (target / "01_dataset.ipynb").read_text()


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
def test_ctrl_c_ends_a_notebook(tmp_path: Path):
    import signal
    import threading

    write_notebook(tmp_path / "long.ipynb", "import time; time.sleep(600)")

    def interrupt_soon(*_: int) -> None:
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        reproduction.run_notebook(
            tmp_path / "long.ipynb", tmp_path / "out.ipynb", on_cell=interrupt_soon
        )
    assert not (tmp_path / "out.ipynb").exists()


def test_reproduce_stops_at_a_damaged_model(shipped: Path, tmp_path: Path, monkeypatch, capsys):
    fake_checkout(tmp_path, shipped)
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "saved_models" / "report"
    (model / "config.json").write_text("{}")
    assert "SHA-256 differs" in error_line(capsys, 1, "reproduce")
    assert not (tmp_path / "reproduced").exists()
    write_checksums(model)
    monkeypatch.setattr(reproduction, "choose_dataset", lambda: ("photographs", "a test"))
    (tmp_path / "reproduced").mkdir()
    assert "was not made by this command" in error_line(capsys, 1, "reproduce")
