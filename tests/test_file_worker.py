"""Processes that work on files: the same results, their errors and warnings, their ends."""

from __future__ import annotations

import errno
import os
import signal
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import python_process
from PIL import Image

from pix2pix_color import Colorizer, file_jobs
from pix2pix_color.file_jobs import FileJobError, colorize_one, find_jobs, run_jobs
from pix2pix_color.file_worker import WorkerProcesses
from pix2pix_color.image_files import ImageFileError, ImageFileWarning, read_image_file


def double(factor: int, source: Path, target: Path, **settings: object) -> None:
    """Stands in for `colorize_one`: the work of a process; some of it goes wrong."""
    print("said by a library")  # which must not get into the replies
    if source.name == "fault":
        os._exit(139)
    if source.name == "odd":
        raise Odd("one", "two")
    if source.name == "full":
        raise OSError(errno.ENOSPC, "No space left on device", str(target))
    if source.name == "warns":
        warnings.warn("lost on the way", ImageFileWarning, stacklevel=1)
        warnings.warn("of no concern", DeprecationWarning, stacklevel=1)
    text = f"{factor * int(source.read_text())} {os.getpid()} {settings}"
    target.write_text(text)


class Odd(Exception):
    """Cannot be pickled: its arguments are not those of `__init__`."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)


def two() -> int:
    return 2


@pytest.fixture
def started(monkeypatch):
    """Two processes, of which one waits for work; the calling thread must not do any."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    workers = WorkerProcesses(double, -1, two, 2)
    wait_for(lambda: not workers._idle.empty())
    yield workers
    workers.close()


def wait_for(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "It took too long."
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"  # one that nobody has asked after


def write(path: Path, number: int) -> Path:
    path.write_text(str(number))
    return path


def test_another_process_does_the_work_with_its_own_model(started, tmp_path):
    started(write(tmp_path / "a", 21), tmp_path / "b", strength=0.5)
    value, pid, settings = (tmp_path / "b").read_text().split(maxsplit=2)
    assert (value, settings) == ("42", "{'strength': 0.5}")
    assert int(pid) != os.getpid()


def test_until_one_has_started_the_caller_does_the_work(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    workers = WorkerProcesses(double, -1, two, 1)
    try:
        workers._idle.get(timeout=60)  # which is busy, as far as the others know
        workers(write(tmp_path / "a", 21), tmp_path / "b")
    finally:
        workers.close()
    assert (tmp_path / "b").read_text().split()[:2] == ["-21", str(os.getpid())]


def test_errors_and_warnings_come_back(started, tmp_path):
    with pytest.raises(FileNotFoundError) as missing:
        started(tmp_path / "nowhere", tmp_path / "b")
    assert missing.value.filename == str(tmp_path / "nowhere")
    with pytest.raises(OSError, match="No space") as full:
        started(write(tmp_path / "full", 1), tmp_path / "b")
    assert full.value.errno == errno.ENOSPC
    with pytest.raises(RuntimeError, match="Odd: one"):
        started(write(tmp_path / "odd", 1), tmp_path / "b")
    with pytest.warns(ImageFileWarning, match="lost on the way") as said:
        started(write(tmp_path / "warns", 4), tmp_path / "b")
    assert len(said) == 1
    assert (tmp_path / "b").read_text().startswith("8 ")


def test_a_file_that_ends_its_process_costs_that_file_alone(started, tmp_path):
    with pytest.raises(ImageFileError, match=r"fault: the process .* ended \(status 139\)"):
        started(write(tmp_path / "fault", 1), tmp_path / "b")
    assert len(started._processes) == 3  # another has taken its place
    wait_for(lambda: started._idle.qsize() == 2)
    started(write(tmp_path / "a", 3), tmp_path / "b")
    assert (tmp_path / "b").read_text().startswith("6 ")


def test_none_is_left_behind(started):
    wait_for(lambda: started._idle.qsize() == 2)
    pids = [process.pid for process in started._processes]
    assert all(map(alive, pids))
    started.close()
    assert not any(map(alive, pids))


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc")
def test_they_end_with_a_caller_that_was_killed():
    script = """
import sys, time
from pix2pix_color.file_worker import WorkerProcesses
from test_file_worker import double, two
workers = WorkerProcesses(double, -1, two, 2)
while workers._idle.qsize() < 2:
    time.sleep(0.05)
print(*(process.pid for process in workers._processes), flush=True)
time.sleep(60)
"""
    process = python_process(script)
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) == 2 and all(map(alive, pids))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not any(map(alive, pids)), 20)


