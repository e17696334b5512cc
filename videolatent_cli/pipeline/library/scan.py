"""Scan folders for videos and compare the files on disk with the files of a library."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from videolatent_cli.errors import DataError, printable
from videolatent_cli.recipe import digest
from videolatent_cli.store.library_rows import FileRow
from videolatent_cli.video.content import is_current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

VIDEO_SUFFIXES = frozenset(
    {".264", ".265", ".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif"}
    | {".h264", ".h265", ".hevc", ".ivf", ".m1v", ".m2t", ".m2ts", ".m2v", ".m4v", ".mkv", ".mod"}
    | {".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mpv", ".mts", ".mxf", ".nut", ".ogm", ".ogv"}
    | {".qt", ".rm", ".rmvb", ".tod", ".ts", ".vob", ".webm", ".wmv", ".wtv", ".y4m"}
)
"""File name endings of videos."""
SUBTITLE_SUFFIXES = frozenset({".ass", ".srt", ".ssa", ".vtt"})
"""File name endings of subtitle files."""
_ENDINGS_TOLD = 8
"""Largest number of other endings that are named."""
_COMPARED_FIELDS = ("size_bytes", "modified_ns", "subtitles_digest", "notes")
"""Fields of a file's row that reveal a change; a file is not read if none of them differs."""


@dataclass(frozen=True)
class VideoFile:
    """A video file and its subtitle files: `a.srt` or `a.en.srt` for `a.mp4`."""

    path: Path
    subtitles: tuple[Path, ...] = ()


@dataclass(frozen=True)
class IndexRequest:
    """Settings of `vl index`."""

    paths: tuple[Path, ...]
    """Folders, or single files."""
    library: Path
    """Folder of the library."""
    segments: str = "fixed:10s"
    """Rule that cuts videos into segments: `fixed:10s`, `scenes` or `scenedetect`."""
    run: Path | None = None
    """Run with the sampling contract and backbone; None: the newest, else the embedded model."""
    embedder: str | None = None
    """Embedder of the search vectors; None: the one of the library, `lexical` in a new one."""
    speech: Path | None = None
    """Folder of a faster-whisper model for videos without subtitles; None: the library's model."""
    metadata: Path | None = None
    """File of notes: a column `video`, and other columns that become searchable."""
    include: str | None = None
    """Pattern that file names must match; None: names with a known ending."""
    jobs: int = 2
    """Number of files that are decoded at the same time."""
    workers: int | None = None
    """Number of processes on a Ray cluster; None: this process alone."""
    prune: bool = False
    """Whether files that no longer exist are removed from the library."""
    retry_failed: bool = False
    """Whether files that failed before are read again."""
    wait: bool = False
    """Whether to wait for another writer of the library instead of raising an error."""
    watch: bool = False
    """Whether to index again each time videos change, until Ctrl-C."""

    @property
    def speech_name(self) -> str:
        """Value of `speech` in the manifest: the absolute folder, empty for None."""
        return str(self.speech.absolute()) if self.speech is not None else ""


@dataclass(frozen=True)
class ScannedFile:
    """A file on disk and its row; the content id and the length are still unknown."""

    video: VideoFile
    row: FileRow


@dataclass(frozen=True)
class Scan:
    """Differences between the files on disk and the files of a library."""

    roots: tuple[str, ...]
    """Folders that the file paths are relative to; new ones come last."""
    todo: list[ScannedFile]
    """New and changed files."""
    unchanged: int
    """Number of files that need no work."""
    up_to_date: frozenset[str]
    """Content ids of unchanged files; the search text of their segments is up to date."""
    gone: list[FileRow]
    """Files below the scanned paths that no longer exist, including those already marked so."""


def scan(
    paths: Sequence[Path],
    include: str | None,
    roots: tuple[str, ...],
    known: Sequence[FileRow],
    notes: Mapping[Path, str] | None = None,
    *,
    retry_failed: bool,
) -> Scan:
    """Return which files below some paths are new, changed or gone; no file is opened.

    Args:
        paths: Folders or files.
        include: Pattern that file names must match; None: names with a known ending.
        roots: Roots of the library.
        known: Files of the library.
        notes: Notes by absolute path; None: the library's notes are kept.
        retry_failed: Whether files that failed before are read again.

    Raises:
        DataError: If a path is missing, or if there is no video at all.
    """
    known_by_key = {row.key: row for row in known}
    todo: list[ScannedFile] = []
    seen: set[str] = set()
    up_to_date: set[str] = set()
    tops = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 - no link is resolved
    for top in tops:
        if not top.exists():
            raise DataError(f"{top}: file not found; name a folder or a video")
        for video in walk_videos(top, include, _warn_unreadable):
            root, roots = _root_of(video.path, top, roots)
            row = _file_row(root, Path(roots[root]), video)
            if row is None or row.key in seen:
                continue
            seen.add(row.key)
            before = known_by_key.get(row.key)
            kept_notes = before.notes if before is not None else ""
            row = replace(row, notes=kept_notes if notes is None else notes.get(video.path, ""))
            if not _is_unchanged(before, row, retry_failed=retry_failed):
                todo.append(ScannedFile(video, row))
            elif before is not None:
                up_to_date.add(before.content_id)
    if not seen and not known:
        raise DataError(f"{tops[0]}: holds no video; name another folder, or use --include")
    # Only files below the scanned paths can be gone: the library may have other roots.
    gone = [
        row
        for row in known
        if row.key not in seen
        and any(_is_inside(Path(roots[row.root]) / row.relative, top) for top in tops)
    ]
    return Scan(roots, todo, len(seen) - len(todo), frozenset(up_to_date), gone)


