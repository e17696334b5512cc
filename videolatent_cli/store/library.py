"""Library: an index of many video files and their segments, stored in LanceDB."""

from __future__ import annotations

import shlex
import tempfile
from collections import Counter
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lancedb
import pyarrow as pa
from loguru import logger

from videolatent_cli.errors import (
    DataError,
    IncompatibleError,
    SetupError,
    UsageError,
    printable,
)
from videolatent_cli.recipe import digest
from videolatent_cli.runtime.lock import locked
from videolatent_cli.store.library_rows import (
    FILES,
    FileRow,
    Manifest,
    as_file,
    files_table,
    segments_schema,
)
from videolatent_cli.store.segments import Segments, compact, delete

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

DATABASE, MANIFEST = "library.lancedb", "library.json"


def writing(folder: Path, *, wait: bool = False) -> AbstractContextManager[None]:
    """Return the writer's lock of a library as a context manager; it creates a missing folder.

    Choice: an object store has no locks. The lock of a library there is a local file, so it works
    between processes of this machine only.

    Args:
        folder: Folder of the library, which need not exist yet.
        wait: Whether to wait for another writer instead of raising an error.

    Raises:
        ResourceError: If another process holds the lock.
    """
    refusal = (
        f"{folder}: another process is writing this library; wait until it ends, or use --wait"
    )
    if isinstance(folder, Path):
        lock = folder / ".writer.lock"
    else:
        lock = Path(tempfile.gettempdir()) / f"videolatent-{digest(str(folder), 16)}.lock"
        logger.info("{}: locked on this machine only; do not write from other machines", folder)
    return locked(lock, refusal, -1 if wait else 0)


