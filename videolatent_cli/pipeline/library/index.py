"""`vl index`: a library of what lies in some folders; only what is new is read.

What makes segments is imported when there is something to do: an unchanged archive needs no model.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loguru import logger

from videolatent_cli.errors import SetupError, printable
from videolatent_cli.pipeline.library.embedders.base import full_spec
from videolatent_cli.pipeline.library.notes import read_notes
from videolatent_cli.pipeline.library.scan import SUBTITLE_SUFFIXES, is_wanted, scan
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


@dataclass(frozen=True)
class IndexReport:
    """What indexing did."""

    library: Path
    new: int
    """Files that were indexed, copies of known ones too."""
    unchanged: int
    failed: dict[str, str]
    """Files that could not be read this time, with the reason."""
    vanished: int
    """Files that have gone since."""
    segments: int
    """Segments in the library now."""
    seconds: float

    def document(self) -> dict[str, Any]:
        """Return the JSON document `vl.index/1`."""
        return {"schema": "vl.index/1", **vars(self), "library": str(self.library)}


def index_passes(
    request: IndexRequest, machine: Machine = Machine(), progress: Progress = silent
) -> Iterator[IndexReport]:
    """Yield the report of one pass over the folders, and with `watch` of each further pass.

    Args and errors are those of `index`.
    """
    changed = changes(request) if request.watch else iter(())
    yield index(request, machine, progress)
    for _ in changed:
        yield index(request, machine, progress)


def index(
    request: IndexRequest, machine: Machine = Machine(), progress: Progress = silent
) -> IndexReport:
    """Bring a library up to date with some folders.

    A file whose size and time are known is passed over; a renamed or copied one is known by its
    content. Safe to kill: what is committed stays, and the next run goes on.

    Args:
        request: What to index.
        machine: Folder of caches, which keeps the features, and torch device.
        progress: Called with (what, done, total).

    Raises:
        DataError: Where a path is missing or holds no video.
        IncompatibleError: Where the library was made in another way.
        ResourceError: Where another process writes the library.
        InterruptedRunError: After Ctrl-C; what is indexed is kept.
    """
    started = time.perf_counter()
    rule = parse_segments(request.segments)
    with writing(request.library, wait=request.wait), StopRequest() as stop:
        library = _up_to_date(request, rule)
        found = scan(
            request.paths,
            request.include,
            library.manifest.roots if library is not None else (),
            library.files() if library is not None else (),
            read_notes(request.metadata) if request.metadata is not None else None,
            retry_failed=request.retry_failed,
        )
        rows: list[FileRow] = []
        if found.todo:
            from videolatent_cli.pipeline.library.indexer import open_indexer

            with open_indexer(request, rule, machine, library) as indexer:
                library = indexer.library
                rows = indexer.index(found, stop, progress)
        assert library is not None, "a new library has something to do"
        news = [row for row in found.gone if request.prune or row.state != "vanished"]
        _forget(library, news, prune=request.prune)
        if rows or news:
            library.finish()
    return IndexReport(
        library=request.library,
        new=sum(row.state == "indexed" for row in rows),
        unchanged=found.unchanged,
        failed={printable(library.path(r)): r.reason for r in rows if r.state == "failed"},
        vanished=len(news),
        segments=len(library.segments),
        seconds=time.perf_counter() - started,
    )


def _up_to_date(request: IndexRequest, rule: SegmentRule) -> Library | None:
    """Return the library in today's layout, None where there is none yet."""
    if not Library.exists(request.library):
        return None
    migrate(request.library)
    library = Library.open(request.library)
    library.check(segments=rule.name)
    if request.speech is not None:
        library.check(speech=request.speech_name)
    if request.embedder is not None:
        library.check(embedder_spec=full_spec(request.embedder))
    return library


def _forget(library: Library, gone: Sequence[FileRow], *, prune: bool) -> None:
    """Mark files that have gone, or forget them."""
    if prune:
        library.remove_files(gone)
    else:
        library.put_files([replace(row, state="vanished") for row in gone])


_QUIET_MS = 1500
"""Changes are waited for this long, so that a file that is being written is read once."""


def changes(request: IndexRequest) -> Iterator[None]:
    """Yield once soon, for what changed before, then whenever videos have changed, until Ctrl-C.

    Raises:
        SetupError: At once, where the package for it is missing.
    """
    try:
        from watchfiles import watch
    except ImportError:
        raise SetupError(
            "--watch: watchfiles is missing; pip install 'videolatent-cli[watch]'"
        ) from None

    def wanted(change: Change, name: str) -> bool:
        del change
        path = Path(name)
        return is_wanted(path.name, request.include) or path.suffix.lower() in SUBTITLE_SUFFIXES

    def follow() -> Iterator[None]:
        first = True
        watching = watch(
            *request.paths, watch_filter=wanted, debounce=_QUIET_MS, yield_on_timeout=True
        )
        for found in watching:
            if found or first:
                logger.info("{} files changed", len(found))
                yield
                first = False

    return follow()
