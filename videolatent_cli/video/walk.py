"""The video files below a folder, with the subtitle files that lie beside them."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

SUFFIXES = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".gif", ".h264", ".hevc", ".m2ts", ".m4v", ".mkv", ".mov"}
    | {".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m"}
)
"""Endings of file names that are taken for videos."""
SUBTITLE_SUFFIXES = frozenset({".ass", ".srt", ".ssa", ".vtt"})


@dataclass(frozen=True)
class VideoFile:
    """A video file, and the subtitle files that go with it: `a.srt` or `a.en.srt` with `a.mp4`."""

    path: Path
    subtitles: tuple[Path, ...] = ()


def walk_videos(
    top: Path, include: str | None, unreadable: Callable[[Path, str], None]
) -> Iterator[VideoFile]:
    """Yield video files in order of their names; links are followed, each folder is seen once.

    Args:
        top: A folder, or one file, which is taken whatever its name.
        include: Pattern that names must match in place of having a known ending.
        unreadable: Called with each folder that cannot be read, and why.
    """
    if not top.is_dir():
        beside = _subtitles(sorted(top.parent.iterdir()))
        yield VideoFile(top, tuple(beside[top.stem]))
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
        names.sort()
        beside = _subtitles(Path(folder, name) for name in names)
        for name in names:
            path = Path(folder, name)
            if is_wanted(name, include) and path.is_file():
                yield VideoFile(path, tuple(beside[path.stem]))


def _subtitles(paths: Iterable[Path]) -> Mapping[str, list[Path]]:
    """Return the subtitle files of a folder by the name of their video without its ending."""
    found = defaultdict[str, list[Path]](list)
    for path in paths:
        if path.suffix.lower() in SUBTITLE_SUFFIXES:
            for stem in dict.fromkeys((path.stem, Path(path.stem).stem)):
                found[stem].append(path)
    return found


def is_wanted(name: str, include: str | None) -> bool:
    """Whether a name is that of a video."""
    if include is not None:
        return fnmatch(name, include)
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
