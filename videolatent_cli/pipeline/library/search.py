"""`vl search`: the moments of a library that a query or a picture is about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from videolatent_cli.errors import UsageError, printable
from videolatent_cli.pipeline.library.embedders.base import SeeingEmbedder, open_embedder
from videolatent_cli.report.page import Card, Cards, Picture, write_page
from videolatent_cli.report.playlist import Entry, write_playlist
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.store.library import Library
from videolatent_cli.video.thumbnail import picture_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from videolatent_cli.store.library_rows import FileRow, SegmentRow

SearchMode = Literal["hybrid", "vector", "text"]
_DEEPER = 3
"""Times as many moments are looked up where their order is then decided by the score."""


@dataclass(frozen=True)
class SearchRequest:
    """What to look for."""

    query: str
    """Words; empty where a picture is looked for."""
    library: Path
    count: int = 10
    mode: SearchMode = "hybrid"
    under: str = ""
    """Only files in this folder, or whose path below a root starts with this."""
    where: str | None = None
    """SQL condition on the files: `duration_seconds > 60`."""
    min_score: float = 0.0
    image: Path | None = None
    """A picture or video to look for in place of words."""
    run: Path | None = None
    """Run whose backbone describes the picture, for embedders that take text only."""
    page: Path | None = None
    """HTML page with pictures to write."""
    export: Path | None = None
    """List for players (`.m3u`) or editing programs (`.edl`, `.otio`) to write."""


@dataclass(frozen=True)
class Moment:
    """A moment that was found, in all files that show it."""

    paths: tuple[Path, ...]
    """The file and its copies."""
    segment: SegmentRow
    score: float
    """How well it fits, in [0, 1]; the embedder says what that means."""
    near_duplicates: int
    """Further moments that show nearly the same."""

    def document(self) -> dict[str, Any]:
        """Return the moment as JSON values."""
        return {
            "video": printable(self.paths[0]),
            "copies": [printable(path) for path in self.paths[1:]],
            "video_id": self.segment.content_id,
            "start_seconds": self.segment.start_seconds,
            "end_seconds": self.segment.end_seconds,
            "score": self.score,
            "near_duplicates": self.near_duplicates,
            "description": self.segment.description,
            "transcript": self.segment.transcript,
        }


class LibrarySearch:
    """A library, and what makes vectors of queries as it has them."""

    def __init__(self, library: Library) -> None:
        """Open the library's embedder.

        Raises:
            IncompatibleError: Where its model has changed since the library was made.
        """
        self._library = library
        self.embedder = open_embedder(library.manifest.embedder_spec)
        library.check(embedder=self.embedder.name)

    def find(self, request: SearchRequest) -> list[Moment]:
        """Return the moments that fit best, the best first."""
        vector = self.embedder.query(request.query)
        words = request.query if request.mode != "vector" else None
        return self._moments(request, vector, words)

    def like(self, request: SearchRequest, picture: bytes) -> list[Moment]:
        """Return the moments that look most like a picture file; for embedders that see."""
        assert isinstance(self.embedder, SeeingEmbedder)
        return self._moments(replace(request, mode="vector"), self.embedder.picture(picture), None)

    def candidates(self, request: SearchRequest) -> list[Moment]:
        """Return the moments that may fit, without joining those that look alike.

        All are looked at where they are no more than the count asked for, else the best.
        """
        library = self._library
        shown = _files_by_content(library, request)
        vector = self.embedder.query(request.query)
        if len(library.segments) <= request.count:
            rows = [one for one in library.segments.rows() if one.content_id in shown]
        else:
            hits = library.segments.search(request.count, vector, request.query, set(shown))
            rows = [one for hit in hits for one in (hit.segment, *hit.near_duplicates)][
                : request.count
            ]
        moments = [self._moment(row, request.query, vector, shown) for row in rows]
        return [moment for moment in moments if moment.score >= request.min_score]

    def _moments(
        self, request: SearchRequest, vector: NDArray[np.float32], words: str | None
    ) -> list[Moment]:
        library = self._library
        shown = _files_by_content(library, request)
        by_vector = vector if request.mode != "text" else None
        ranks = self.embedder.ranks
        count = _DEEPER * request.count if ranks else request.count
        hits = library.segments.search(count, by_vector, words, set(shown))
        moments = [
            self._moment(hit.segment, request.query, vector, shown, len(hit.near_duplicates))
            for hit in hits
        ]
        if ranks:
            moments.sort(key=lambda moment: -moment.score)
        return [m for m in moments[: request.count] if m.score >= request.min_score]

    def _moment(
        self,
        segment: SegmentRow,
        query: str,
        vector: NDArray[np.float32],
        shown: Mapping[str, Sequence[FileRow]],
        near_duplicates: int = 0,
    ) -> Moment:
        """Return a segment with the files that show it, and how well it fits."""
        paths = tuple(self._library.path(row) for row in shown[segment.content_id])
        score = self.embedder.score(query, vector, segment.text, segment.vector)
        return Moment(paths, segment, score, near_duplicates)


def search(request: SearchRequest, machine: Machine = Machine()) -> list[Moment]:
    """Return the moments of a library that fit words or a picture, the best first.

    Args:
        request: What to look for, and which files to write.
        machine: Torch device; used only to describe a picture.

    Raises:
        DataError: If there is no library.
        UsageError: For an empty query, or a condition that cannot be used.
        VideoError: If the picture cannot be read.
        IncompatibleError: If the library's embedder has changed.
    """
    if request.image is not None and request.query:
        raise UsageError(
            f"QUERY, --image: give one of them, got '{request.query}' and '{request.image}'"
        )
    if request.image is None and not request.query.strip():
        raise UsageError("QUERY: must not be empty; name what the video shows")
    finder = LibrarySearch(Library.open(request.library))
    if request.image is None:
        moments = finder.find(request)
    else:
        moments = _search_by_picture(finder, request, request.image, machine.device)
    if request.page is not None:
        write_search_page(request, moments, request.page)
    if request.export is not None:
        export_moments(request, moments, request.export)
    return moments


def _search_by_picture(
    finder: LibrarySearch, request: SearchRequest, picture: Path, device: str
) -> list[Moment]:
    """Return the moments that look like a picture.

    Choice: an embedder that sees compares what it sees; for others the run's backbone describes the
    picture, and the description is looked for.
    """
    if finder.embedder.source != "text":
        return finder.like(request, picture_of(picture))
    from videolatent_cli.pipeline.library.segment_builder import describe_file

    return finder.find(replace(request, query=describe_file(picture, request.run, device)))


def _files_by_content(library: Library, request: SearchRequest) -> dict[str, list[FileRow]]:
    """Return the files that may be found, by content.

    Raises:
        UsageError: Where no file lies under what is asked for, or the condition cannot be read.
    """
    allowed = library.keys_where(request.where) if request.where is not None else None
    folders = {Path(request.under).absolute(), Path(request.under).resolve()}
    under = [
        row
        for row in library.files()
        if row.path.startswith(request.under)
        or any(library.path(row).is_relative_to(folder) for folder in folders)
    ]
    if request.under and not under:
        raise UsageError(
            f"--under: no file of {library.folder} lies there, got '{request.under}'; name a "
            "folder of videos, or how their paths below an indexed folder start"
        )
    shown: dict[str, list[FileRow]] = {}
    for row in under:
        if row.state == "indexed" and (allowed is None or row.key in allowed):
            shown.setdefault(row.content_id, []).append(row)
    return shown


def export_moments(request: SearchRequest, moments: Sequence[Moment], out: Path) -> None:
    """Write moments as a list for players (M3U) or editing programs (EDL, OTIO)."""
    write_playlist(
        out,
        request.query,
        [
            Entry(
                moment.paths[0],
                moment.segment.start_seconds,
                moment.segment.end_seconds,
                moment.segment.description,
            )
            for moment in moments
        ],
    )


def write_search_page(request: SearchRequest, moments: Sequence[Moment], page: Path) -> None:
    """Write a page with a picture of each moment, which opens the video there."""
    library = Library.open(request.library)
    cards = []
    for moment in moments:
        segment = moment.segment
        data = library.segments.thumbnail(segment)
        times = f"{segment.start_seconds:.1f}-{segment.end_seconds:.1f} s"
        lines = [f"{printable(moment.paths[0])} at {times}", f"score {moment.score:.2f}"]
        if moment.near_duplicates:
            lines.append(f"and {moment.near_duplicates} like it")
        cards.append(
            Card(
                segment.description or printable(moment.paths[0]),
                lines,
                Picture(data, times, "image/jpeg") if data else None,
                f"{moment.paths[0].resolve().as_uri()}#t={segment.start_seconds:.2f}",
            )
        )
    write_page(page, f"Moments for: {request.query}", [Cards(cards)])
