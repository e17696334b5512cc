"""`vl index`: a library of what lies in some folders; only what is new is read.

What makes segments is imported when there is something to do: an unchanged archive needs no model.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from videolatent_cli.data.notes import read_notes
from videolatent_cli.errors import printable
from videolatent_cli.pipeline.interrupt import StopRequest
from videolatent_cli.pipeline.library.embedding import full_spec
from videolatent_cli.pipeline.library.survey import survey
from videolatent_cli.pipeline.progress import Progress, silent
from videolatent_cli.store.library import Library, writing
from videolatent_cli.store.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from videolatent_cli.store.library_rows import FileRow
    from videolatent_cli.video.segments import SegmentRule


@dataclass(frozen=True)
class IndexRequest:
    """What to index, and how."""

    paths: tuple[Path, ...]
    """Folders, or single files."""
    library: Path
    segments: SegmentRule
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

    @property
    def speech_name(self) -> str:
        """What a library says of `speech`."""
        return str(self.speech.absolute()) if self.speech is not None else ""


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


def index(
    request: IndexRequest,
    run: Path | None,
    cache_dir: Path,
    device: str = "auto",
    progress: Progress = silent,
) -> IndexReport:
    """Bring a library up to date with some folders.

    A file whose size and time are known is passed over; a renamed or copied one is known by its
    content. Safe to kill: what is committed stays, and the next run goes on.

    Args:
        request: What to index.
        run: Run whose sampling contract and backbone are used; None: the newest, else the embedded.
        cache_dir: Folder of caches: features go there, and are not made again if they are there.
        device: A torch device, or `auto`.
        progress: Called with (what, done, total).

    Raises:
        DataError: Where a path is missing or holds no video.
        IncompatibleError: Where the library was made in another way.
        ResourceError: Where another process writes the library.
        InterruptedRunError: After Ctrl-C; what is indexed is kept.
    """
    started = time.perf_counter()
    with writing(request.library, wait=request.wait), StopRequest() as stop:
        library = _up_to_date(request)
        found = survey(
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

            with open_indexer(request, run, cache_dir, device, library) as indexer:
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


def _up_to_date(request: IndexRequest) -> Library | None:
    """Return the library in today's layout, None where there is none yet."""
    if not Library.exists(request.library):
        return None
    migrate(request.library)
    library = Library.open(request.library)
    library.check(segments=request.segments.name)
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
