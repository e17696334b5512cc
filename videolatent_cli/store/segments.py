"""The segments of a library, found by vectors and by words."""

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
"""Up to here every vector is compared; above, an index is asked."""
_PROBES, _ROWS_A_PROBE, _REFINE = 20, 12_500, 5
"""Partitions that are looked into: at least so many, and of a large index every third, which finds
0.98 of the ten best of a million (`python -m benchmarks scale`)."""
_ALIKE = 0.98
"""Cosine from which two segments count as nearly the same."""
_KEPT_VERSIONS = timedelta(minutes=10)
"""How long readers may go on with an older version of a table."""


class Segments:
    """The table of segments; what writes, the holder of the library's lock calls."""

    def __init__(self, table: Any, dim: int) -> None:  # noqa: ANN401 - lancedb's table
        self._table = table
        self._dim = dim

    def __len__(self) -> int:
        return int(self._table.count_rows())

    def contents(self) -> set[str]:
        """Return the content ids that have segments."""
        return set(self.columns("content_id")["content_id"].to_pylist())

    def columns(self, *names: str) -> pa.Table:
        """Return some columns of all rows."""
        return self._table.search().select(list(names)).limit(None).to_arrow()

    def everything(self) -> pa.Table:
        """Return all rows with vectors and pictures."""
        return self._table.to_arrow()

    def of(self, content_id: str) -> list[SegmentRow]:
        """Return the segments of a content by time, with thumbnails and vectors."""
        query = self._table.search().where(f"content_id = '{content_id}'").limit(None)
        rows = [as_segment(row) for row in query.to_arrow().to_pylist()]
        return sorted(rows, key=lambda row: row.start_seconds)

    def rows(self) -> list[SegmentRow]:
        """Return all segments, without pictures."""
        names = [name for name in SegmentRow.__dataclass_fields__ if name != "thumbnail"]
        return [as_segment(row) for row in self.columns(*names).to_pylist()]

    def thumbnail(self, segment: SegmentRow) -> bytes | None:
        """Return the picture of a segment, if it has one."""
        query = self._table.search().where(f"key = '{segment.key}'").select(["thumbnail"])
        pictures = query.limit(1).to_arrow()["thumbnail"].to_pylist()
        return pictures[0] if pictures else None

    def put(self, rows: Sequence[SegmentRow]) -> None:
        """Add segments of contents that have none."""
        if rows:
            self._table.add(segments_table(rows, self._dim))

    def replace(self, rows: Sequence[SegmentRow]) -> None:
        """Write segments that are there anew."""
        if rows:
            merge = self._table.merge_insert("key").when_matched_update_all()
            merge.execute(segments_table(rows, self._dim))

    def remove(self, contents: Collection[str]) -> None:
        """Forget the segments of some contents."""
        delete(self._table, "content_id", contents)

    def finish(self) -> None:
        """Bring indices up to date and compact."""
        names = {index.name for index in self._table.list_indices()}
        if len(self) and "text_idx" not in names:
            self._table.create_index("text", config=FTS(with_position=False))
        if len(self) > _EXACT and "vector_idx" not in names:
            self._table.create_index("vector", config=IvfRq(distance_type="cosine"))
        compact(self._table)

    def search(
        self,
        count: int,
        vector: NDArray[np.float32] | None = None,
        words: str | None = None,
        contents: Collection[str] | None = None,
    ) -> list[Hit]:
        """Return the best segments, those that show nearly the same as one hit.

        Args:
            count: Most hits.
            vector: Of the query; None: by words alone.
            words: Of the query; None: by the vector alone.
            contents: Content ids to search in; None: all.
        """
        if len(self) == 0 or (contents is not None and not contents):
            return []
        query = self._query(vector, words)
        if contents is not None:
            query = query.where(_within("content_id", contents), prefilter=True)
        rows = query.limit(4 * count).to_arrow().to_pylist()
        return _grouped([as_segment(row) for row in rows])[:count]

    def _query(self, vector: NDArray[np.float32] | None, words: str | None) -> Any:  # noqa: ANN401
        """Return LanceDB's query: by vector, by words, or both, fused by reciprocal rank."""
        if vector is None:
            return self._table.search(words, query_type="fts", fts_columns="text")
        if words is None:
            query = self._table.search(vector, vector_column_name="vector")
        else:
            query = self._table.search(
                query_type="hybrid", vector_column_name="vector", fts_columns="text"
            )
            query = query.vector(vector).text(words).rerank(RRFReranker())
        probes = max(_PROBES, len(self) // _ROWS_A_PROBE)
        return query.distance_type("cosine").nprobes(probes).refine_factor(_REFINE)


def compact(table: Any) -> None:  # noqa: ANN401 - lancedb's table
    """Rewrite a table without gaps and drop versions that nobody reads any more."""
    table.optimize(cleanup_older_than=_KEPT_VERSIONS)


def delete(table: Any, column: str, values: Collection[str]) -> None:  # noqa: ANN401
    """Delete the rows of some hexadecimal values."""
    ordered = sorted(values)
    for start in range(0, len(ordered), 500):
        table.delete(_within(column, ordered[start : start + 500]))


def _within(column: str, values: Collection[str]) -> str:
    """Return the SQL condition that a column holds one of some hexadecimal values."""
    return f"{column} IN ({', '.join(repr(value) for value in sorted(values))})"


def _grouped(segments: Sequence[SegmentRow]) -> list[Hit]:
    """Return segments, the best first; one that shows nearly the same as a better one joins it."""
    groups: list[list[SegmentRow]] = []
    for segment in segments:
        for group in groups:
            if float(segment.vector @ group[0].vector) >= _ALIKE:
                group.append(segment)
                break
        else:
            groups.append([segment])
    return [Hit(group[0], tuple(group[1:])) for group in groups]