@pytest.fixture(scope="module")
def vivid():
    return Colorizer.load("vivid")


class TestFolderJob:
    @pytest.fixture
    def album(self, tmp_path):
        folder = tmp_path / "album"
        folder.mkdir()
        for number in range(6):
            noise = np.random.default_rng(number).integers(0, 256, (40 + number, 50), np.uint8)
            Image.fromarray(noise).save(folder / f"{number}.png")
        (folder / "bad.png").write_bytes(b"nothing")
        return folder

    def test_its_colours_are_those_of_threads(self, vivid, album, tmp_path, monkeypatch):
        dialled, made, ended = vivid.at_vividness(0.25), [], []

        class Patient(WorkerProcesses):
            def __init__(self, *arguments):
                super().__init__(*arguments)
                made.append(self)
                wait_for(lambda: self._idle.qsize() == 2)
                self._model = None  # the caller could not do it

            def close(self):
                super().close()
                ended.append(self)

        monkeypatch.setattr(file_jobs, "WorkerProcesses", Patient)
        outcomes = {}
        for processes in (False, True):
            jobs, output = find_jobs([album], tmp_path / "out"), tmp_path / "out"
            settings = {"workers": 2, "processes": processes, "strength": 1.5, "overwrite": True}
            outcomes[processes] = list(run_jobs(dialled, jobs, output, **settings))
            pixels = [read_image_file(output / f"{n}.png").pixels for n in range(6)]
            (tmp_path / "out").rename(tmp_path / f"out-{processes}")
            if processes:
                for n, image in enumerate(pixels):
                    threaded = read_image_file(tmp_path / "out-False" / f"{n}.png").pixels
                    assert np.ptp(image.astype(int), axis=-1).max() > 5  # it has colours
                    # Sums in another order: a level at most.
                    assert np.abs(image.astype(int) - threaded).max() <= 1
        said = [[(o.status, o.reason) for o in outcomes[p]] for p in (False, True)]
        assert said[0] == said[1]
        assert [status for status, _ in said[1]] == ["done"] * 6 + ["failed"]
        assert len(made) == 1 and made == ended

    def test_they_are_for_many_images_and_models_that_can_be_loaded(
        self, vivid, album, tmp_path, monkeypatch
    ):
        counts = []

        class Counted(WorkerProcesses):
            def __init__(self, work, model, load, count):
                counts.append(count)
                super().__init__(work, model, load, 0)

        monkeypatch.setattr(file_jobs, "WorkerProcesses", Counted)
        monkeypatch.setattr(file_jobs, "_cores", lambda: 3)
        output = tmp_path / "out"

        def run(colorize=vivid, **settings):
            counts.clear()
            list(run_jobs(colorize, find_jobs([album], output), output, **settings))
            return list(counts)

        assert run() == []  # seven are few
        monkeypatch.setattr(file_jobs, "_WORTH_PROCESSES", 2)
        assert run() == []  # one is left to do
        assert run(overwrite=True) == [3]
        assert run(overwrite=True, workers=2) == [2]
        assert run(overwrite=True, workers=1) == run(overwrite=True, processes=False) == []
        monkeypatch.setattr(Colorizer, "on_gpu", staticmethod(lambda: True))
        assert run(overwrite=True) == []
        assert run(overwrite=True, processes=True) == [3]
        in_memory = Colorizer(vivid._predict, "in memory")
        assert run(in_memory, overwrite=True) == []
        with pytest.raises(FileJobError, match="in memory alone"):
            run(in_memory, processes=True)

    def test_what_another_process_loads_is_the_same_model(self, vivid, album, tmp_path):
        image = album / "0.png"
        for model in (vivid, vivid.at_vividness(0.5)):
            again = model.loader()
            assert again.vividness == model.vividness
            for colorizer, name in ((model, "one.png"), (again, "two.png")):
                colorize_one(colorizer, image, tmp_path / name)
            one, two = (read_image_file(tmp_path / n).pixels for n in ("one.png", "two.png"))
            np.testing.assert_array_equal(one, two)
