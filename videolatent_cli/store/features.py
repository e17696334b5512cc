"""The feature cache: one LanceDB row a video and contract, so that nothing is encoded twice."""

from __future__ import annotations

import warnings
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lancedb
import numpy as np

from videolatent_cli.errors import IncompatibleError
from videolatent_cli.runtime.lock import locked
from videolatent_cli.store.feature_rows import (
    PLAIN_COLUMNS,
    SCHEMA,
    CachedVideo,
    as_table,
    as_videos,
    stored_type,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    import pyarrow as pa


_DATABASE, _TABLE = "videos.lancedb", "features"
_BLOB = "payload"
_ROWS_AT_ONCE = 64
"""Rows that are fetched at a time where many are wanted."""
_MOST_VERSIONS = 64
"""Versions of the table after which a writer compacts it; compaction rewrites all payloads."""


@dataclass(frozen=True)
class CacheReport:
    """What `verify` found."""

    rows: int
    bad_keys: tuple[str, ...]
    """Rows whose bytes are not those that were written."""
    doubled_keys: tuple[str, ...]


class FeatureCache:
    """A table of cached videos in a folder.

    One process writes at a time, under a lock; any number reads. Rows become visible in commits,
    so a kill loses at most the rows of one commit.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._database = lancedb.connect(
            str(folder / _DATABASE), read_consistency_interval=timedelta(0)
        )
        self._table = self._open()
        self._row_ids: dict[str, int] = {}
        self._version = -1

    @property
    def table_folder(self) -> Path:
        """Where the table lies on disk."""
        return self.folder / _DATABASE / f"{_TABLE}.lance"

    def _open(self) -> Any:  # noqa: ANN401 - lancedb's table
        """Return the table; made under the lock where it is missing.

        Raises:
            IncompatibleError: For a table of another schema.
        """
        if not (self.table_folder / "_versions").exists():
            with self._lock(timeout_seconds=60):
                if not (self.table_folder / "_versions").exists():
                    return self._create()
        table = self._database.open_table(_TABLE)
        missing = set(PLAIN_COLUMNS) - set(table.schema.names)
        if missing:
            raise IncompatibleError(
                f"{self.table_folder}: lacks columns {sorted(missing)}; it was made by another "
                "version, remove the folder and run 'vl cache build' again"
            )
        return table

    def _create(self) -> Any:  # noqa: ANN401
        """Return a new, empty table with stable row ids and an unenforced primary key."""
        table = self._database.create_table(
            _TABLE,
            schema=SCHEMA.append(lancedb.blob(_BLOB)),
            storage_options={"new_table_enable_stable_row_ids": "true"},
        )
        table.set_unenforced_primary_key("key")
        return table

    def _lock(self, timeout_seconds: float = 0) -> AbstractContextManager[None]:
        """Hold the writer's lock.

        Raises:
            ResourceError: Where another process holds it.
        """
        refusal = f"{self.folder}: another process writes this cache; wait for it to end"
        return locked(self.folder / ".writer.lock", refusal, timeout_seconds)

    def keys(self) -> frozenset[str]:
        """Return the keys of all rows."""
        self._refresh()
        return frozenset(self._row_ids)

    def __contains__(self, key: str) -> bool:
        self._refresh()
        return key in self._row_ids

    def _refresh(self) -> None:
        """Read which row holds which key, if the table has changed; the first of doubles counts."""
        version = self._table.version
        if version != self._version:
            rows = self._scan(["key"])
            pairs = zip(rows["key"].to_pylist(), rows["_rowid"].to_pylist(), strict=True)
            self._row_ids = {}
            for key, row_id in pairs:
                self._row_ids.setdefault(key, row_id)
            self._version = version

    def _scan(self, columns: list[str]) -> pa.Table:
        """Return plain columns of all rows, with row ids; payloads are not touched."""
        return self._table.search().select(columns).with_row_id(True).limit(None).to_arrow()

    def get(self, keys: Sequence[str]) -> list[CachedVideo]:
        """Return rows in the order asked, their values in one block of memory per shape.

        Raises:
            KeyError: For a key that is not there.
        """
        found = self.find(keys)
        return [found[key] for key in keys]

    def find(self, keys: Iterable[str]) -> dict[str, CachedVideo]:
        """Return those rows that are there, by key."""
        self._refresh()
        wanted = [key for key in dict.fromkeys(keys) if key in self._row_ids]
        found: list[CachedVideo] = []
        for start in range(0, len(wanted), _ROWS_AT_ONCE):
            found += self._fetch(wanted[start : start + _ROWS_AT_ONCE])
        return dict(zip(wanted, found, strict=True))

    def about(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return the plain columns of those rows that are there, by key; no payload is read."""
        wanted = set(keys)
        rows = self._scan(["key", "shape", "grid", "pts_seconds", "group_seconds"]).to_pylist()
        return {row["key"]: row for row in rows if row["key"] in wanted}

    def _fetch(self, keys: Sequence[str]) -> list[CachedVideo]:
        """Return a few different rows in the order asked."""
        ids = [self._row_ids[key] for key in keys]
        # Rows come back in storage order, files in the order asked.
        plain = self._table.take_row_ids(ids).select(PLAIN_COLUMNS).to_arrow().to_pylist()
        about = {row["key"]: row for row in plain}
        payloads = self._table.fetch_blob_files(_BLOB, ids)
        return as_videos([about[key] for key in keys], payloads)

    @contextmanager
    def writer(self, commit_videos: int = 32) -> Iterator[CacheWriter]:
        """Hold the lock and yield a writer; what is complete at the end is committed.

        Raises:
            ResourceError: Where another process writes.
        """
        with self._lock():
            self.sweep()
            writer = CacheWriter(self, commit_videos)
            try:
                yield writer
            finally:
                writer.commit()
                if len(self._table.list_versions()) > _MOST_VERSIONS:
                    self._optimize(timedelta(minutes=1))

    def add(self, videos: Sequence[CachedVideo]) -> None:
        """Commit rows; the caller holds the lock and has left out keys that are there."""
        self._table.add(as_table(videos, _BLOB))

    def remove(self, keys: Sequence[str]) -> None:
        """Delete rows."""
        with self._lock():
            for start in range(0, len(keys), 500):
                names = ", ".join(f"'{key}'" for key in keys[start : start + 500])
                self._table.delete(f"key IN ({names})")

    def verify(self) -> CacheReport:
        """Read every byte back and compare it with what was written."""
        rows = self._scan(["key", "shape", "dtype", "checksum"]).to_pylist()
        bad: list[str] = []
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = rows[start : start + _ROWS_AT_ONCE]
            blobs = self._table.fetch_blobs(_BLOB, [row["_rowid"] for row in part])
            for row, blob in zip(part, blobs, strict=True):
                raw = blob.as_buffer()
                size = int(np.prod(row["shape"])) * stored_type(row["dtype"]).itemsize
                if raw is None or raw.size != size or zlib.crc32(raw) != row["checksum"]:
                    bad.append(row["key"])
        keys = [row["key"] for row in rows]
        doubled = {key for key in keys if keys.count(key) > 1} if len(set(keys)) < len(keys) else ()
        return CacheReport(len(rows), tuple(bad), tuple(sorted(doubled)))

    def compact(self) -> None:
        """Rewrite the table without gaps, old versions and leftovers; nobody may read meanwhile."""
        with self._lock():
            self.sweep()
            self._optimize(timedelta(0))

    def sweep(self) -> list[Path]:
        """Remove temporary files that a killed writer left; the caller holds the lock."""
        leftovers = [path for path in self.table_folder.rglob(".tmp*") if path.is_file()]
        for path in leftovers:
            path.unlink()
        return leftovers

    def _optimize(self, keep: timedelta) -> None:
        """Compact, and drop versions older than `keep` with what killed writers left of them."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="optimize", category=UserWarning)
            self._table.optimize(cleanup_older_than=keep, delete_unverified=True)

    def size_bytes(self) -> int:
        """Return the bytes of the table on disk."""
        return sum(path.stat().st_size for path in self.table_folder.rglob("*") if path.is_file())


class CacheWriter:
    """Collects videos and commits them some at a time; keys that are there are passed over."""

    def __init__(self, cache: FeatureCache, commit_videos: int) -> None:
        self._cache = cache
        self._commit_videos = commit_videos
        self._known = set(cache.keys())
        self._waiting: list[CachedVideo] = []

    def put(self, video: CachedVideo) -> None:
        """Add one video."""
        if video.key in self._known:
            return
        self._known.add(video.key)
        self._waiting.append(video)
        if len(self._waiting) >= self._commit_videos:
            self.commit()

    def commit(self) -> None:
        """Make everything so far permanent."""
        if self._waiting:
            self._cache.add(self._waiting)
            self._waiting = []