class Library:
    """Tables of files and segments in a folder.

    One process at a time writes, any number of processes read. The folder can be in an object
    store: it is then a path of universal-pathlib, which has the methods of `Path` used here.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        # An interval of 0: every read sees the latest commit of any process.
        self._database = lancedb.connect(
            str(folder / DATABASE), read_consistency_interval=timedelta(0)
        )
        self._files = self._table(manifest.files_table, FILES)
        segments = self._table(manifest.segments_table, segments_schema(manifest.dim))
        self.segments = Segments(segments, manifest.dim)

    @staticmethod
    def exists(folder: Path) -> bool:
        """Whether a folder contains a library, of any layout.

        Raises:
            SetupError: If an object store cannot be reached.
        """
        try:
            return (folder / MANIFEST).exists()
        except Exception as error:
            # Each object store has its own error classes; on disk an error is a bug.
            if isinstance(folder, Path):
                raise
            raise SetupError(
                f"{folder}: the object store cannot be reached ({error}); check its address and "
                "your credentials"
            ) from None

    @classmethod
    def open(cls, folder: Path) -> Library:
        """Return the library of a folder.

        Raises:
            DataError: If the folder contains no library.
            IncompatibleError: If the library has another layout.
        """
        if not cls.exists(folder):
            raise DataError(f"{folder}: contains no library; make one with: vl index FOLDER")
        return cls(folder, Manifest.read(folder / MANIFEST))

    @classmethod
    def create(cls, folder: Path, manifest: Manifest) -> Library:
        """Create an empty library and return it; the caller holds the lock."""
        manifest.write(folder / MANIFEST)
        return cls(folder, manifest)

    def check(self, **wanted: str) -> None:
        """Check fields of the manifest, given by name.

        Raises:
            IncompatibleError: If the library has another value for a field.
        """
        for name, value in wanted.items():
            stored = getattr(self.manifest, name) or "none"
            if stored != value:
                raise IncompatibleError(
                    f"{self.folder}: was made with {name} {stored}, got {value}; "
                    f"make a second library with: {self._index_command(wanted)}"
                )

    def _index_command(self, wanted: dict[str, str]) -> str:
        """Return the command that indexes the same folders with other values, into a new folder."""
        options = asdict(self.manifest) | wanted
        flags = {
            "library": f"{self.folder}-2",
            "segments": options["segments"],
            "embedder": options["embedder_spec"],
            "speech": options["speech"],
        }
        arguments = [
            part for name, value in flags.items() if value for part in (f"--{name}", value)
        ]
        return shlex.join(["vl", "index", *self.manifest.roots, *arguments])

    def _table(self, name: str, schema: Any) -> Any:  # noqa: ANN401 - lancedb's table
        """Return a table; an empty one is created if it is missing.

        Raises:
            IncompatibleError: If the table lacks columns.
        """
        table = self._database.create_table(name, schema=schema, exist_ok=True)
        missing = set(schema.names) - set(table.schema.names)
        if missing:
            raise IncompatibleError(
                f"{self.folder}: table {name} lacks columns {sorted(missing)}; remove the folder "
                "and run 'vl index' again"
            )
        return table

    def files(self) -> list[FileRow]:
        """Return all files, sorted by root and path."""
        rows = [as_file(row) for row in self._files.to_arrow().to_pylist()]
        return sorted(rows, key=lambda row: (row.root, row.raw_path))

    def path(self, file: FileRow) -> Path:
        """Return the path of a file, with its root."""
        return Path(self.manifest.roots[file.root]) / file.relative

    def keys_where(self, condition: str) -> set[str]:
        """Return the keys of the files for which an SQL condition on their columns is true.

        Raises:
            UsageError: If LanceDB cannot read the condition.
        """
        try:
            rows = self._files.search().where(condition).select(["key"]).limit(None).to_arrow()
        except (RuntimeError, ValueError, OSError) as error:
            reason = str(error).split(" Valid fields")[0].splitlines()[0]
            raise UsageError(
                f"--where: cannot be used, got '{condition}' ({reason}); columns are "
                f"{', '.join(FILES.names)}"
            ) from None
        return set(rows["key"].to_pylist())

    def set_roots(self, roots: tuple[str, ...]) -> None:
        """Store the folders that contain the files; the caller holds the lock."""
        if roots != self.manifest.roots:
            self.manifest = replace(self.manifest, roots=roots)
            self.manifest.write(self.folder / MANIFEST)

    def move_root(self, old: str, new: Path) -> None:
        """Replace the path of a root whose folder has moved; the caller holds the lock.

        Raises:
            DataError: If no root has the old path.
        """
        roots = self.manifest.roots
        if old not in roots:
            raise DataError(f"{self.folder}: has no root {old} (roots: {', '.join(roots)})")
        self.set_roots(tuple(str(new) if root == old else root for root in roots))

    def put_files(self, rows: Sequence[FileRow]) -> None:
        """Add files or overwrite those with the same key; the caller holds the lock."""
        if rows:
            merge = self._files.merge_insert("key")
            merge = merge.when_matched_update_all().when_not_matched_insert_all()
            merge.execute(files_table(rows))

    def remove_files(self, rows: Sequence[FileRow]) -> None:
        """Delete files, and segments that belong to no other file; the caller holds the lock."""
        delete(self._files, "key", [row.key for row in rows])
        self.sweep()

    def sweep(self) -> None:
        """Delete segments that belong to no file; the caller holds the lock.

        A writer that is killed between writing segments and their file leaves such segments.
        """
        self.segments.remove(self.segments.contents() - {row.content_id for row in self.files()})

    def finish(self) -> None:
        """Sweep, update the search indices and compact the tables; the caller holds the lock."""
        self.sweep()
        self.segments.finish()
        compact(self._files)

    def problems(self) -> list[str]:
        """Return the inconsistencies of the library, one line each; empty if there are none."""
        files = self.files()
        counts = Counter(row.key for row in files)
        problems = [f"file {row.path}: has duplicate rows" for row in files if counts[row.key] > 1]
        rows = self.segments.columns("key", "content_id")
        segment_keys = rows["key"].to_pylist()
        doubled = len(segment_keys) - len(set(segment_keys))
        if doubled:
            problems.append(f"segments: {doubled} duplicate rows")
        file_contents = {row.content_id for row in files}
        contents = set(rows["content_id"].to_pylist())
        orphans = sorted(contents - file_contents)
        problems += [f"segments of {content}: belong to no file" for content in orphans]
        return problems + [
            f"file {row.path}: is indexed but has no segment"
            for row in files
            if row.state == "indexed" and row.content_id not in contents
        ]

    def export(self) -> pa.Table:
        """Return all segments with vectors and thumbnails, and a column `videos` of their files."""
        paths: dict[str, list[str]] = {}
        for row in self.files():
            paths.setdefault(row.content_id, []).append(printable(self.path(row)))
        table = self.segments.everything()
        videos = [paths.get(content, []) for content in table["content_id"].to_pylist()]
        return table.append_column("videos", pa.array(videos, pa.list_(pa.string())))

    def size_bytes(self) -> int:
        """Return the size on disk (bytes), without features, which are in the feature cache."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
