"""`vl library`: what a library holds, and its care."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from videolatent_cli.errors import DataError, printable
from videolatent_cli.store.library import Library, writing
from videolatent_cli.store.migrate import migrate

if TYPE_CHECKING:
    from pathlib import Path

    from videolatent_cli.store.library_rows import FileRow


@dataclass(frozen=True)
class LibraryStatus:
    """What a library holds."""

    folder: Path
    states: dict[str, int]
    """Number of files by state."""
    seconds: float
    """Length of all indexed files, copies counted."""
    segments: int
    size_bytes: int
    roots: tuple[str, ...]
    made_with: dict[str, str]
    failed: dict[str, str]
    """Files that cannot be read, with the reason."""

    def document(self) -> dict[str, Any]:
        """Return the JSON document `vl.library-status/1`."""
        return {"schema": "vl.library-status/1", **vars(self), "folder": str(self.folder)}


def library_status(folder: Path) -> LibraryStatus:
    """Return what a library holds: `vl library status`."""
    library = Library.open(folder)
    files = library.files()
    made = library.manifest
    return LibraryStatus(
        folder=folder,
        states=dict(Counter(row.state for row in files)),
        seconds=sum(row.duration_seconds for row in files if row.state == "indexed"),
        segments=len(library.segments),
        size_bytes=library.size_bytes(),
        roots=made.roots,
        made_with={
            **made.model,
            "segments": made.segments,
            "sampling": made.sampling,
            "descriptions": made.descriptions,
            "embedder": made.embedder,
        },
        failed={printable(library.path(row)): row.reason for row in files if row.state == "failed"},
    )


def library_files(folder: Path) -> list[tuple[Path, FileRow]]:
    """Return all files of a library with where they lie: `vl library ls`."""
    library = Library.open(folder)
    return [(library.path(row), row) for row in library.files()]


def show_file(folder: Path, path: Path) -> dict[str, Any]:
    """Return one file with its segments, as `vl.library-file/1`: `vl library show`.

    Raises:
        DataError: Where the library does not know it.
    """
    library = Library.open(folder)
    (row,) = _rows_of(library, [path])
    segments = library.segments.of(row.content_id) if row.content_id else []
    return {
        "schema": "vl.library-file/1",
        "video": printable(library.path(row)),
        "video_id": row.content_id,
        "state": row.state,
        "reason": row.reason,
        "duration_seconds": row.duration_seconds,
        "notes": json.loads(row.notes) if row.notes else {},
        "segments": [
            {
                "start_seconds": one.start_seconds,
                "end_seconds": one.end_seconds,
                "description": one.description,
                "transcript": one.transcript,
            }
            for one in segments
        ],
    }


def remove_from_library(folder: Path, paths: list[Path], *, dry_run: bool) -> int:
    """Forget files and return how many; the files themselves stay: `vl library rm`.

    Raises:
        DataError: Where the library does not know one of them.
    """
    library = Library.open(folder)
    with writing(folder):
        rows = _rows_of(library, paths)
        if not dry_run:
            library.remove_files(rows)
            library.finish()
    return len(rows)


def _rows_of(library: Library, paths: list[Path]) -> list[FileRow]:
    """Return the rows of files, or of all files below folders."""
    files = [(library.path(row), row) for row in library.files()]
    found: list[FileRow] = []
    for path in paths:
        asked = path.absolute()
        rows = [row for at, row in files if at == asked or asked in at.parents]
        if not rows:
            raise DataError(f"{path}: not in {library.folder}; 'vl library ls' lists what is")
        found += rows
    return found


def migrate_library(folder: Path) -> bool:
    """Bring a library to today's layout; whether there was anything to do: `vl library migrate`.

    Raises:
        DataError: Where there is no library.
    """
    if not Library.exists(folder):
        Library.open(folder)
    with writing(folder):
        return migrate(folder)


def compact_library(folder: Path) -> int:
    """Rewrite a library without gaps and return the bytes freed: `vl library compact`."""
    library = Library.open(folder)
    with writing(folder):
        before = library.size_bytes()
        library.finish()
        return before - library.size_bytes()


def library_problems(folder: Path) -> list[str]:
    """Return what does not fit together in a library: `vl library verify`."""
    return Library.open(folder).problems()


def relocate_library(folder: Path, old: str, new: Path) -> None:
    """Say that the files below a root lie elsewhere now: `vl library relocate`.

    Raises:
        DataError: Where no root has the old name, or where the new folder is missing.
    """
    if not new.is_dir():
        raise DataError(f"{new}: is no folder; name where the files lie now")
    with writing(folder):
        Library.open(folder).move_root(old, new.absolute())


def export_library(folder: Path, out: Path) -> int:
    """Write all segments with their files and return how many: `vl library export`.

    Raises:
        DataError: For a file name that ends neither in `.parquet` nor in `.jsonl`.
    """
    library = Library.open(folder)
    table = library.export()
    part = out.with_name(out.name + ".part")
    if out.suffix == ".parquet":
        pq.write_table(table, part)
    elif out.suffix == ".jsonl":
        plain = table.drop_columns(["thumbnail"])
        lines = (json.dumps(row, ensure_ascii=False) for row in plain.to_pylist())
        part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    else:
        raise DataError(f"{out}: must end in .parquet or .jsonl, got '{out.suffix}'")
    part.replace(out)
    return int(table.num_rows)
