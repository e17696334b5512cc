"""Inspect and maintain a library: `vl library`."""

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
    """Content and settings of a library."""

    folder: Path
    states: dict[str, int]
    """Number of files by state."""
    seconds: float
    """Total length of the indexed files, including copies."""
    segments: int
    """Number of segments."""
    size_bytes: int
    """Size on disk, without cached features."""
    roots: tuple[str, ...]
    """Folders that the file paths are relative to."""
    made_with: dict[str, str]
    """Settings that the library was made with."""
    failed: dict[str, str]
    """Reasons by path, for files that cannot be read."""

    def document(self) -> dict[str, Any]:
        """Return the JSON document `vl.library-status/1`."""
        return {"schema": "vl.library-status/1", **vars(self), "folder": str(self.folder)}


def library_status(folder: Path) -> LibraryStatus:
    """Return the content and settings of a library: `vl library status`."""
    library = Library.open(folder)
    files = library.files()
    manifest = library.manifest
    return LibraryStatus(
        folder=folder,
        states=dict(Counter(row.state for row in files)),
        seconds=sum(row.duration_seconds for row in files if row.state == "indexed"),
        segments=len(library.segments),
        size_bytes=library.size_bytes(),
        roots=manifest.roots,
        made_with={
            **manifest.model,
            "segments": manifest.segments,
            "sampling": manifest.sampling,
            "descriptions": manifest.descriptions,
            "embedder": manifest.embedder,
        },
        failed={printable(library.path(row)): row.reason for row in files if row.state == "failed"},
    )


def library_files(folder: Path) -> list[tuple[Path, FileRow]]:
    """Return all files of a library with their full paths: `vl library ls`."""
    library = Library.open(folder)
    return [(library.path(row), row) for row in library.files()]


def show_file(folder: Path, path: Path) -> dict[str, Any]:
    """Return one file and its segments as `vl.library-file/1`: `vl library show`.

    Raises:
        DataError: If the file is not in the library.
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
                "start_seconds": segment.start_seconds,
                "end_seconds": segment.end_seconds,
                "description": segment.description,
                "transcript": segment.transcript,
            }
            for segment in segments
        ],
    }


def remove_from_library(folder: Path, paths: list[Path], *, dry_run: bool) -> int:
    """Remove files from a library and return their number: `vl library rm`.

    The video files themselves are not touched.

    Raises:
        DataError: If one of them is not in the library.
    """
    library = Library.open(folder)
    with writing(folder):
        rows = _rows_of(library, paths)
        if not dry_run:
            library.remove_files(rows)
            library.finish()
    return len(rows)


def _rows_of(library: Library, paths: list[Path]) -> list[FileRow]:
    """Return the rows of files, or of all files below folders.

    Raises:
        DataError: If a path is not in the library.
    """
    files = [(library.path(row), row) for row in library.files()]
    all_rows: list[FileRow] = []
    for path in paths:
        wanted = path.absolute()
        rows = [row for file, row in files if file == wanted or wanted in file.parents]
        if not rows:
            raise DataError(f"{path}: not in {library.folder}; 'vl library ls' lists its files")
        all_rows += rows
    return all_rows


def migrate_library(folder: Path) -> bool:
    """Bring a library to the current layout and return whether it changed: `vl library migrate`.

    Raises:
        DataError: If there is no library.
    """
    if not Library.exists(folder):
        Library.open(folder)  # raises the error for a missing library
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
    """Return the inconsistencies of a library, one line each: `vl library verify`."""
    return Library.open(folder).problems()


def relocate_library(folder: Path, old: str, new: Path) -> None:
    """Replace a root, after its files have moved to another folder: `vl library relocate`.

    Raises:
        DataError: If no root has the old name, or if the new folder is missing.
    """
    if not new.is_dir():
        raise DataError(f"{new}: is not a folder; name the folder that contains the files now")
    with writing(folder):
        Library.open(folder).move_root(old, new.absolute())


def export_library(folder: Path, out: Path) -> int:
    """Write all segments with their files and return their number: `vl library export`.

    Raises:
        DataError: For a file name that ends neither in `.parquet` nor in `.jsonl`.
    """
    library = Library.open(folder)
    table = library.export()
    part = out.with_name(out.name + ".part")  # renamed when complete
    if out.suffix == ".parquet":
        pq.write_table(table, part)
    elif out.suffix == ".jsonl":
        without_pictures = table.drop_columns(["thumbnail"])  # JSON cannot store bytes
        lines = (json.dumps(row, ensure_ascii=False) for row in without_pictures.to_pylist())
        part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    else:
        raise DataError(f"{out}: must end in .parquet or .jsonl, got '{out.suffix}'")
    part.replace(out)
    return int(table.num_rows)
