"""Which files of a folder are images: one rule for colorizing, training and evaluation."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from pathlib import Path

from ..errors import in_words
from .image_file import SUFFIXES

__all__ = ["FolderContents", "find_images", "in_numbers"]

_OF_ARCHIVES = "__MACOSX"  # macOS adds it to zip files, for its own metadata


@dataclasses.dataclass(frozen=True)
class FolderContents:
    """The files in a folder, at any depth, each list in sorted order.

    Attributes:
        images: files with the suffix of an image format.
        others: the other files.
        problems: what could not be looked into, and why: folders without permission, and links
            that lead back to a folder above them.
    """

    images: list[Path]
    others: list[Path]
    problems: list[tuple[Path, str]]


def find_images(folder: str | Path, skip: str | Path | None = None) -> FolderContents:
    """Looks through a folder at any depth.

    Links to folders are followed, but never in a circle. Hidden files and folders (whose names
    begin with a dot, such as `._photo.jpg` of macOS) and `__MACOSX` are ignored.

    Args:
        folder: an existing folder.
        skip: a folder inside it that is ignored too, such as that of an earlier output.
    """
    top = Path(folder)
    skipped = None if skip is None else Path(skip).resolve()
    found = FolderContents([], [], [])
    waiting = [(top, (top.resolve(),))]
    while waiting:
        place, above = waiting.pop()
        try:
            entries = list(os.scandir(place))
        except OSError as error:
            found.problems.append((place, in_words(error)))
            continue
        for entry in entries:
            path = Path(entry.path)
            if entry.name.startswith(".") or entry.name == _OF_ARCHIVES:
                continue
            try:
                if not entry.is_dir():
                    is_image = path.suffix.lower() in SUFFIXES
                    (found.images if is_image else found.others).append(path)
                    continue
                real = path.resolve()
            except OSError as error:  # such as a link to itself
                found.problems.append((path, in_words(error)))
                continue
            if real in above:
                found.problems.append((path, "is a link back to a folder above it"))
            elif real != skipped or skipped == above[0]:
                waiting.append((path, (*above, real)))
    for part in (found.images, found.others, found.problems):
        part.sort()
    return found


def in_numbers(files: list[Path]) -> str:
    """Returns how many files there are of each suffix, such as "2 .heic, 1 .txt"."""
    counts = Counter(path.suffix.lower() or "without a suffix" for path in files)
    return ", ".join(f"{count:,} {suffix}" for suffix, count in counts.most_common())
