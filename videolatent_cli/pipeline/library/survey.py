"""What lies on disk, against what a library knows: which files are new, changed or gone."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from videolatent_cli.errors import DataError, printable
from videolatent_cli.recipe import digest
from videolatent_cli.store.library_rows import FileRow
from videolatent_cli.video.walk import VideoFile, walk_videos

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_TELLING = ("size_bytes", "modified_ns", "beside", "notes")
"""A file with these unchanged is not looked at."""


@dataclass(frozen=True)
class FoundFile:
    """A file on disk, and its row as far as it is known."""

    video: VideoFile
    row: FileRow


@dataclass(frozen=True)
class Survey:
    """What there is to do."""

    roots: tuple[str, ...]
    """Folders that paths are relative to, new ones at the end."""
    todo: list[FoundFile]
    unchanged: int
    told: frozenset[str]
    """Contents that unchanged files show: their segments tell of these files."""
    gone: list[FileRow]
    """Files below the paths that are no longer there, those that were marked before too."""


def survey(
    paths: Sequence[Path],
    include: str | None,
    roots: tuple[str, ...],
    known: Sequence[FileRow],
    notes: Mapping[Path, str] | None = None,
    *,
    retry_failed: bool,
) -> Survey:
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
    todo: list[FoundFile] = []
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
                todo.append(FoundFile(video, row))
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
    return Survey(roots, todo, len(seen) - len(todo), frozenset(told), gone)


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
        beside=digest(beside, 32) if beside else "",
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
