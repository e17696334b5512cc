"""`vl search`: the moments of a library that a query is about. Needs no model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from videolatent_cli.data.lexical import coverage, lexical_vectors
from videolatent_cli.errors import RecipeError, printable
from videolatent_cli.report.page import Card, Cards, Picture, write_page
from videolatent_cli.store.library import Library

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from videolatent_cli.store.library_rows import FileRow, Hit, SegmentRow

SearchMode = Literal["hybrid", "vector", "text"]


@dataclass(frozen=True)
class SearchRequest:
    """What to look for."""

    query: str
    library: Path
    count: int = 10
    mode: SearchMode = "hybrid"
    under: str = ""
    """Only files whose path below a root starts with this."""
    where: str | None = None
    """SQL condition on the files: `duration_seconds > 60`."""
    min_score: float = 0.0


@dataclass(frozen=True)
class Moment:
    """A moment that was found, in all files that show it."""

    paths: tuple[Path, ...]
    """The file and its copies."""
    segment: SegmentRow
    score: float
    """Share of the query that is seen in the segment or named by its file, in [0, 1]."""
    alike: int
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
            "alike": self.alike,
            "description": self.segment.description,
        }


def search(request: SearchRequest) -> list[Moment]:
    """Return the best moments, the best first.

    Raises:
        DataError: Where there is no library.
        RecipeError: For an empty query, or a condition that cannot be used.
    """
    if not request.query.strip():
        raise RecipeError("QUERY: must not be empty; name what the video shows")
    return find_moments(Library.open(request.library), request)


def find_moments(library: Library, request: SearchRequest) -> list[Moment]:
    """Return the best moments of a library that is open."""
    shown = _files_by_content(library, request)
    vector = lexical_vectors([request.query])[0] if request.mode != "text" else None
    words = request.query if request.mode != "vector" else None
    hits = library.segments.search(request.count, vector, words, set(shown))
    moments = [_moment(library, hit, shown, request.query) for hit in hits]
    return [moment for moment in moments if moment.score >= request.min_score]


def _files_by_content(library: Library, request: SearchRequest) -> dict[str, list[FileRow]]:
    """Return the files that may be found, by content."""
    allowed = library.keys_where(request.where) if request.where is not None else None
    shown: dict[str, list[FileRow]] = {}
    for row in library.files():
        wanted = row.state == "indexed" and row.path.startswith(request.under)
        if wanted and (allowed is None or row.key in allowed):
            shown.setdefault(row.content_id, []).append(row)
    return shown


def _moment(
    library: Library, hit: Hit, shown: Mapping[str, Sequence[FileRow]], query: str
) -> Moment:
    """Return a hit with the files that show it, and how well it fits."""
    paths = tuple(library.path(row) for row in shown[hit.segment.content_id])
    return Moment(paths, hit.segment, coverage(query, hit.segment.text), len(hit.alike))


def write_search_page(request: SearchRequest, moments: Sequence[Moment], page: Path) -> None:
    """Write a page with a picture of each moment, which opens the video there."""
    library = Library.open(request.library)
    cards = []
    for moment in moments:
        segment = moment.segment
        data = library.segments.thumbnail(segment)
        times = f"{segment.start_seconds:.1f}-{segment.end_seconds:.1f} s"
        lines = [f"{printable(moment.paths[0])} at {times}", f"score {moment.score:.2f}"]
        if moment.alike:
            lines.append(f"and {moment.alike} like it")
        cards.append(
            Card(
                segment.description or printable(moment.paths[0]),
                lines,
                Picture(data, times, "image/jpeg") if data else None,
                f"{moment.paths[0].resolve().as_uri()}#t={segment.start_seconds:.2f}",
            )
        )
    write_page(page, f"Moments for: {request.query}", [Cards(cards)])
