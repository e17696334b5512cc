"""A library: what is known of many videos, in LanceDB."""

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
    """Hold the lock of a library's writer; the folder is made if it is missing.

    Choice: an object store has no locks, so the lock of a library there holds on this machine only.

    Args:
        folder: Where the library is, or will be.
        wait: Wait for another writer in place of giving up.

    Raises:
        ResourceError: Where another process holds it.
    """
    refusal = f"{folder}: another process writes this library; wait for it to end, or use --wait"
    if isinstance(folder, Path):
        lock = folder / ".writer.lock"
    else:
        lock = Path(tempfile.gettempdir()) / f"videolatent-{digest(str(folder), 16)}.lock"
        logger.info("{}: nothing keeps other machines from writing this library", folder)
    return locked(lock, refusal, -1 if wait else 0)


class Library:
    """Tables of files and segments in a folder; one process writes at a time, any number reads.

    The folder may lie in an object store: a path of universal-pathlib, which does what is needed of
    a `Path` here.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self._database = lancedb.connect(
            str(folder / DATABASE), read_consistency_interval=timedelta(0)
        )
        self._files = self._table(manifest.files_table, FILES)
        segments = self._table(manifest.segments_table, segments_schema(manifest.dim))
        self.segments = Segments(segments, manifest.dim)

    @staticmethod
    def exists(folder: Path) -> bool:
        """Whether a folder holds a library, of any layout.

        Raises:
            SetupError: Where an object store cannot be reached.
        """
        try:
            return (folder / MANIFEST).exists()
        except Exception as error:
            if isinstance(folder, Path):
                raise
            raise SetupError(
                f"{folder}: the object store cannot be reached ({error}); look at its address and "
                "at your credentials"
            ) from None

    @classmethod
    def open(cls, folder: Path) -> Library:
        """Return a library that is there.

        Raises:
            DataError: Where there is none.
            IncompatibleError: Where this program cannot read it.
        """
        if not cls.exists(folder):
            raise DataError(f"{folder}: holds no library; make one with: vl index FOLDER")
        return cls(folder, Manifest.read(folder / MANIFEST))

    @classmethod
    def create(cls, folder: Path, manifest: Manifest) -> Library:
        """Return a new, empty library; the caller holds the lock."""
        manifest.write(folder / MANIFEST)
        return cls(folder, manifest)

    def check(self, **wanted: str) -> None:
        """Check values of the manifest by name.

        Raises:
            IncompatibleError: Where the library was made with others.
        """
        for name, value in wanted.items():
            made = getattr(self.manifest, name) or "none"
            if made != value:
                raise IncompatibleError(
                    f"{self.folder}: was made with {name} {made}, now it would be {value}; make "
                    f"another with: {self._again(wanted)}"
                )

    def _again(self, wanted: dict[str, str]) -> str:
        """Return the command that makes this library anew, in a folder of its own."""
        options = asdict(self.manifest) | wanted
        named = {
            "library": f"{self.folder}-2",
            "segments": options["segments"],
            "embedder": options["embedder_spec"],
            "speech": options["speech"],
        }
        given = [part for name, value in named.items() if value for part in (f"--{name}", value)]
        return shlex.join(["vl", "index", *self.manifest.roots, *given])

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
            UsageError: Where LanceDB cannot read the condition.
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
        """Say below which folders the files lie; the caller holds the lock."""
        if roots != self.manifest.roots:
            self.manifest = replace(self.manifest, roots=roots)
            self.manifest.write(self.folder / MANIFEST)

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
        delete(self._files, "key", [row.key for row in rows])
        self.sweep()

    def sweep(self) -> None:
        """Forget segments of no file: a writer was killed before it wrote the file's row."""
        self.segments.remove(self.segments.contents() - {row.content_id for row in self.files()})

    def finish(self) -> None:
        """Sweep, bring indices up to date and compact; the caller holds the lock."""
        self.sweep()
        self.segments.finish()
        compact(self._files)

    def problems(self) -> list[str]:
        """Return what does not fit together, one line each; empty for a sound library."""
        files = self.files()
        counts = Counter(row.key for row in files)
        found = [f"file {row.path}: stands there twice" for row in files if counts[row.key] > 1]
        rows = self.segments.columns("key", "content_id")
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
        table = self.segments.everything()
        shown = [paths.get(one, []) for one in table["content_id"].to_pylist()]
        return table.append_column("videos", pa.array(shown, pa.list_(pa.string())))

    def size_bytes(self) -> int:
        """Return the bytes on disk, features not counted: they are in the feature cache."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
