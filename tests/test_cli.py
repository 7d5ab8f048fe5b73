"""The command line: immediate help, one line per error, and every command on a tiny model."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from conftest import TINY, python_process, run_python
from PIL import Image

import pix2pix_color
from pix2pix_color import model_folder
from pix2pix_color.apps import cli
from pix2pix_color.apps.cli import info
from pix2pix_color.config import Config

SETTINGS = [word for change in TINY for word in ("--set", change)]
ON_PHOTOGRAPHS = ("--dataset", "photographs")


def run(*arguments: object) -> int:
    return cli.main([str(word) for word in arguments])


def error_line(capsys: pytest.CaptureFixture, code: int, *arguments: object) -> str:
    """Runs a command that must fail with `code`, and returns its one line."""
    capsys.readouterr()
    assert run(*arguments) == code
    lines = [
        line
        for line in capsys.readouterr().err.splitlines()
        if line.startswith("pix2pix-color: error: ")
    ]
    assert len(lines) == 1, lines
    return lines[0]


@pytest.fixture
def gray_file(tmp_path: Path) -> Path:
    path = tmp_path / "gray.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (9, 13), np.uint8)).save(path)
    return path


@pytest.fixture
def colorize(tiny_export: Path, gray_file: Path, tmp_path: Path) -> list[object]:
    """The arguments that colorize `gray_file`; more of them override these."""
    return ["colorize", gray_file, "-o", tmp_path / "color.png", "--model", tiny_export]


# Help and usage -----------------------------------------------------------------------------


def test_help_is_immediate_and_needs_no_tensorflow():
    script = """
import sys, time
from pix2pix_color.apps import cli
assert cli.main(["--help"]) == 0
seconds = time.process_time()  # since the interpreter started
commands = ["train", "evaluate", "colorize", "demo", "export", "info", "experiment",
            "train-classifier"]