def _root_of(path: Path, top: Path, roots: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
    """Return the index of the root that contains a file, and all roots.

    If no root contains the file, the scanned folder is added as a new root.
    """
    for index, root in enumerate(roots):
        if _is_inside(path, Path(root)):
            return index, roots
    return len(roots), (*roots, str(top if top.is_dir() else top.parent))


def _is_inside(path: Path, folder: Path) -> bool:
    """Return whether a path is a folder or below it."""
    return path == folder or folder in path.parents


def _file_row(root: int, root_folder: Path, video: VideoFile) -> FileRow | None:
    """Return the row of a file from its name, size and time; None if it has just disappeared."""
    try:
        stat = video.path.stat()
        subtitle_stats = [(file, file.stat()) for file in video.subtitles]
    except OSError:
        return None
    subtitles = [
        (printable(Path(file.name)), found.st_size, found.st_mtime_ns)
        for file, found in subtitle_stats
    ]
    return FileRow(
        root,
        os.fsencode(video.path.relative_to(root_folder)),
        stat.st_size,
        stat.st_mtime_ns,
        "indexed",
        subtitles_digest=digest(subtitles, 32) if subtitles else "",
    )


def _is_unchanged(before: FileRow | None, now: FileRow, *, retry_failed: bool) -> bool:
    """Return whether a file need not be read again."""
    if before is None or before.state in ("pending", "vanished"):
        return False
    if before.state == "failed" and retry_failed:
        return False
    if before.content_id and not is_current(before.content_id, before.size_bytes):
        return False  # an earlier version made one content of videos that differ between blocks
    return all(getattr(before, name) == getattr(now, name) for name in _COMPARED_FIELDS)


def _warn_unreadable(folder: Path, reason: str) -> None:
    logger.warning("skipped {}: folder cannot be read ({})", folder, reason)


def walk_videos(
    top: Path, include: str | None, on_unreadable: Callable[[Path, str], None]
) -> Iterator[VideoFile]:
    """Yield the video files of a folder by name; links are followed, each folder is read once.

    Args:
        top: A folder, or a single file, which is yielded whatever its name.
        include: Pattern that names must match; None: names with a known ending.
        on_unreadable: Called with each folder that cannot be read, and the reason.
    """
    passed_over = Counter[str]()
    if not top.is_dir():
        subtitles = _subtitles_by_stem(sorted(top.parent.iterdir()))
        yield VideoFile(top, tuple(subtitles[top.stem]))
        return
    visited: set[tuple[int, int]] = set()  # device and inode, because links can form loops

    def report(error: OSError) -> None:
        on_unreadable(Path(error.filename), error.strerror or str(error))

    for folder, subfolders, names in os.walk(top, followlinks=True, onerror=report):
        stat = Path(folder).stat()
        if (stat.st_dev, stat.st_ino) in visited:
            subfolders.clear()  # os.walk descends into what is left in this list
            continue
        visited.add((stat.st_dev, stat.st_ino))
        subfolders.sort()
        names.sort()
        subtitles = _subtitles_by_stem(Path(folder, name) for name in names)
        for name in names:
            path = Path(folder, name)
            if is_video_name(name, include) and path.is_file():
                yield VideoFile(path, tuple(subtitles[path.stem]))
            elif include is None and not name.startswith("."):
                passed_over[path.suffix.lower()] += path.suffix.lower() not in SUBTITLE_SUFFIXES
    _tell_passed_over(top, +passed_over)


def _tell_passed_over(top: Path, counts: Counter[str]) -> None:
    """Log the number of files that were not looked at, by the most frequent endings."""
    if counts:
        endings = [ending or "none" for ending, _ in counts.most_common(_ENDINGS_TOLD)]
        more = ", ..." if len(counts) > _ENDINGS_TOLD else ""
        logger.info(
            "{}: passed over {} files with other endings ({}{}); --include '*.ENDING' takes those",
            *(top, counts.total(), ", ".join(endings), more),
        )


def _subtitles_by_stem(paths: Iterable[Path]) -> defaultdict[str, list[Path]]:
    """Return the subtitle files of a folder by the name of their video without its ending."""
    subtitles = defaultdict[str, list[Path]](list)
    for path in paths:
        if path.suffix.lower() in SUBTITLE_SUFFIXES:
            # `a.en.srt` belongs to `a.en.mp4` and to `a.mp4`.
            for stem in dict.fromkeys((path.stem, Path(path.stem).stem)):
                subtitles[stem].append(path)
    return subtitles


def is_video_name(name: str, include: str | None) -> bool:
    """Return whether a file name is that of a video, by a pattern or by its ending."""
    if include is not None:
        return fnmatch(name, include)
    return not name.startswith(".") and Path(name).suffix.lower() in VIDEO_SUFFIXES
