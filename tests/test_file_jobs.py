"""Folder jobs: order, names, links, bad files, interruptions, and kills."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import signal
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import python_process, run_python
from mutations import mutated_files
from PIL import Image

from pix2pix_color.apps.file_jobs import find_jobs, run_jobs
from pix2pix_color.errors import FileJobError, ImageFileError, UsageError
from pix2pix_color.files import locked
from pix2pix_color.image_files import (
    ImageFileWarning,
    read_image_file,
    write_image_file,
    writing,
)


def tint(pixels: np.ndarray, strength: float = 1.0) -> np.ndarray:
    rgb = np.repeat(pixels[..., :1], 3, axis=-1)
    rgb[..., 0] = np.where(strength > 0, np.iinfo(pixels.dtype).max, rgb[..., 0])
    return rgb


class Tint:
    """Stands in for a `Colorizer`, without TensorFlow: makes files red."""

    def colorize_file(self, source: Path, target: Path, *, strength: float = 1.0, **_) -> None:
        image = read_image_file(source)
        write_image_file(image, tint(image.pixels, strength), target)


def write(path: Path, seed: int = 0, size: tuple[int, int] = (9, 7)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def album(tmp_path) -> Path:
    folder = tmp_path / "album"
    for number, name in enumerate(("b.png", "a.JPG", "deep/er/c.tif", "deep/d.webp")):
        write(folder / name, number)
    (folder / "notes.txt").write_text("left alone")
    return folder


def run(album: Path, output: Path, **options) -> list:
    return list(run_jobs(Tint(), find_jobs([album], output), output, **options))


class TestFindJobs:
    def test_keeps_the_tree_the_order_and_the_formats(self, album, tmp_path):
        jobs = find_jobs([album], tmp_path / "out")
        made = [job.target.relative_to(tmp_path / "out").as_posix() for job in jobs]
        assert made == ["a.JPG", "b.png", "deep/d.webp", "deep/er/c.tif"]
        assert not any(job.problem for job in jobs)

    def test_the_name_pattern_and_the_format_are_options(self, album, tmp_path):
        jobs = find_jobs([album], tmp_path, format="png", name="{stem}-color{suffix}")
        assert {job.target.name for job in jobs} == {
            f"{stem}-color.png" for stem in ("a", "b", "c", "d")
        }
        for pattern in ("{album}.png", "{stem", "../{stem}{suffix}"):
            with pytest.raises(UsageError, match="use only {stem}"):
                find_jobs([album], tmp_path, name=pattern)

    def test_clashing_outputs_and_outputs_over_inputs_are_problems(self, tmp_path):
        files = [write(tmp_path / name) for name in ("x.png", "x.jpg", "one/y.png", "two/y.png")]
        jobs = find_jobs(files, tmp_path / "out", format="png")
        assert ["already the output of" in job.problem for job in jobs] == [
            False,
            True,
            False,
            True,
        ]
        jobs = find_jobs(files[:2], tmp_path)
        assert all("would replace an input" in job.problem for job in jobs)
        (tmp_path / "out" / "x.png").mkdir(parents=True)
        (outcome,) = run(files[0], tmp_path / "out", overwrite=True)
        assert outcome.reason.endswith("is a folder.")
        assert (tmp_path / "out" / "x.png").is_dir()

    def test_an_output_inside_the_input_is_not_an_input(self, album):
        output = album / "deep" / "out"
        assert all(outcome.status == "done" for outcome in run(album, output))
        before = digests(album)
        assert len(find_jobs([album], output)) == 4
        assert {outcome.status for outcome in run(album, output)} == {"skipped"}
        assert digests(album) == before

    def test_links_are_followed_but_not_in_circles(self, album, tmp_path):
        elsewhere = write(tmp_path / "elsewhere" / "e.png").parent
        try:
            (album / "linked").symlink_to(elsewhere)
            (album / "deep" / "up").symlink_to(album)
            (album / "itself").symlink_to(album / "itself")
        except OSError:
            pytest.skip("no symbolic links here")
        jobs = find_jobs([album], tmp_path / "out")
        assert "linked/e.png" in {j.target.relative_to(tmp_path / "out").as_posix() for j in jobs}
        problems = {job.source: job.problem for job in jobs if job.problem}
        assert set(problems) == {album / "deep" / "up", album / "itself"}
        assert "a link back to a folder above it" in problems[album / "deep" / "up"]
        assert {o.status for o in run(album, tmp_path / "out")} == {"done", "failed"}

    def test_impossible_jobs_are_refused_before_anything_is_written(self, album, tmp_path):
        with pytest.raises(FileJobError, match="is a file"):
            find_jobs([album], album / "b.png")
        (tmp_path / "empty").mkdir()
        with pytest.raises(FileJobError, match="No image in"):
            find_jobs([tmp_path / "empty"], tmp_path / "out")
        with pytest.raises(ImageFileError, match="xyz"):
            find_jobs([album], tmp_path / "out", format="xyz")
        assert not (tmp_path / "out").exists()


class TestRunJobs:
    def test_writes_every_image_and_nothing_else(self, album, tmp_path):
        before, output = digests(album), tmp_path / "out"
        outcomes = run(album, output)
        assert [outcome.status for outcome in outcomes] == ["done"] * 4
        assert set(digests(output)) == {"a.JPG", "b.png", "deep/d.webp", "deep/er/c.tif"}
        pixels = read_image_file(album / "b.png").pixels
        np.testing.assert_array_equal(read_image_file(output / "b.png").pixels, tint(pixels))
        run(album, output, overwrite=True, strength=0.0)
        rgb = read_image_file(output / "b.png").pixels
        np.testing.assert_array_equal(rgb[..., 0], rgb[..., 1])
        assert digests(album) == before

    def test_skips_what_is_there_or_replaces_it(self, album, tmp_path):
        output = tmp_path / "out"
        (output / "deep").mkdir(parents=True)
        (output / "deep" / "d.webp").write_text("mine")
        assert [o.status for o in run(album, output)] == ["done", "done", "skipped", "done"]
        assert (output / "deep" / "d.webp").read_text() == "mine"
        assert {o.status for o in run(album, output, overwrite=True)} == {"done"}
        assert (output / "deep" / "d.webp").read_bytes()[:4] == b"RIFF"

    def test_a_full_disk_stops_the_job_and_leaves_no_partial_file(
        self, album, tmp_path, monkeypatch
    ):
        def full(_frames, _key, file, _is_animation):
            file.write(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(writing, "_encode", full)
        with pytest.raises(OSError, match="No space left"):
            run(album, tmp_path / "out")
        assert digests(tmp_path / "out") == {}

    @pytest.mark.parametrize("code", [None, "EOPNOTSUPP", "ENOLCK", "ENOSYS"])
    def test_a_second_run_is_kept_out_also_where_there_are_no_locks(
        self, album, tmp_path, monkeypatch, code
    ):
        """Other disks: a network drive whose `flock` is refused."""
        if code:
            fcntl = pytest.importorskip("fcntl")

            def refused(*_):
                raise OSError(getattr(errno, code), "no locks")

            monkeypatch.setattr(fcntl, "flock", refused)
        output = tmp_path / "out"
        assert {outcome.status for outcome in run(album, output)} == {"done"}
        with (
            locked(output / ".pix2pix-color-lock"),
            pytest.raises(FileJobError, match="Another pix2pix-color is writing"),
        ):
            run(album, output)

    def test_a_subfolder_may_be_on_another_disk(self, album, tmp_path, monkeypatch):
        """Other disks: nothing can be renamed from one to another."""
        output, disk = tmp_path / "out", tmp_path / "disk"
        output.mkdir()
        disk.mkdir()
        (output / "deep").symlink_to(disk)
        replace = os.replace

        def renamed(source, target):
            ends = {"disk" in Path(path).resolve().parts for path in (source, target)}
            if len(ends) > 1:
                raise OSError(errno.EXDEV, "Invalid cross-device link")
            replace(source, target)

        monkeypatch.setattr(os, "replace", renamed)
        assert {outcome.status for outcome in run(album, output)} == {"done"}
        assert set(digests(disk)) == {"d.webp", "er/c.tif"}

    def test_a_caller_that_stops_leaves_only_whole_files(self, album, tmp_path):
        for number in range(30):
            write(album / f"{number}.png", number)
        output = tmp_path / "out"
        outcomes = run_jobs(Tint(), find_jobs([album], output), output, workers=2)
        next(outcomes)
        outcomes.close()
        made = digests(output)
        assert 0 < len(made) < 34
        assert not any(name.startswith(".") for name in made)
        run(album, output)
        assert made.items() <= digests(output).items()
        assert len(digests(output)) == 34

    def test_works_on_several_images_at_a_time(self, album, tmp_path, monkeypatch):
        for number in range(5):
            write(album / f"{number}.png", number)
        three = threading.Barrier(3)

        def together(self, source, target, **_):
            three.wait(timeout=60)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()

        monkeypatch.setattr(Tint, "colorize_file", together)
        assert {outcome.status for outcome in run(album, tmp_path / "out", workers=3)} == {"done"}


def test_files_whole_or_damaged_in_five_threads(tmp_path):
    (tmp_path / "in").mkdir()
    files = mutated_files(tmp_path / "in", 500, seed=0)
    before, output = digests(tmp_path / "in"), tmp_path / "out"
    jobs = find_jobs(list(files), output)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        outcomes = list(run_jobs(Tint(), jobs, output, workers=5))
        assert [outcome.job.source for outcome in outcomes] == list(files)
        for outcome in outcomes:
            path = outcome.job.source
            is_good = files[path]
            try:
                image = read_image_file(path)  # alone, as in threads
            except ImageFileError as error:
                assert outcome.status == "failed" and not is_good, outcome
                assert outcome.reason == str(error)
                assert str(path) in outcome.reason and "\n" not in outcome.reason
                continue
            assert outcome.status == "done" and is_good is not False, outcome
            colored = read_image_file(outcome.job.target).pixels
            assert colored.shape == (*image.pixels.shape[:2], 3)
            if path.suffix == ".png" and colored.dtype == image.pixels.dtype:
                np.testing.assert_array_equal(colored, tint(image.pixels))
    assert {warning.category for warning in seen} == {ImageFileWarning}  # none of Pillow's
    assert digests(tmp_path / "in") == before


_KILLED = """
import sys
from pathlib import Path
from pix2pix_color.apps.file_jobs import find_jobs, run_jobs
from pix2pix_color.image_files import read_image_file, write_image_file