assert not any(cli.main([command, "--help"]) for command in commands)
print("heavy:", {"tensorflow", "keras", "numpy"} & set(sys.modules), "seconds:", seconds)
"""
    code, output, errors = run_python(script)
    assert code == 0, errors
    *text, last = output.splitlines()
    assert text.count("exit codes:") == 9
    assert last.startswith("heavy: set() seconds: ")
    assert float(last.rpartition(" ")[2]) < 0.5


def test_every_hyperparameter_is_in_the_help(capsys: pytest.CaptureFixture):
    assert run("train", "--help") == 0
    text = capsys.readouterr().out
    for section, fields in Config.report().to_dict().items():
        for field, value in fields.items():
            assert f"  {section}.{field} = {value}\n" in text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train", "--preset", "reprot"], "did you mean 'report'?"),
        (["train", "--set", "training.batchsize=1"], "did you mean 'training.batch_size'?"),
        (["train", "--datset", "x"], "did you mean '--dataset'?"),
        (["train", "--run", "a", "--resume", "b"], "not allowed with"),
        (["train", "--resume", "a", "--preset", "fast"], "use only one"),
        (["trian"], "did you mean 'train'?"),
        ([], "a command is required"),
        (["colorize", "a.png"], "-o/--output"),
        (["colorize", "a.png", "b.png", "-o", "c.png"], "the name of one file"),
        (["colorize", "a.png", "-o", "b.png", "--format", "pgn"], "'png'"),
        *(
            (["colorize", "a.png", "-o", "b.png", f"--{option}", value], "number from")
            for option, value in [
                ("strength", "9"),
                ("strength", "nan"),
                ("vividness", "-0.1"),
                ("render-size", "0"),
                ("workers", "9" * 5_000),
                ("crf", "52"),
                ("smoothing", "inf"),
            ]
        ),
        (["colorize", "a.png", "-o", "b", "--name", "{stem}_color"], "a_color"),
        (["export", "a", "-o", "b", "--format", "pb"], "saved_model"),
    ],
)
def test_a_wrong_command_line_names_the_right_one(arguments, expected, capsys):
    assert expected in error_line(capsys, 2, *arguments)


def test_choices_that_are_repeated_without_tensorflow():
    from pix2pix_color import distribute, export, image_files
    from pix2pix_color.apps.cli import colorize, train
    from pix2pix_color.apps.cli import export as export_command

    assert export_command.FORMATS == export.FORMATS
    assert export_command.QUANTIZATIONS == export.QUANTIZATIONS
    assert set(colorize.FORMATS) == {*image_files.OUTPUT_FORMATS, "jpg", "tif"}
    assert train.STRATEGIES == distribute.STRATEGIES


# Train --------------------------------------------------------------------------------------


def test_train_and_resume(tmp_path: Path, capsys):
    folder = tmp_path / "run"
    options = [*ON_PHOTOGRAPHS, *SETTINGS, "--steps", 4, "--strategy", "cpu"]
    assert run("train", "--run", folder, *options) == 0
    output = capsys.readouterr().out
    assert "Devices: OneDeviceStrategy on 1 CPU replica." in output
    assert "Data: photographs (train), " in output
    assert "gray images dropped." in output
    assert "trained for 4 steps" in output

    assert f"--resume {folder}" in error_line(capsys, 1, "train", "--run", folder, *SETTINGS)
    assert run("train", "--resume", folder, "--steps", 6) == 0
    output = capsys.readouterr().out
    assert f"Resuming {folder} at step 4." in output
    assert "trained for 6 steps" in output
    assert json.loads((folder / "config.json").read_text())["training"]["steps"] == 6

    assert run("train", "--resume", folder) == 0
    assert "has already finished (6 steps)" in capsys.readouterr().out


def test_ctrl_c_saves_the_run_and_says_how_to_resume(tmp_path: Path, capsys, monkeypatch):
    from pix2pix_color.training import Trainer

    take_steps = Trainer.train_steps

    def interrupt(self, *arguments):
        signal.raise_signal(signal.SIGINT)
        return take_steps(self, *arguments)

    monkeypatch.setattr(Trainer, "train_steps", interrupt)
    folder = tmp_path / "run"
    line = error_line(capsys, 130, "train", "--run", folder, *ON_PHOTOGRAPHS, *SETTINGS)
    assert f"pix2pix-color train --resume {folder}" in line
    monkeypatch.undo()
    assert run("train", "--resume", folder) == 0


@pytest.mark.parametrize("content", [None, "{", '{"training": {"stps": 1}}'])
def test_a_folder_that_is_no_run(content, tmp_path: Path, capsys):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    for command in (["train", "--resume", tmp_path], ["export", tmp_path, "-o", tmp_path / "x"]):
        assert "config.json" in error_line(capsys, 1, *command)


@pytest.mark.parametrize(
    ("where", "reason", "expected"),
    [
        ("checkpoint", "No space left on device", "no space left"),
        ("step", "allocating a tensor", "out of memory"),
    ],
)
def test_a_full_disk_or_memory(where, reason, expected, tmp_path: Path, capsys, monkeypatch):
    import tensorflow as tf

    from pix2pix_color.training import Trainer

    def fail(self, *_: object, **__: object):
        raise tf.errors.ResourceExhaustedError(None, None, f"x; {reason}")

    owner = tf.train.CheckpointManager if where == "checkpoint" else Trainer
    monkeypatch.setattr(owner, "save" if where == "checkpoint" else "train_steps", fail)
    command = ["train", "--run", tmp_path / "run", *ON_PHOTOGRAPHS, *SETTINGS, "--steps", 2]
    assert expected in error_line(capsys, 1, *command).lower()


# Evaluate -----------------------------------------------------------------------------------


def test_evaluate_compares_two_models(tiny_run: Path, tiny_export: Path, tmp_path: Path, capsys):
    command = ["evaluate", "--model", tiny_run, *ON_PHOTOGRAPHS, "--limit", 12]
    against = [*command, "--against", tiny_export, "-o", tmp_path / "scores"]
    capsys.readouterr()
    assert run(*against, "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "scores" / "metrics.json").read_text()) == content
    assert {"model", "no_color", "own_mean_chroma", "real"} < set(content["scores"])
    assert (content["split"], content["count"], content["step"]) == ("test", 12, 8)
    # No path of this machine.
    assert (content["model"], content["against"]) == (tiny_run.name, tiny_export.name)
    assert content["reference"]["split"] == "train"
    assert content["reference"]["count"] > 12
    # One was exported from the other.
    assert content["difference"]["scores"]["psnr"]["difference"] == pytest.approx(0, abs=1e-3)
    assert "--overwrite" in error_line(capsys, 1, *against)

    assert run(*command, "--split", "train") == 0
    output = capsys.readouterr().out
    assert "| no color at all |" in output
    assert max(map(len, output.splitlines())) < 160  # people read it in a terminal


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--dataset", "photograph"], "did you mean 'photographs'?"),
        (["--dataset", "nowhere/at/all"], "no data set or folder"),
        ([*ON_PHOTOGRAPHS, "--split", "tset"], "did you mean 'test'?"),
    ],
)
def test_data_that_do_not_exist(options, expected, tiny_run, capsys):
    assert expected in error_line(capsys, 1, "evaluate", "--model", tiny_run, *options)


# Export and info ----------------------------------------------------------------------------


def test_export_then_info_then_colorize(tiny_run: Path, gray_file: Path, tmp_path: Path, capsys):
    folder, target = tmp_path / "exported", tmp_path / "color.png"
    assert run("export", tiny_run, "-o", folder) == 0
    made = {path.name for path in folder.iterdir()}
    assert {"README.md", "SHA256SUMS", "config.json", "saved_model"} <= made
    output = capsys.readouterr().out
    assert "trained for 8 steps" in output
    assert "saved_model/saved_model.pb (" in output
    (folder / "mine").write_text("mine")
    assert "--overwrite" in error_line(capsys, 1, "export", tiny_run, "-o", folder)
    assert (folder / "mine").read_text() == "mine"

    assert run("info", folder) == 0
    output = capsys.readouterr().out
    assert "Generator: " in output
    assert '"image_size": 8' in output
    assert run("colorize", gray_file, "-o", target, "--model", folder) == 0
    with Image.open(target) as colored:
        assert (colored.size, colored.mode) == ((13, 9), "RGB")
    nowhere = tmp_path / "nowhere"
    command = ["colorize", gray_file, "-o", nowhere, "--model", folder, "--render-size", 7]
    assert "multiple of 8" in error_line(capsys, 1, *command)
    assert not nowhere.exists()


def test_export_in_other_formats(tiny_run, tmp_path: Path, capsys):
    pytest.importorskip("tf2onnx", reason="needs tf2onnx: pip install pix2pix_color[onnx]")
    target = tmp_path / "mobile"
    command = ["export", tiny_run, "-o", target, "--quantization", "float16"]
    assert run(*command, "--format", "lite", "onnx") == 0
    made = {path.name for path in target.iterdir()}
    assert {"generator.onnx", "generator-float16.tflite", "SHA256SUMS"} <= made
    assert "saved_model" not in made
    line = error_line(capsys, 1, *command, "--overwrite", "--render-size", 33)
    assert "multiple of 8" in line


def test_info_of_a_run_and_of_the_installation(
    tiny_run, tiny_export, tmp_path, capsys, monkeypatch
):
    assert run("info", tiny_run) == 0
    output = capsys.readouterr().out
    assert "Discriminator: " in output
    assert "Last logged: step 6, " in output

    monkeypatch.setattr(model_folder, "shipped_folder", lambda: tmp_path)
    assert run("info") == 0
    output = capsys.readouterr().out
    assert "TensorFlow 2." in output
    assert "CPU:0" in output
    shutil.copytree(tiny_export, tmp_path / "mine")
    assert run("info") == 0
    assert "checksums match" in capsys.readouterr().out
    (tmp_path / "mine" / "config.json").write_text("{}")
    assert run("info") == 1
    assert "SHA-256 differs" in capsys.readouterr().out


# Colorize -----------------------------------------------------------------------------------


def test_a_folder_continues_after_a_bad_file(tiny_export: Path, tmp_path: Path, capsys):
    images = tmp_path / "in"
    (images / "deep").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.jpg", "deep/a.png"):
        Image.fromarray(rng.integers(0, 256, (5, 7, 3), np.uint8)).save(images / name)
    (images / "bad.png").write_bytes(b"no image")
    (images / "notes.txt").write_text("left alone")
    before = {path: path.read_bytes() for path in images.rglob("*") if path.is_file()}
    output = tmp_path / "out"
    command = ["colorize", images, "-o", output, "--model", tiny_export]
    capsys.readouterr()
    assert run(*command) == 1
    shown = capsys.readouterr()
    assert "[4/4]" in shown.out
    assert "1 of 4 images could not be colorized:" in shown.err
    assert shown.err.endswith("Left out: 1 .txt.\n")
    assert f"  {images / 'bad.png'} cannot be read" in shown.err
    made = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    assert made == {"a.png", "b.jpg", "deep/a.png"}
    assert {path: path.read_bytes() for path in before} == before

    first = (output / "a.png").stat().st_mtime_ns
    assert run(*command) == 1  # nothing is replaced unless asked
    assert (output / "a.png").stat().st_mtime_ns == first
    assert "3 of 4 images skipped: their outputs exist" in capsys.readouterr().err
    (images / "bad.png").unlink()
    assert run(*command, "--overwrite", "--json") == 0
    assert (output / "a.png").stat().st_mtime_ns != first
    *lines, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert last == {"left_out": [str(images / "notes.txt")]}
    assert {(Path(line["target"]).name, line["status"]) for line in lines} == {
        ("a.png", "done"),
        ("b.jpg", "done"),
    }


def test_a_pipe(tiny_export: Path, gray_file: Path, monkeypatch, capsys):
    class Binary(io.StringIO):
        buffer = io.BytesIO(gray_file.read_bytes())

    output = Binary()
    output.buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", Binary())
    monkeypatch.setattr(sys, "stdout", output)
    assert run("colorize", "-", "-o", "-", "--model", tiny_export, "--format", "tiff") == 0
    monkeypatch.undo()
    with Image.open(io.BytesIO(output.buffer.getvalue())) as colored:
        assert (colored.format, colored.size, colored.mode) == ("TIFF", (13, 9), "RGB")
    assert "both ends" in error_line(capsys, 2, "colorize", gray_file, "-o", "-")


def test_a_video(tiny_export: Path, tmp_path: Path, capsys):
    av = pytest.importorskip("av", reason="needs PyAV: pip install 'pix2pix_color[video]'")
    from test_video import gray_frames, write_film

    video = write_film(tmp_path / "video.mp4", gray_frames(8))
    command = ["colorize", video, "-o", tmp_path / "out", "--model", tiny_export]
    assert run(*command) == 0
    with av.open(str(tmp_path / "out" / "video.mp4")) as made:
        assert sum(1 for _ in made.decode(video=0)) == 8
        assert made.streams.audio
    capsys.readouterr()
    assert run(*command) == 0
    assert "1 of 1 images skipped" in capsys.readouterr().err
    target = tmp_path / "out.mkv"
    assert run(*command, "-o", target, "--crf", 40) == 0
    with av.open(str(target)) as made:
        assert sum(1 for _ in made.decode(video=0)) == 8
    assert "--overwrite" in error_line(capsys, 1, *command, "-o", target)
    assert "for images" in error_line(capsys, 2, *command, "-o", target, "--compare")
    for name in ("out.avi", "p.png"):
        assert ".mp4" in error_line(capsys, 2, *command, "-o", tmp_path / name)
        assert not (tmp_path / name).exists()

    album = tmp_path / "album"
    album.mkdir()
    for name in ("one.mp4", "two.m2ts"):
        shutil.copy(video, album / name)
    (album / "three.avi").write_bytes(b"no film")
    command = ["colorize", album, "-o", tmp_path / "films", "--model", tiny_export]
    capsys.readouterr()
    assert run(*command) == 1
    assert f"  {album / 'three.avi'} is not a readable video" in capsys.readouterr().err
    assert {path.name for path in (tmp_path / "films").iterdir()} == {"one.mp4", "two.mp4"}


def truncated_png() -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, format="png")
    return buffer.getvalue()[:2_000]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"%PDF-1.4 not an image", "cannot be read"),
        (truncated_png(), "truncated"),
    ],
    ids=["missing", "empty", "not an image", "truncated"],
)
def test_a_bad_image_is_one_line(content, expected, colorize, gray_file, tmp_path, capsys):
    gray_file.unlink()
    if content is not None:
        gray_file.write_bytes(content)
    line = error_line(capsys, 1, *colorize, "--strict")
    assert "gray.png" in line
    assert expected in line
    assert not (tmp_path / "color.png").exists()


def test_a_truncated_image_is_colorized_as_far_as_it_goes(colorize, gray_file, tmp_path, capsys):
    gray_file.write_bytes(truncated_png())
    assert run(*colorize) == 0
    assert "of its rows are missing" in capsys.readouterr().err
    assert Image.open(tmp_path / "color.png").size == (64, 64)


def test_an_existing_output_is_kept(colorize, gray_file: Path, tmp_path: Path, capsys):
    (tmp_path / "color.png").write_bytes(b"mine")
    assert "--overwrite" in error_line(capsys, 1, *colorize)
    assert (tmp_path / "color.png").read_bytes() == b"mine"
    assert "input" in error_line(capsys, 1, *colorize, "-o", gray_file, "--overwrite")


def test_a_full_disk_is_one_line_and_leaves_nothing(colorize, tmp_path, capsys, monkeypatch):
    from pix2pix_color.image_files import writing

    def full(_frames: object, _key: str, file: IO[bytes], _is_animation: bool):
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(writing, "_encode", full)
    line = error_line(capsys, 1, *colorize, "-o", tmp_path / "out")
    assert "no space left" in line
    assert "Free some space" in line
    assert not any((tmp_path / "out").iterdir())


def test_a_folder_without_images(tmp_path: Path, tiny_export: Path, capsys):
    empty, new = tmp_path / "empty", tmp_path / "new"
    empty.mkdir()
    colorize = ["colorize", empty, "-o", new, "--model", tiny_export]
    train = ["train", "--run", new, "--dataset", empty, *SETTINGS]
    for command in (colorize, train):
        assert "No image in" in error_line(capsys, 1, *command)
        assert not new.exists()


def test_models_that_cannot_be_used(colorize, tiny_export, tmp_path: Path, capsys, monkeypatch):
    damaged, fake = tmp_path / "damaged", tmp_path / "fake.keras"
    shutil.copytree(tiny_export, damaged)
    with open(damaged / "saved_model" / "saved_model.pb", "ab") as file:
        file.write(b"\0")
    assert "SHA-256 differs" in error_line(capsys, 1, *colorize, "--model", damaged)
    fake.write_bytes(b"not a model")
    assert "fake.keras" in error_line(capsys, 1, *colorize, "--model", fake)
    monkeypatch.setattr(model_folder, "shipped_folder", lambda: tmp_path)
    line = error_line(capsys, 1, *colorize, "--model", "damagde")
    assert "did you mean 'damaged'?" in line
    assert not (tmp_path / "color.png").exists()


# Exit ---------------------------------------------------------------------------------------


def test_ctrl_c_is_130_and_a_bug_keeps_its_traceback(monkeypatch, capsys):
    def fail(*_: object):
        raise errors.pop()

    errors = [ZeroDivisionError, KeyboardInterrupt]
    monkeypatch.setattr(info, "run", fail)
    assert "interrupted" in error_line(capsys, 130, "info")
    with pytest.raises(ZeroDivisionError):
        run("info")


@pytest.mark.skipif(os.name == "nt", reason="pipes differ")
def test_a_reader_that_leaves_is_no_traceback():
    script = "import runpy, sys; sys.argv = ['pix2pix-color', 'train', '--help']; " + (
        "runpy.run_module('pix2pix_color', run_name='__main__')"
    )
    process = python_process(script)
    process.stdout.close()
    process.wait(timeout=60)
    errors = process.stderr.read()
    process.stderr.close()
    assert errors == ""


def test_the_version(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"pix2pix-color {pix2pix_color.__version__}\n"
