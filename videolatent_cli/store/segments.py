"""Table of the segments of a library, with search by vector and by words."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from lancedb.index import FTS, IvfRq
from lancedb.rerankers import RRFReranker

from videolatent_cli.store.library_rows import Hit, SegmentRow, as_segment, segments_table

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

_EXACT = 20_000
"""Largest number of segments for which every vector is compared; more get a vector index."""
_MIN_PROBES, _ROWS_PER_PROBE = 20, 12_500
"""Partitions of the index that a search reads: at least 20, and one per 12,500 segments.

That is a third of the partitions of a large index. It finds 0.98 of the ten best of a million
(`python -m benchmarks scale`).
"""
_REFINE = 5
"""Candidates per hit that are compared by their exact vectors; the index compresses vectors."""
_DUPLICATE_COSINE = 0.98
"""Cosine similarity from which two segments count as near duplicates."""
_CANDIDATES_PER_HIT = 4
"""Segments fetched per hit: near duplicates become one hit, so more than the hits are needed."""
_DELETED_PER_CALL = 500
"""Number of values per deletion, which limits the length of the SQL condition."""
_KEPT_VERSIONS = timedelta(minutes=10)
"""Time for which readers can still use an older version of a table."""


class Segments:
    """Table of segments. Only the holder of the library's lock may call the methods that write."""

    def __init__(self, table: Any, dim: int) -> None:  # noqa: ANN401 - lancedb's table
        self._table = table
        self._dim = dim

    def __len__(self) -> int:
        return int(self._table.count_rows())

    def contents(self) -> set[str]:
        """Return the ids of all contents that have segments."""
        return set(self.columns("content_id")["content_id"].to_pylist())

    def columns(self, *names: str) -> pa.Table:
        """Return some columns of all rows."""
        return self._table.search().select(list(names)).limit(None).to_arrow()

    def everything(self) -> pa.Table:
        """Return all rows, with vectors and thumbnails."""
        return self._table.to_arrow()

    def of(self, content_id: str) -> list[SegmentRow]:
        """Return the segments of a content in order of time, with thumbnails and vectors."""
        query = self._table.search().where(f"content_id = '{content_id}'").limit(None)
        rows = [as_segment(row) for row in query.to_arrow().to_pylist()]
        return sorted(rows, key=lambda row: row.start_seconds)

    def rows(self) -> list[SegmentRow]:
        """Return all segments, without thumbnails."""
        names = [name for name in SegmentRow.__dataclass_fields__ if name != "thumbnail"]
        return [as_segment(row) for row in self.columns(*names).to_pylist()]

    def thumbnail(self, segment: SegmentRow) -> bytes | None:
        """Return the thumbnail of a segment as JPEG bytes; None if it has none."""
        query = self._table.search().where(f"key = '{segment.key}'").select(["thumbnail"])
        thumbnails = query.limit(1).to_arrow()["thumbnail"].to_pylist()
        return thumbnails[0] if thumbnails else None

    def put(self, rows: Sequence[SegmentRow]) -> None:
        """Add segments of contents that have none yet."""
        if rows:
            self._table.add(segments_table(rows, self._dim))

    def replace(self, rows: Sequence[SegmentRow]) -> None:
        """Overwrite segments that are in the table, by key."""
        if rows:
            merge = self._table.merge_insert("key").when_matched_update_all()
            merge.execute(segments_table(rows, self._dim))

    def remove(self, contents: Collection[str]) -> None:
        """Delete the segments of some contents."""
        delete(self._table, "content_id", contents)

    def finish(self) -> None:
        """Update the search indices and compact the table.

        Choice: words get their index at once, vectors only above `_EXACT` segments: up to there a
        full comparison is fast and misses nothing.
        """
        names = {index.name for index in self._table.list_indices()}
        if len(self) and "text_idx" not in names:
            # Without positions: no search is for a phrase.
            self._table.create_index("text", config=FTS(with_position=False))
        if len(self) > _EXACT and "vector_idx" not in names:
            self._table.create_index("vector", config=IvfRq(distance_type="cosine"))
        compact(self._table)  # also adds new rows to existing indices

    def search(
        self,
        count: int,
        vector: NDArray[np.float32] | None = None,
        words: str | None = None,
        contents: Collection[str] | None = None,
    ) -> list[Hit]:
        """Return the best hits; near duplicates of a segment are part of its hit.

        Args:
            count: Largest number of hits.
            vector: Search vector of the query, unit length; None: search by words alone.
            words: Words of the query; None: search by the vector alone.
            contents: Content ids to search in; None: all.
        """
        if len(self) == 0 or (contents is not None and not contents):
            return []
        query = self._query(vector, words)
        if contents is not None:
            # Filter before the search: a filter afterwards could leave too few hits.
            query = query.where(_within("content_id", contents), prefilter=True)
        rows = query.limit(_CANDIDATES_PER_HIT * count).to_arrow().to_pylist()
        return _grouped([as_segment(row) for row in rows])[:count]

    def _query(self, vector: NDArray[np.float32] | None, words: str | None) -> Any:  # noqa: ANN401
        """Return the LanceDB query: by vector, by words, or by both, fused by reciprocal rank."""
        if vector is None:
            return self._table.search(words, query_type="fts", fts_columns="text")
        if words is None:
            query = self._table.search(vector, vector_column_name="vector")
        else:
            query = self._table.search(
                query_type="hybrid", vector_column_name="vector", fts_columns="text"
            )
            query = query.vector(vector).text(words).rerank(RRFReranker())
        probes = max(_MIN_PROBES, len(self) // _ROWS_PER_PROBE)
        return query.distance_type("cosine").nprobes(probes).refine_factor(_REFINE)


def compact(table: Any) -> None:  # noqa: ANN401 - lancedb's table
    """Rewrite a table without gaps, and delete versions that are too old to be in use."""
    table.optimize(cleanup_older_than=_KEPT_VERSIONS)


def delete(table: Any, column: str, values: Collection[str]) -> None:  # noqa: ANN401
    """Delete the rows in which a column holds one of some hexadecimal values."""
    ordered = sorted(values)
    for start in range(0, len(ordered), _DELETED_PER_CALL):
        table.delete(_within(column, ordered[start : start + _DELETED_PER_CALL]))


def _within(column: str, values: Collection[str]) -> str:
    """Return the SQL condition that a column holds one of some hexadecimal values."""
    return f"{column} IN ({', '.join(repr(value) for value in sorted(values))})"


def _grouped(segments: Sequence[SegmentRow]) -> list[Hit]:
    """Return segments as hits, best first; near duplicates join the better segment.

    Vectors have unit length, so their product is the cosine similarity.
    """
    groups: list[list[SegmentRow]] = []
    for segment in segments:
        for group in groups:
            if float(segment.vector @ group[0].vector) >= _DUPLICATE_COSINE:
                group.append(segment)
                break
        else:
            groups.append([segment])
    return [Hit(group[0], tuple(group[1:])) for group in groups]
