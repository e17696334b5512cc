"""Feature cache: one LanceDB row per video and sampling contract; no video is encoded twice."""

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
    LATER_COLUMNS,
    PLAIN_COLUMNS,
    SCHEMA,
    CachedVideo,
    as_table,
    as_videos,
    filled,
    stored_type,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    import pyarrow as pa


_DATABASE, _TABLE = "videos.lancedb", "features"
_BLOB = "payload"
_ROWS_AT_ONCE = 64
"""Largest number of rows per fetch, which limits the memory that a fetch takes."""
_MOST_VERSIONS = 64
"""Number of table versions above which a writer compacts the table.

Every commit adds a version. Compaction rewrites all payloads, so it must not happen often.
"""


@dataclass(frozen=True)
class CacheReport:
    """Result of `FeatureCache.verify`."""

    rows: int
    """Number of rows in the table."""
    bad_keys: tuple[str, ...]
    """Keys of rows with other bytes than were written."""
    doubled_keys: tuple[str, ...]
    """Keys that more than one row has."""


class FeatureCache:
    """Table of cached videos in a folder.

    One process at a time writes, under a lock; any number of processes read. Rows become visible
    in commits, so a killed process loses at most the rows of one commit.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        # An interval of 0: every read sees the latest commit of any process.
        self._database = lancedb.connect(
            str(folder / _DATABASE), read_consistency_interval=timedelta(0)
        )
        self._table = self._open()
        self._row_ids: dict[str, int] = {}
        self._version = -1  # version of the table that `_row_ids` belongs to; none yet

    @property
    def table_folder(self) -> Path:
        """Folder of the table on disk."""
        return self.folder / _DATABASE / f"{_TABLE}.lance"

    def _open(self) -> Any:  # noqa: ANN401 - lancedb's table
        """Return the table; it is created under the lock if it is missing.

        Raises:
            IncompatibleError: For a table with another schema.
            ResourceError: If another process holds the lock for a minute.
        """
        if not (self.table_folder / "_versions").exists():
            with self._lock(timeout_seconds=60):
                # Another process may have created it while this one waited for the lock.
                if not (self.table_folder / "_versions").exists():
                    return self._create()
        table = self._database.open_table(_TABLE)
        missing = set(PLAIN_COLUMNS) - set(LATER_COLUMNS) - set(table.schema.names)
        if missing:
            raise IncompatibleError(
                f"{self.table_folder}: lacks columns {sorted(missing)}; it was made by another "
                "version, so remove the folder and run 'vl cache build' again"
            )
        return table

    def _create(self) -> Any:  # noqa: ANN401
        """Return a new, empty table.

        Stable row ids stay the same when the table is compacted. Lance does not enforce the
        primary key; `CacheWriter` skips keys that are already stored.
        """
        table = self._database.create_table(
            _TABLE,
            schema=SCHEMA.append(lancedb.blob(_BLOB)),
            storage_options={"new_table_enable_stable_row_ids": "true"},
        )
        table.set_unenforced_primary_key("key")
        return table

    def _lock(self, timeout_seconds: float = 0) -> AbstractContextManager[None]:
        """Return the writer's lock as a context manager.

        Raises:
            ResourceError: If another process holds it.
        """
        refusal = f"{self.folder}: another process is writing this cache; wait until it ends"
        return locked(self.folder / ".writer.lock", refusal, timeout_seconds)

    def keys(self) -> frozenset[str]:
        """Return the keys of all rows."""
        self._refresh()
        return frozenset(self._row_ids)

    def __contains__(self, key: str) -> bool:
        self._refresh()
        return key in self._row_ids

    def _refresh(self) -> None:
        """Read the row ids of all keys if the table has changed; of duplicates the first counts."""
        version = self._table.version
        if version != self._version:
            rows = self._scan(["key"])
            pairs = zip(rows["key"].to_pylist(), rows["_rowid"].to_pylist(), strict=True)
            self._row_ids = {}
            for key, row_id in pairs:
                self._row_ids.setdefault(key, row_id)
            self._version = version

    def _scan(self, columns: list[str]) -> pa.Table:
        """Return some columns of all rows, with row ids; no payload is read."""
        return self._table.search().select(columns).with_row_id(True).limit(None).to_arrow()

    def _present(self, columns: list[str]) -> list[str]:
        """Return those of some columns that the table has; older caches lack later columns."""
        names = set(self._table.schema.names)
        return [name for name in columns if name in names]

    def get(self, keys: Sequence[str]) -> list[CachedVideo]:
        """Return the rows of some keys, in that order.

        Raises:
            KeyError: For a key without a row.
        """
        videos = self.find(keys)
        return [videos[key] for key in keys]

    def find(self, keys: Iterable[str]) -> dict[str, CachedVideo]:
        """Return the rows of those keys that have one, by key.

        Up to 64 rows of one shape share one block of memory.
        """
        self._refresh()
        known = [key for key in dict.fromkeys(keys) if key in self._row_ids]
        videos: list[CachedVideo] = []
        for start in range(0, len(known), _ROWS_AT_ONCE):
            videos += self._fetch(known[start : start + _ROWS_AT_ONCE])
        return dict(zip(known, videos, strict=True))

    def about(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return shape, grid and times of those keys that have a row, by key, without payloads."""
        wanted = set(keys)
        columns = ["key", "shape", "grid", "pts_seconds", "group_seconds", *LATER_COLUMNS]
        rows = filled(self._scan(self._present(columns)))
        return {row["key"]: row for row in rows if row["key"] in wanted}

    def _fetch(self, keys: Sequence[str]) -> list[CachedVideo]:
        """Return the rows of a few distinct keys, in that order."""
        ids = [self._row_ids[key] for key in keys]
        # LanceDB returns plain columns in storage order, but blobs in the order of the ids.
        columns = self._present(PLAIN_COLUMNS)
        plain = filled(self._table.take_row_ids(ids).select(columns).to_arrow())
        by_key = {row["key"]: row for row in plain}
        # Payloads are read in parts, straight into the arrays of the videos.
        payloads = self._table.fetch_blob_files(_BLOB, ids)
        return as_videos([by_key[key] for key in keys], payloads)

    @contextmanager
    def writer(self, commit_videos: int = 32) -> Iterator[CacheWriter]:
        """Hold the lock and yield a writer; commit what it has received, even after an error.

        Raises:
            ResourceError: If another process is writing.
        """
        with self._lock():
            self.sweep()
            later = [SCHEMA.field(name) for name in LATER_COLUMNS]
            new = [field for field in later if not self._present([field.name])]
            if new:
                self._table.add_columns(new)
            writer = CacheWriter(self, commit_videos)
            try:
                yield writer
            finally:
                writer.commit()
                if len(self._table.list_versions()) > _MOST_VERSIONS:
                    # Readers may still be using a version of the last minute.
                    self._optimize(timedelta(minutes=1))

    def add(self, videos: Sequence[CachedVideo]) -> None:
        """Commit rows; the caller holds the lock and has left out keys that are stored."""
        self._table.add(as_table(videos, _BLOB))

    def remove(self, keys: Sequence[str]) -> None:
        """Delete the rows of some keys."""
        with self._lock():
            # In parts, which limits the length of the SQL condition.
            for start in range(0, len(keys), 500):
                names = ", ".join(f"'{key}'" for key in keys[start : start + 500])
                self._table.delete(f"key IN ({names})")

    def verify(self) -> CacheReport:
        """Read all payloads and compare them with the checksums of what was written."""
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
        """Rewrite the table without gaps, old versions and leftovers.

        No process may read the cache meanwhile, since the version that it reads is deleted.
        """
        with self._lock():
            self.sweep()
            self._optimize(timedelta(0))

    def sweep(self) -> list[Path]:
        """Remove and return temporary files of killed writers; the caller holds the lock."""
        leftovers = [path for path in self.table_folder.rglob(".tmp*") if path.is_file()]
        for path in leftovers:
            path.unlink()
        return leftovers

    def _optimize(self, keep: timedelta) -> None:
        """Compact the table, and delete versions that are older than `keep`.

        `delete_unverified` also deletes files of commits that a killed writer never finished. This
        is safe, since the caller holds the lock.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="optimize", category=UserWarning)
            self._table.optimize(cleanup_older_than=keep, delete_unverified=True)

    def size_bytes(self) -> int:
        """Return the size of the table on disk (bytes)."""
        return sum(path.stat().st_size for path in self.table_folder.rglob("*") if path.is_file())


class CacheWriter:
    """Writer that collects videos and commits them in groups; it skips keys that are stored."""

    def __init__(self, cache: FeatureCache, commit_videos: int) -> None:
        self._cache = cache
        self._commit_videos = commit_videos
        self._known = set(cache.keys())
        self._pending: list[CachedVideo] = []

    def put(self, video: CachedVideo) -> None:
        """Add one video; nothing happens if its key is stored already."""
        if video.key in self._known:
            return
        self._known.add(video.key)
        self._pending.append(video)
        if len(self._pending) >= self._commit_videos:
            self.commit()

    def commit(self) -> None:
        """Commit the videos collected so far."""
        if self._pending:
            self._cache.add(self._pending)
            self._pending = []
