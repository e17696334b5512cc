"""Documents about libraries."""

from typing import Any, Literal

from pydantic import Field

from docs_build.documents.part import Part


class IndexDocument(Part):
    """Result of indexing, printed by `vl index --json`; with `--watch` once per pass."""

    schema_: Literal["vl.index/1"] = Field(alias="schema")
    library: str
    """Folder of the library."""
    new: int
    """Number of files that were indexed, including copies of known ones."""
    unchanged: int
    """Number of files that were skipped because size and time are known."""
    failed: dict[str, str]
    """Reason why a file could not be read this time, by path."""
    vanished: int
    """Number of files that are gone since the last run."""
    segments: int
    """Number of segments in the library now."""
    seconds: float
    """Duration of the command (s)."""


class SearchHit(Part):
    """One moment of a library that fits a query."""

    video: str
    """Path of the video."""
    copies: list[str]
    """Paths of further files with the same content."""
    video_id: str
    """Content id of the video."""
    start_seconds: float
    """Start of the segment (s)."""
    end_seconds: float
    """End of the segment (s)."""
    score: float
    """Score in [0, 1]; its meaning depends on the library's embedder."""
    near_duplicates: int
    """Number of further segments that show nearly the same."""
    description: str
    """Description of the segment by the model."""
    transcript: str
    """Subtitles or speech of the segment."""


class SearchDocument(Part):
    """Moments that fit a query, best first, printed by `vl search --json`."""

    schema_: Literal["vl.search/1"] = Field(alias="schema")
    query: str
    """Query; empty if a picture was searched for."""
    hits: list[SearchHit]
    """One object per moment."""


class LibraryStatusDocument(Part):
    """Contents of a library in numbers, printed by `vl library status --json`."""

    schema_: Literal["vl.library-status/1"] = Field(alias="schema")
    folder: str
    """Folder of the library."""
    states: dict[str, int]
    """Number of files by state: `pending`, `indexed`, `failed`, `vanished`."""
    seconds: float
    """Total duration of all indexed files, including copies (s)."""
    segments: int
    """Number of segments."""
    size_bytes: int
    """Size of the library on disk, without features (bytes)."""
    roots: list[str]
    """Folders below which the files are."""
    made_with: dict[str, str]
    """Contract of the library: `backbone`, `run`, `segments`, `sampling`, `descriptions`,
    `embedder`."""
    failed: dict[str, str]
    """Reason why a file cannot be read, by path."""


class LibraryFileEntry(Part):
    """One file of a library."""

    video: str
    """Path of the file."""
    state: Literal["pending", "indexed", "failed", "vanished"]
    """State of the file."""
    duration_seconds: float
    """Duration (s); 0 until the file is indexed."""


class LibraryFilesDocument(Part):
    """All files of a library, printed by `vl library ls --json`."""

    schema_: Literal["vl.library-files/1"] = Field(alias="schema")
    files: list[LibraryFileEntry]
    """One object per file."""


class LibrarySegment(Part):
    """One segment of a file."""

    start_seconds: float
    """Start (s)."""
    end_seconds: float
    """End (s)."""
    description: str
    """Description of the segment by the model."""
    transcript: str
    """Subtitles or speech of the segment."""


class LibraryFileDocument(Part):
    """One file of a library with its segments, printed by `vl library show`."""

    schema_: Literal["vl.library-file/1"] = Field(alias="schema")
    video: str
    """Path of the file."""
    video_id: str
    """Content id of the file; empty until it is read."""
    state: Literal["pending", "indexed", "failed", "vanished"]
    """State of the file."""
    reason: str
    """Reason why the file cannot be read; else empty."""
    duration_seconds: float
    """Duration (s); 0 until the file is indexed."""
    notes: dict[str, Any]
    """Columns of `vl index --metadata` for this file."""
    segments: list[LibrarySegment]
    """One object per segment, in the order of time."""


class LibraryDocument(Part):
    """Contract and roots of a library, stored as `library.json` in its folder."""

    schema_: Literal["vl.library/1"] = Field(alias="schema")
    sampling: str
    """Hash of the sampling contract."""
    fingerprint: str
    """Hash of the encoder of the features."""
    segments: str
    """Rule that cuts videos into segments, such as `fixed:10s`."""
    descriptions: str
    """Backbone and prompts of the descriptions."""
    embedder: str
    """Identity of the embedder; changes with the files of its model."""
    embedder_spec: str
    """Embedder as `--embedder` names it."""
    dim: int
    """Length of the search vectors."""
    model: dict[str, str]
    """`backbone` and `run` of the contract; for information only."""
    speech: str
    """Folder of the speech model; empty: subtitles only."""
    roots: list[str]
    """Folders below which the files are."""
    version: int
    """Version of the layout of the tables."""