class Tint:  # as above, without the imports of this file
    def colorize_file(self, source, target, **_):
        image = read_image_file(source)
        rgb = image.pixels[..., :1].repeat(3, axis=-1)
        rgb[..., 0] = 255
        write_image_file(image, rgb, target)

album, output = map(Path, sys.argv[1:])
print("ready", flush=True)
outcomes = list(run_jobs(Tint(), find_jobs([album], output), output, workers=2))
assert {outcome.status for outcome in outcomes} <= {"done", "skipped"}
"""


def count(output: Path) -> int:
    """Returns the number of finished outputs; not by `glob`, which trips over hidden folders."""
    folders = [output / str(number) for number in range(7)]
    return sum(len(os.listdir(folder)) for folder in folders if folder.is_dir())


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_killed_six_times_it_ends_with_every_output_whole(tmp_path):
    album, output, whole = tmp_path / "album", tmp_path / "out", tmp_path / "whole"
    for number in range(100):
        write(album / f"{number % 7}" / f"{number}.png", number, size=(150, 200))
    before, moments = digests(album), random.Random()
    list(run_jobs(Tint(), find_jobs([album], whole), whole))
    expected = digests(whole)
    assert len(expected) == 100
    for _ in range(6):
        process = python_process(_KILLED, album, output)
        process.stdout.readline()
        # Wait for outputs, not for time: on a busy machine nothing may have started yet.
        enough = count(output) + moments.randint(0, 8)
        deadline = time.monotonic() + 20
        while count(output) < enough and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(moments.uniform(0.0, 0.01))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        made = {name: sum_ for name, sum_ in digests(output).items() if "/." not in f"/{name}"}
        assert made.items() <= expected.items()  # whole
    assert 0 < len(made) < 100  # every run was killed at work
    code, _, errors = run_python(_KILLED, album, output)
    assert code == 0, errors
    assert digests(output) == expected
    assert digests(album) == before
