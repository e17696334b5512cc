"""Search a library for the moments that match words or a picture: `vl search`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from videolatent_cli.errors import UsageError, printable
from videolatent_cli.pipeline.library.embedders.base import PictureEmbedder, open_embedder
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
_OVERFETCH = 3
"""Factor by which more moments are fetched than returned, if the score decides their order."""


@dataclass(frozen=True)
class SearchRequest:
    """Query, library and filters of a search, and the files to write."""

    query: str
    """Words; empty for a search by picture."""
    library: Path
    count: int = 10
    """Number of moments to return at most."""
    mode: SearchMode = "hybrid"
    """Comparison by vectors, by words in the text, or by both."""
    under: str = ""
    """Folder, or start of the path below a root, that files must be in; empty: all files."""
    where: str | None = None
    """SQL condition on the columns of files, such as `duration_seconds > 60`."""
    min_score: float = 0.0
    """Lowest score of a moment that is returned."""
    image: Path | None = None
    """Picture or video to search for instead of words."""
    run: Path | None = None
    """Run with the backbone that describes the picture, for embedders of texts only."""
    page: Path | None = None
    """HTML page with pictures to write."""
    export: Path | None = None
    """List for players (`.m3u`) or editing programs (`.edl`, `.otio`) to write."""


@dataclass(frozen=True)
class Moment:
    """A segment that matches a query, in all files that contain it."""

    paths: tuple[Path, ...]
    """The file and its copies."""
    segment: SegmentRow
    score: float
    """Similarity to the query in [0, 1], as the embedder defines it."""
    near_duplicates: int
    """Number of further moments that show nearly the same."""

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


def search(request: SearchRequest, machine: Machine = Machine()) -> list[Moment]:
    """Return the moments of a library that match words or a picture, the best first.

    Args:
        request: Query, library and filters, and the files to write.
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
    library_search = LibrarySearch(Library.open(request.library))
    if request.image is None:
        moments = library_search.find(request)
    else:
        moments = _search_by_picture(library_search, request, request.image, machine.device)
    if request.page is not None:
        write_search_page(request, moments, request.page)
    if request.export is not None:
        export_moments(request, moments, request.export)
    return moments


def _search_by_picture(
    library_search: LibrarySearch, request: SearchRequest, picture: Path, device: str
) -> list[Moment]:
    """Return the moments that look like a picture.

    Choice: an embedder of pictures or features compares the picture itself. For an embedder of
    texts, the run's backbone describes the picture, and the description becomes the query.
    """
    if library_search.embedder.source != "text":
        return library_search.find_by_picture(request, picture_of(picture))
    from videolatent_cli.pipeline.library.segment_builder import describe_file

    description = describe_file(picture, request.run, device)
    return library_search.find(replace(request, query=description))


