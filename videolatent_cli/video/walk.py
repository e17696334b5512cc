"""The video files below a folder."""

from __future__ import annotations

import os
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SUFFIXES = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".gif", ".h264", ".hevc", ".m2ts", ".m4v", ".mkv", ".mov"}
    | {".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m"}
)
"""Endings of file names that are taken for videos."""


def walk_videos(
    top: Path, include: str | None, unreadable: Callable[[Path, str], None]
) -> Iterator[Path]:
    """Yield video files in order of their names; links are followed, each folder is seen once.

    Args:
        top: A folder, or one file, which is taken whatever its name.
        include: Pattern that names must match in place of having a known ending.
        unreadable: Called with each folder that cannot be read, and why.
    """
    if not top.is_dir():
        yield top
        return
    seen: set[tuple[int, int]] = set()

    def failed(error: OSError) -> None:
        unreadable(Path(error.filename), error.strerror or str(error))

    for folder, folders, names in os.walk(top, followlinks=True, onerror=failed):
        found = Path(folder).stat()
        if (found.st_dev, found.st_ino) in seen:
            folders.clear()
            continue
        seen.add((found.st_dev, found.st_ino))
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if _wanted(name, include) and path.is_file():
                yield path


def _wanted(name: str, include: str | None) -> bool:
    """Whether a name is that of a video."""
    if include is not None:
        return fnmatch(name, include)
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
