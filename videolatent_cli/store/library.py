"""A library: what is known of many videos, in LanceDB, found by vectors and by words."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lancedb
import numpy as np
import pyarrow as pa
from filelock import FileLock, Timeout
from lancedb.index import FTS, IvfRq
from lancedb.rerankers import RRFReranker

from videolatent_cli.errors import (
    DataError,
    IncompatibleError,
    RecipeError,
    ResourceError,
    printable,
)
from videolatent_cli.store.library_rows import (
    FILES,
    FileRow,
    Hit,
    Manifest,
    SegmentRow,
    as_file,
    as_segment,
    files_table,
    segments_schema,
    segments_table,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from numpy.typing import NDArray

_DATABASE, _FILES, _MANIFEST = "library.lancedb", "files", "library.json"
_EXACT_SEGMENTS = 20_000
"""Up to here every vector is compared; above, an index finds 0.9995 of the ten best (measured)."""
_PROBES, _REFINE = 20, 5
_ALIKE = 0.98
"""Cosine from which two segments count as nearly the same."""


@contextmanager
def writing(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of a library's writer; the folder is made if it is missing.

    Args:
        folder: Where the library is, or will be.
        wait: Wait for another writer in place of giving up.

    Raises:
        ResourceError: Where another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".writer.lock")
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        raise ResourceError(
            f"{folder}: another process writes this library; wait for it to end, or use --wait"
        ) from None
    try:
        yield
    finally:
        lock.release()


class Library:
    """Tables of files and segments in a folder; one process writes at a time, any number reads."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self._database = lancedb.connect(
            str(folder / _DATABASE), read_consistency_interval=timedelta(0)
        )
        self._files = self._table(_FILES, FILES)
        self._segments = self._table(manifest.table, segments_schema(manifest.dim))

    @classmethod
    def at(cls, folder: Path) -> Library | None:
        """Return the library of a folder, None where there is none.

        Raises:
            IncompatibleError: Where this program cannot read it.
        """
        path = folder / _MANIFEST
        return cls(folder, Manifest.read(path)) if path.exists() else None

    @classmethod
    def open(cls, folder: Path) -> Library:
        """Return a library that is there.

        Raises:
            DataError: Where there is none.
            IncompatibleError: Where this program cannot read it.
        """
        library = cls.at(folder)
        if library is None:
            raise DataError(f"{folder}: holds no library; make one with: vl index FOLDER")
        return library

    @classmethod
    def create(cls, folder: Path, manifest: Manifest) -> Library:
        """Return a new, empty library; the caller holds the lock."""
        manifest.write(folder / _MANIFEST)
        return cls(folder, manifest)

    def check(self, **wanted: str) -> None:
        """Check values of the manifest by name.

        Raises:
            IncompatibleError: Where the library was made with others.
        """
        for name, value in wanted.items():
            made = getattr(self.manifest, name)
            if made != value:
                raise IncompatibleError(
                    f"{self.folder}: was made with {name} {made}, now it would be {value}; index "
                    "into another folder with --library, or remove this one and index again"
                )

    def _table(self, name: str, schema: Any) -> Any:  # noqa: ANN401 - lancedb's table
        """Return a table; an empty one where it is missing."""
        table = self._database.create_table(name, schema=schema, exist_ok=True)
        missing = set(schema.names) - set(table.schema.names)
        if missing:
            raise IncompatibleError(
                f"{self.folder}: table {name} lacks columns {sorted(missing)}; remove the folder "
                "and run 'vl index' again"
            )
        return table

    # --- files

    def files(self) -> list[FileRow]:
        """Return all files, by path."""
        rows = [as_file(row) for row in self._files.to_arrow().to_pylist()]
        return sorted(rows, key=lambda row: (row.root, row.raw_path))

    def path(self, file: FileRow) -> Path:
        """Return where a file lies."""
        return Path(self.manifest.roots[file.root]) / file.relative

    def keys_where(self, condition: str) -> set[str]:
        """Return the keys of the files that an SQL condition on their columns holds for.

        Raises:
            RecipeError: Where LanceDB cannot read the condition.
        """
        try:
            rows = self._files.search().where(condition).select(["key"]).limit(None).to_arrow()
        except (RuntimeError, ValueError, OSError) as error:
            reason = str(error).split(" Valid fields")[0].splitlines()[0]
            raise RecipeError(
                f"--where: cannot be used, got '{condition}' ({reason}); columns are "
                f"{', '.join(FILES.names)}"
            ) from None
        return set(rows["key"].to_pylist())

    def set_roots(self, roots: tuple[str, ...]) -> None:
        """Say below which folders the files lie; the caller holds the lock."""
        if roots != self.manifest.roots:
            self.manifest = replace(self.manifest, roots=roots)
            self.manifest.write(self.folder / _MANIFEST)

    def move_root(self, old: str, new: Path) -> None:
        """Say that a root now lies elsewhere; the caller holds the lock.

        Raises:
            DataError: Where no root has the old name.
        """
        roots = self.manifest.roots
        if old not in roots:
            raise DataError(f"{self.folder}: has no root {old} (roots: {', '.join(roots)})")
        self.set_roots(tuple(str(new) if root == old else root for root in roots))

    def put_files(self, rows: Sequence[FileRow]) -> None:
        """Add files, or replace those that are there, in one commit; the caller holds the lock."""
        if rows:
            merge = self._files.merge_insert("key")
            merge = merge.when_matched_update_all().when_not_matched_insert_all()
            merge.execute(files_table(rows))

    def remove_files(self, rows: Sequence[FileRow]) -> None:
        """Forget files, and the segments that no other file shows; the caller holds the lock."""
        _delete(self._files, "key", [row.key for row in rows])
        left = {row.content_id for row in self.files()}
        _delete(self._segments, "content_id", sorted(self.contents() - left))

    # --- segments

    def contents(self) -> set[str]:
        """Return the content ids that have segments."""
        rows = self._segments.search().select(["content_id"]).limit(None).to_arrow()
        return set(rows["content_id"].to_pylist())

    def put_segments(self, rows: Sequence[SegmentRow]) -> None:
        """Add segments of contents that have none; the caller holds the lock."""
        if rows:
            self._segments.add(segments_table(rows, self.manifest.dim))

    def segments(self, content_id: str | None = None) -> list[SegmentRow]:
        """Return the segments of a content, or all, with thumbnails and vectors."""
        query = self._segments.search().limit(None)
        if content_id is not None:
            query = query.where(f"content_id = '{content_id}'")
        rows = [as_segment(row) for row in query.to_arrow().to_pylist()]
        return sorted(rows, key=lambda row: (row.content_id, row.start_seconds))

    def thumbnail(self, segment: SegmentRow) -> bytes | None:
        """Return the picture of a segment, if it has one."""
        query = self._segments.search().where(f"key = '{segment.key}'").select(["thumbnail"])
        pictures = query.limit(1).to_arrow()["thumbnail"].to_pylist()
        return pictures[0] if pictures else None

    def finish(self) -> None:
        """Bring indices up to date and compact; the caller holds the lock."""
        names = {index.name for index in self._segments.list_indices()}
        count = self._segments.count_rows()
        if count and "text_idx" not in names:
            self._segments.create_index("text", config=FTS(with_position=False))
        if count > _EXACT_SEGMENTS and "vector_idx" not in names:
            self._segments.create_index("vector", config=IvfRq(distance_type="cosine"))
        for table in (self._files, self._segments):
            table.optimize(cleanup_older_than=timedelta(minutes=10))

    # --- search

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
        if not self._segments.count_rows() or (contents is not None and not contents):
            return []
        query = self._query(vector, words)
        if contents is not None:
            query = query.where(_within("content_id", contents), prefilter=True)
        rows = query.limit(4 * count).to_arrow().to_pylist()
        return _grouped([as_segment(row) for row in rows])[:count]

    def _query(self, vector: NDArray[np.float32] | None, words: str | None) -> Any:  # noqa: ANN401
        """Return LanceDB's query: by vector, by words, or both, fused by reciprocal rank."""
        if vector is None:
            return self._segments.search(words, query_type="fts", fts_columns="text")
        if words is None:
            query = self._segments.search(vector, vector_column_name="vector")
        else:
            query = self._segments.search(
                query_type="hybrid", vector_column_name="vector", fts_columns="text"
            )
            query = query.vector(vector).text(words).rerank(RRFReranker())
        return query.distance_type("cosine").nprobes(_PROBES).refine_factor(_REFINE)

    # --- care

    def problems(self) -> list[str]:
        """Return what does not fit together, one line each; empty for a sound library."""
        files = self.files()
        keys = [row.key for row in files]
        found = [f"file {row.path}: stands there twice" for row in files if keys.count(row.key) > 1]
        rows = self._segments.search().select(["key", "content_id"]).limit(None).to_arrow()
        segment_keys = rows["key"].to_pylist()
        doubled = len(segment_keys) - len(set(segment_keys))
        if doubled:
            found.append(f"segments: {doubled} stand there twice")
        shown = {row.content_id for row in files}
        contents = set(rows["content_id"].to_pylist())
        found += [f"segments of {one}: belong to no file" for one in sorted(contents - shown)]
        return found + [
            f"file {row.path}: is indexed but has no segment"
            for row in files
            if row.state == "indexed" and row.content_id not in contents
        ]

    def export(self) -> pa.Table:
        """Return all segments with the files that show them, vectors and pictures included."""
        paths: dict[str, list[str]] = {}
        for row in self.files():
            paths.setdefault(row.content_id, []).append(printable(self.path(row)))
        table = self._segments.to_arrow()
        shown = [paths.get(one, []) for one in table["content_id"].to_pylist()]
        return table.append_column("videos", pa.array(shown, pa.list_(pa.string())))

    def num_segments(self) -> int:
        """Return how many segments there are."""
        return int(self._segments.count_rows())

    def size_bytes(self) -> int:
        """Return the bytes on disk, features not counted: they are in the feature cache."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


def _within(column: str, values: Collection[str]) -> str:
    """Return the SQL condition that a column holds one of some hexadecimal values."""
    return f"{column} IN ({', '.join(repr(value) for value in sorted(values))})"


def _delete(table: Any, column: str, values: Sequence[str]) -> None:  # noqa: ANN401
    """Delete the rows of some values."""
    for start in range(0, len(values), 500):
        table.delete(_within(column, values[start : start + 500]))


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