class LibrarySearch:
    """Search in one library with the embedder that made its vectors."""

    def __init__(self, library: Library) -> None:
        """Open the library's embedder.

        Raises:
            IncompatibleError: If its model has changed since the library was made.
        """
        self._library = library
        self.embedder = open_embedder(library.manifest.embedder_spec)
        library.check(embedder=self.embedder.name)

    def find(self, request: SearchRequest) -> list[Moment]:
        """Return the moments that match the words of a request, the best first."""
        query_vector = self.embedder.query(request.query)
        words = request.query if request.mode != "vector" else None
        return self._best_moments(request, query_vector, words)

    def find_by_picture(self, request: SearchRequest, picture: bytes) -> list[Moment]:
        """Return the moments most similar to a picture file; needs an embedder of pictures."""
        assert isinstance(self.embedder, PictureEmbedder)
        by_vector = replace(request, mode="vector")  # a picture has no words
        return self._best_moments(by_vector, self.embedder.picture(picture), None)

    def candidates(self, request: SearchRequest) -> list[Moment]:
        """Return the moments that a question about many videos is put to.

        Near-duplicates are separate moments here. A library with at most `count` segments is
        taken as a whole, otherwise the best matches are.
        """
        segments = self._library.segments
        files_by_content = _files_by_content(self._library, request)
        query_vector = self.embedder.query(request.query)
        if len(segments) <= request.count:
            rows = [row for row in segments.rows() if row.content_id in files_by_content]
        else:
            hits = segments.search(
                request.count, query_vector, request.query, set(files_by_content)
            )
            # The search joins near-duplicates to one hit: each of them is a moment of its own.
            rows = [row for hit in hits for row in (hit.segment, *hit.near_duplicates)]
            rows = rows[: request.count]
        moments = [self._moment(row, request.query, query_vector, files_by_content) for row in rows]
        return [moment for moment in moments if moment.score >= request.min_score]

    def _best_moments(
        self, request: SearchRequest, query_vector: NDArray[np.float32], words: str | None
    ) -> list[Moment]:
        """Return the best moments by vector, by words or by both; None: no words."""
        files_by_content = _files_by_content(self._library, request)
        reorder = self.embedder.orders_by_score
        hits = self._library.segments.search(
            _OVERFETCH * request.count if reorder else request.count,
            query_vector if request.mode != "text" else None,
            words,
            set(files_by_content),
        )
        moments = [
            self._moment(
                hit.segment,
                request.query,
                query_vector,
                files_by_content,
                len(hit.near_duplicates),
            )
            for hit in hits
        ]
        if reorder:
            moments.sort(key=lambda moment: -moment.score)
        best = moments[: request.count]
        return [moment for moment in best if moment.score >= request.min_score]

    def _moment(
        self,
        segment: SegmentRow,
        query: str,
        query_vector: NDArray[np.float32],
        files_by_content: Mapping[str, Sequence[FileRow]],
        near_duplicates: int = 0,
    ) -> Moment:
        """Return a segment with its files and its score."""
        paths = tuple(self._library.path(row) for row in files_by_content[segment.content_id])
        score = self.embedder.score(query, query_vector, segment.text, segment.vector)
        return Moment(paths, segment, score, near_duplicates)


def _files_by_content(library: Library, request: SearchRequest) -> dict[str, list[FileRow]]:
    """Return the indexed files that pass the filters of a request, by content id.

    Raises:
        UsageError: If no file is below `under`, or if the condition cannot be used.
    """
    allowed = library.keys_where(request.where) if request.where is not None else None
    # Users name a folder from where they are; a library may have been indexed through a link.
    folders = {Path(request.under).absolute(), Path(request.under).resolve()}
    under = [
        row
        for row in library.files()
        if row.path.startswith(request.under)
        or any(library.path(row).is_relative_to(folder) for folder in folders)
    ]
    if request.under and not under:
        raise UsageError(
            f"--under: no file of {library.folder} is there, got '{request.under}'; name a "
            "folder of videos, or the start of their paths below an indexed folder"
        )
    files_by_content: dict[str, list[FileRow]] = {}
    for row in under:
        if row.state == "indexed" and (allowed is None or row.key in allowed):
            files_by_content.setdefault(row.content_id, []).append(row)
    return files_by_content


def export_moments(request: SearchRequest, moments: Sequence[Moment], out: Path) -> None:
    """Write moments as a list for players (M3U) or editing programs (EDL, OTIO).

    Raises:
        UsageError: For any other file name.
    """
    entries = [
        Entry(
            moment.paths[0],
            moment.segment.start_seconds,
            moment.segment.end_seconds,
            moment.segment.description,
        )
        for moment in moments
    ]
    write_playlist(out, request.query, entries)


def write_search_page(request: SearchRequest, moments: Sequence[Moment], page: Path) -> None:
    """Write an HTML page with a picture per moment; a click opens the video at the moment."""
    library = Library.open(request.library)
    cards = []
    for moment in moments:
        segment = moment.segment
        thumbnail = library.segments.thumbnail(segment)
        times = f"{segment.start_seconds:.1f}-{segment.end_seconds:.1f} s"
        lines = [f"{printable(moment.paths[0])} at {times}", f"score {moment.score:.2f}"]
        if moment.near_duplicates:
            lines.append(f"near-duplicates: {moment.near_duplicates}")
        cards.append(
            Card(
                segment.description or printable(moment.paths[0]),
                lines,
                Picture(thumbnail, times, "image/jpeg") if thumbnail else None,
                f"{moment.paths[0].resolve().as_uri()}#t={segment.start_seconds:.2f}",
            )
        )
    write_page(page, f"Moments for: {request.query}", [Cards(cards)])
