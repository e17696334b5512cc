"""Compare the files on disk with those in a library: new, changed, unchanged or gone."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from videolatent_cli.errors import DataError, printable
from videolatent_cli.recipe import digest
from videolatent_cli.store.library_rows import FileRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from videolatent_cli.store.library_rows import FileRow

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


@dataclass(frozen=True)
class IndexRequest:
    """What to index, and how."""

    paths: tuple[Path, ...]
    """Folders, or single files."""
    library: Path
    segments: str = "fixed:10s"
    """How videos are cut: `fixed:10s`, `scenes` or `scenedetect`."""
    run: Path | None = None
    """Run whose sampling contract and backbone are used; None: the newest, else the embedded."""
    embedder: str | None = None
    """What makes search vectors; None: what the library has, `lexical` in a new one."""
    speech: Path | None = None
    """Folder of a faster-whisper model for videos without subtitles; None: as the library does."""
    metadata: Path | None = None
    """Records with a column `video` and any others, which are searched too."""
    include: str | None = None
    """Pattern of file names in place of the known endings."""
    jobs: int = 2
    """Files that are decoded at a time."""
    workers: int | None = None
    """Processes on a Ray cluster; None: this process alone."""
    prune: bool = False
    """Forget files that have gone."""
    retry_failed: bool = False
    wait: bool = False
    """Wait for another writer of the library in place of giving up."""
    watch: bool = False
    """Index again whenever videos change, until Ctrl-C."""

    @property
    def speech_name(self) -> str:
        """What a library says of `speech`."""
        return str(self.speech.absolute()) if self.speech is not None else ""


_TELLING = ("size_bytes", "modified_ns", "subtitles_digest", "notes")
"""A file with these unchanged is not looked at."""


@dataclass(frozen=True)
class ScannedFile:
    """A file on disk, and its row as far as it is known."""

    video: VideoFile
    row: FileRow


@dataclass(frozen=True)
class Scan:
    """What there is to do."""

    roots: tuple[str, ...]
    """Folders that paths are relative to, new ones at the end."""
    todo: list[ScannedFile]
    unchanged: int
    told: frozenset[str]
    """Contents that unchanged files show: their segments tell of these files."""
    gone: list[FileRow]
    """Files below the paths that are no longer there, those that were marked before too."""


def scan(
    paths: Sequence[Path],
    include: str | None,
    roots: tuple[str, ...],
    known: Sequence[FileRow],
    notes: Mapping[Path, str] | None = None,
    *,
    retry_failed: bool,
) -> Scan:
    """Return which files below some paths are new, changed or gone; nothing is read but names.

    Args:
        paths: Folders or files.
        include: Pattern of file names in place of the known endings.
        roots: Of the library.
        known: Files of the library.
        notes: What the user says of files; None: what was said before stands.
        retry_failed: Whether files that failed before are looked at again.

    Raises:
        DataError: Where a path is missing, or where there is no video at all.
    """
    by_key = {row.key: row for row in known}
    todo: list[ScannedFile] = []
    seen: set[str] = set()
    told: set[str] = set()
    tops = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 - no link is resolved
    for top in tops:
        if not top.exists():
            raise DataError(f"{top}: file not found; name a folder or a video")
        for video in walk_videos(top, include, _say_unreadable):
            root, roots = _root_of(video.path, top, roots)
            row = _row(root, Path(roots[root]), video)
            if row is None or row.key in seen:
                continue
            seen.add(row.key)
            before = by_key.get(row.key)
            said = notes.get(video.path, "") if notes is not None else before and before.notes
            row = replace(row, notes=said or "")
            if not _same(before, row, retry_failed=retry_failed):
                todo.append(ScannedFile(video, row))
            elif before is not None:
                told.add(before.content_id)
    if not seen and not known:
        raise DataError(f"{tops[0]}: holds no video; name another folder, or use --include")
    gone = [
        row
        for row in known
        if row.key not in seen
        and any(_inside(Path(roots[row.root]) / row.relative, top) for top in tops)
    ]
    return Scan(roots, todo, len(seen) - len(todo), frozenset(told), gone)


def _root_of(path: Path, top: Path, roots: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
    """Return the root that holds a file, and all roots; the folder walked becomes one if needed."""
    for index, root in enumerate(roots):
        if _inside(path, Path(root)):
            return index, roots
    return len(roots), (*roots, str(top if top.is_dir() else top.parent))


def _inside(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or below it."""
    return path == folder or folder in path.parents


def _row(index: int, root: Path, video: VideoFile) -> FileRow | None:
    """Return the row of a file as it lies on disk; None where it has just gone."""
    try:
        stat = video.path.stat()
        texts = [(file, file.stat()) for file in video.subtitles]
    except OSError:
        return None
    beside = [(printable(Path(file.name)), s.st_size, s.st_mtime_ns) for file, s in texts]
    below = os.fsencode(video.path.relative_to(root))
    return FileRow(
        index,
        below,
        stat.st_size,
        stat.st_mtime_ns,
        "indexed",
        subtitles_digest=digest(beside, 32) if beside else "",
    )


def _same(before: FileRow | None, now: FileRow, *, retry_failed: bool) -> bool:
    """Whether a file need not be looked at."""
    if before is None or before.state in ("pending", "vanished"):
        return False
    if before.state == "failed" and retry_failed:
        return False
    return all(getattr(before, name) == getattr(now, name) for name in _TELLING)


def _say_unreadable(folder: Path, reason: str) -> None:
    logger.warning("left out: {}: folder cannot be read ({})", folder, reason)
