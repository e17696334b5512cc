"""Index folders of videos into a library: `vl index`.

Modules that need a model are imported only if files are new or changed: a pass over an unchanged
archive loads no model.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loguru import logger

from videolatent_cli.errors import SetupError, printable
from videolatent_cli.pipeline.library.embedders.base import absolute_spec
from videolatent_cli.pipeline.library.notes import read_notes
from videolatent_cli.pipeline.library.scan import SUBTITLE_SUFFIXES, is_video_name, scan
from videolatent_cli.pipeline.library.segmenting import parse_segments
from videolatent_cli.runtime.interrupt import StopRequest
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.runtime.progress import Progress, silent
from videolatent_cli.store.library import Library, writing
from videolatent_cli.store.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from watchfiles import Change

    from videolatent_cli.pipeline.library.scan import IndexRequest
    from videolatent_cli.pipeline.library.segmenting import SegmentRule
    from videolatent_cli.store.library_rows import FileRow

_QUIET_MS = 1500
"""Time (ms) over which changes are grouped, so that a file that is being written is read once."""


@dataclass(frozen=True)
class IndexReport:
    """Result of one pass over the folders."""

    library: Path
    new: int
    """Number of files that were indexed, including copies of known ones."""
    unchanged: int
    """Number of files that were not read."""
    failed: dict[str, str]
    """Reasons by path, for files that could not be read in this pass."""
    vanished: int
    """Number of files that this pass marked as gone or removed."""
    segments: int
    """Number of segments in the library after the pass."""
    seconds: float

    def document(self) -> dict[str, Any]:
        """Return the JSON document `vl.index/1`."""
        return {"schema": "vl.index/1", **vars(self), "library": str(self.library)}


def index_passes(
    request: IndexRequest, machine: Machine = Machine(), progress: Progress = silent
) -> Iterator[IndexReport]:
    """Yield the report of one pass over the folders, and with `watch` of each further pass.

    Arguments and errors are those of `index`.
    """
    # Opened before the first pass: a missing package is reported before any work is done.
    changes = watch_for_changes(request) if request.watch else iter(())
    yield index(request, machine, progress)
    for _ in changes:
        yield index(request, machine, progress)


def index(
    request: IndexRequest, machine: Machine = Machine(), progress: Progress = silent
) -> IndexReport:
    """Bring a library up to date with some folders.

    A file with the size and time of the last pass is not read. A renamed or copied file is
    recognised by its content. A killed process loses only uncommitted files; the next run resumes.

    Args:
        request: Folders, library and settings.
        machine: Folder of caches, which stores the features, and torch device.
        progress: Called with (what, done, total).

    Raises:
        DataError: If a path is missing or contains no video.
        IncompatibleError: If the library was made with other settings.
        ResourceError: If another process writes the library.
        InterruptedRunError: After Ctrl-C; indexed files are kept.
    """
    started = time.perf_counter()
    rule = parse_segments(request.segments)
    with writing(request.library, wait=request.wait), StopRequest() as stop:
        library = _open_migrated(request, rule)
        scanned = scan(
            request.paths,
            request.include,
            library.manifest.roots if library is not None else (),
            library.files() if library is not None else (),
            read_notes(request.metadata) if request.metadata is not None else None,
            retry_failed=request.retry_failed,
        )
        rows: list[FileRow] = []
        if scanned.todo:
            from videolatent_cli.pipeline.library.indexer import open_indexer

            with open_indexer(request, rule, machine, library) as indexer:
                library = indexer.library
                rows = indexer.index(scanned, stop, progress)
        assert library is not None, "scan() raises if a new library has no file to index"
        newly_gone = [row for row in scanned.gone if request.prune or row.state != "vanished"]
        _mark_or_remove(library, newly_gone, prune=request.prune)
        if rows or newly_gone:
            library.finish()
    return IndexReport(
        library=request.library,
        new=sum(row.state == "indexed" for row in rows),
        unchanged=scanned.unchanged,
        failed={printable(library.path(r)): r.reason for r in rows if r.state == "failed"},
        vanished=len(newly_gone),
        segments=len(library.segments),
        seconds=time.perf_counter() - started,
    )


def _open_migrated(request: IndexRequest, rule: SegmentRule) -> Library | None:
    """Return the library in the current layout; None if it does not exist yet.

    Raises:
        IncompatibleError: If the library was made with other settings than the request has.
    """
    if not Library.exists(request.library):
        return None
    migrate(request.library)
    library = Library.open(request.library)
    library.check(segments=rule.name)
    if request.speech is not None:
        library.check(speech=request.speech_name)
    if request.embedder is not None:
        library.check(embedder_spec=absolute_spec(request.embedder))
    return library


def _mark_or_remove(library: Library, gone: Sequence[FileRow], *, prune: bool) -> None:
    """Mark files that no longer exist as vanished, or remove their rows."""
    if prune:
        library.remove_files(gone)
    else:
        library.put_files([replace(row, state="vanished") for row in gone])


def watch_for_changes(request: IndexRequest) -> Iterator[None]:
    """Yield each time videos or subtitles below the paths have changed, until Ctrl-C.

    The first item comes within seconds even without a change: files may have changed before the
    watch began.

    Raises:
        SetupError: If the package for it is missing; raised by the call, before any item.
    """
    try:
        from watchfiles import watch
    except ImportError:
        raise SetupError(
            "--watch: watchfiles is missing; pip install 'videolatent-cli[watch]'"
        ) from None

    def is_relevant(change: Change, name: str) -> bool:
        del change
        path = Path(name)
        return is_video_name(path.name, request.include) or path.suffix.lower() in SUBTITLE_SUFFIXES

    # An inner generator, so that a missing package is reported by the call itself.
    def wait_for_changes() -> Iterator[None]:
        first = True
        watching = watch(
            *request.paths, watch_filter=is_relevant, debounce=_QUIET_MS, yield_on_timeout=True
        )
        for changes in watching:
            if changes or first:
                logger.info("{} files changed", len(changes))
                yield
                first = False

    return wait_for_changes()
