"""Atomic files and folders (written under a temporary name, then renamed), locks, checksums."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from .errors import ChecksumError, in_words

__all__ = [
    "DEFAULT_MODEL",
    "UNFINISHED",
    "locked",
    "replacing",
    "shipped_folder",
    "verify_checksums",
    "write_atomically",
    "write_checksums",
]

DEFAULT_MODEL = "vivid"
"""The shipped model that is used unless another is requested."""

UNFINISHED = ".pix2pix-color-"
"""How the names of the temporary folders of `replacing` begin."""


def shipped_folder() -> Path:
    """Returns the folder of the shipped models, inside an installed package or in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "saved_models"
    return installed if installed.is_dir() else package.parent / "saved_models"


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path next to `path` to write to, and renames it to `path` at the end.

    Works for a file and for a folder. After an exception, `path` is unchanged and no temporary
    file is left.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    room = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=path.parent))
    try:
        temporary = room / path.name
        yield temporary
        old = room / "replaced"
        if path.is_dir():
            path.rename(old)
        try:
            os.replace(temporary, path)
        except BaseException:
            if old.exists():
                old.rename(path)
            raise
    finally:
        shutil.rmtree(room, ignore_errors=True)


def write_atomically(path: str | Path, content: str | bytes) -> None:
    """Writes a file completely or leaves it unchanged."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK)


@contextlib.contextmanager
def locked(path: str | Path, wait: bool = False) -> Iterator[bool]:
    """Takes the lock `path`, and yields whether this process got it; it is released at the end.

    Where the file system has no locks, as on some network drives, the existence of a second file
    beside `path` is the lock.

    Args:
        path: a file, which need not exist.
        wait: wait until the lock is free, instead of yielding `False`.
    """
    import filelock

    lock: filelock.BaseFileLock = filelock.FileLock(path)
    try:
        try:
            with warnings.catch_warnings(action="ignore"):  # that it falls back by itself
                lock.acquire(blocking=wait)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            lock = filelock.SoftFileLock(f"{path}.soft")
            lock.acquire(blocking=wait)
    except filelock.Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


_SUMS = "SHA256SUMS"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_checksums(folder: str | Path) -> None:
    """Writes `SHA256SUMS`, in the format of `sha256sum`, for all files in a folder."""
    folder = Path(folder)
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != _SUMS
    )
    write_atomically(folder / _SUMS, "".join(f"{_digest(folder / n)}  {n}\n" for n in names))


def verify_checksums(folder: str | Path) -> int:
    """Compares the files in a folder with its `SHA256SUMS` and returns their number.

    Raises:
        ChecksumError: there is no `SHA256SUMS`, or a file is missing or differs.
    """
    folder = Path(folder)
    try:
        lines = (folder / _SUMS).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ChecksumError(f"{folder} has no readable {_SUMS}: {in_words(error)}") from error
    for line in lines:
        digest, _, name = line.partition("  ")
        path = folder / name
        if not path.is_file():
            raise ChecksumError(f"{path} is missing: install or download the model again.")
        if _digest(path) != digest:
            raise ChecksumError(
                f"{path} is not the file that was shipped (SHA-256 differs): install or download "
                "the model again."
            )
    return len(lines)
