"""Contents of a library: its manifest, one row per file, one row per segment."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from videolatent_cli.errors import IncompatibleError, printable
from videolatent_cli.recipe.resolved import digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


VERSION = 3
"""Version of the library layout. Newer libraries are refused, older ones are migrated."""

State = Literal["pending", "indexed", "failed", "vanished"]
"""State of a file in a library.

Choice: a file changes from pending to indexed or failed in one commit, so there is no state between
them. Only the feature cache knows whether the features of a file are stored.
"""

FILES = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("root", pa.int32()),
        pa.field("path", pa.string()),
        pa.field("raw_path", pa.binary()),
        pa.field("content_id", pa.string()),
        pa.field("size_bytes", pa.int64()),
        pa.field("modified_ns", pa.int64()),
        pa.field("duration_seconds", pa.float64()),
        pa.field("state", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("subtitles_digest", pa.string()),
        pa.field("notes", pa.string()),
    ]
)


def segments_schema(dim: int) -> pa.Schema:
    """Return the columns of the segments table, for search vectors of length `dim`."""
    return pa.schema(
        [
            pa.field("key", pa.string(), nullable=False),
            pa.field("content_id", pa.string()),
            pa.field("start_seconds", pa.float64()),
            pa.field("end_seconds", pa.float64()),
            pa.field("is_whole_video", pa.bool_()),
            pa.field("description", pa.string()),
            pa.field("transcript", pa.string()),
            pa.field("text", pa.string()),
            pa.field("thumbnail", pa.binary()),
            pa.field("vector", pa.list_(pa.float32(), dim)),
        ]
    )


@dataclass(frozen=True)
class FileRow:
    """File row: a video file below one of the roots of the library."""

    root: int
    """Index of the root in the manifest."""
    raw_path: bytes
    """Path relative to the root, in the bytes of the file system."""
    size_bytes: int
    modified_ns: int
    """Modification time; with the size it shows whether the file has changed."""
    state: State
    content_id: str = ""
    """Content of the file; empty as long as the file has not been read."""
    duration_seconds: float = 0.0
    reason: str = ""
    """Error message of a failed file; empty otherwise."""
    subtitles_digest: str = ""
    """Digest of the subtitle files in the same folder; empty if there are none."""
    notes: str = ""
    """Notes of the user on the file, a JSON object; empty if there are none."""

    @property
    def path(self) -> str:
        """Path relative to the root, as printable text: non-UTF-8 bytes are escaped."""
        return printable(self.relative)

    @property
    def key(self) -> str:
        """Key of the row: a hash of root and path."""
        return digest([self.root, self.raw_path.hex()], 32)

    @property
    def relative(self) -> Path:
        """Path relative to the root, for opening the file."""
        return Path(os.fsdecode(self.raw_path))


@dataclass(frozen=True)
class SegmentRow:
    """Segment row: a part of one content; all copies of a file share its segments."""

    content_id: str
    start_seconds: float
    end_seconds: float
    is_whole_video: bool
    """Whether the segment is the whole video; it then uses the cached features of the video."""
    description: str
    """Description of the segment, written by the backbone."""
    transcript: str
    """Speech in the segment: its subtitles, or recognised speech."""
    text: str
    """Text for the search by words: description, transcript, file names and notes."""
    vector: NDArray[np.float32]
    """Search vector of unit length, shape (dim,)."""
    thumbnail: bytes | None = None
    """JPEG bytes; None if the features were cached already, so that nothing was decoded."""

    @property
    def window(self) -> tuple[float | None, float | None]:
        """Start and end of the segment (s) as the window of a clip."""
        return (None, None) if self.is_whole_video else (self.start_seconds, self.end_seconds)

    @property
    def key(self) -> str:
        """Key of the row: a hash of content, start and end."""
        return digest([self.content_id, self.start_seconds, self.end_seconds], 32)


@dataclass(frozen=True)
class Manifest:
    """Manifest: settings that all rows of a library share, and the folders of its files."""

    sampling: str
    """Hash of the sampling contract."""
    fingerprint: str
    """Fingerprint of the encoder of the features."""
    segments: str
    """Rule that cuts videos into segments, such as `fixed:10s`."""
    descriptions: str
    """Backbone and prompts that describe segments."""
    embedder: str
    """Identity of the embedder of search vectors; it changes with the files of its model."""
    embedder_spec: str
    """Value of `--embedder` that selects this embedder."""
    dim: int
    """Length of the search vectors."""
    model: dict[str, str]
    """Backbone and run that the library was made with; informative only."""
    speech: str = ""
    """Folder of the speech recognition model; empty: subtitles only."""
    roots: tuple[str, ...] = ()
    """Folders that contain the files; `FileRow.root` is an index of this."""
    version: int = VERSION
    """Version of the layout."""

    @property
    def files_table(self) -> str:
        """Name of the files table."""
        return f"files_{self.version}"

    @property
    def segments_table(self) -> str:
        """Name of the segments table; it differs for segments that were made in another way."""
        made_by = [self.embedder, self.descriptions, self.sampling, self.segments]
        return f"segments_{digest([*made_by, self.version])}"

    def write(self, path: Path) -> None:
        """Write the manifest in one step, so that no reader sees a part of it.

        An object store writes in one step itself; on disk a temporary file is renamed.
        """
        text = json.dumps({"schema": "vl.library/1", **asdict(self)}, indent=2)
        if not isinstance(path, Path):
            path.write_text(text, encoding="utf-8")
            return
        part = path.with_name(path.name + ".part")
        part.write_text(text, encoding="utf-8")
        part.replace(path)

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Return the manifest of a library.

        Raises:
            IncompatibleError: If the layout is not the current one, or the file is no manifest.
        """
        stored = read_manifest(path)
        version = stored["version"]
        if version > VERSION:
            raise IncompatibleError(
                f"{path}: has layout {version}, this version reads {VERSION}; "
                "update videolatent-cli"
            )
        if version < VERSION:
            raise IncompatibleError(
                f"{path}: has layout {version}, this version reads {VERSION}; update the library "
                f"with: vl library migrate -L {path.parent}"
            )
        return cls.of(stored)

    @classmethod
    def of(cls, stored: dict[str, Any]) -> Manifest:
        """Return the manifest of a JSON document of the current layout."""
        fields = {key: value for key, value in stored.items() if key != "schema"}
        return cls(**fields | {"roots": tuple(fields["roots"])})


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the JSON document of a manifest of any layout.

    Raises:
        IncompatibleError: If the file is no manifest.
    """
    try:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        stored["version"] = int(stored["version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IncompatibleError(
            f"{path}: is not a library manifest ({error}); index into another folder"
        ) from None
    return stored


def files_table(rows: Sequence[FileRow]) -> pa.Table:
    """Return file rows as an Arrow table."""
    documents = [{"key": row.key, "path": row.path, **asdict(row)} for row in rows]
    return pa.Table.from_pylist(documents, schema=FILES)


def as_file(row: dict[str, Any]) -> FileRow:
    """Return a file row from its columns."""
    return FileRow(**{name: row[name] for name in FileRow.__dataclass_fields__})


def segments_table(rows: Sequence[SegmentRow], dim: int) -> pa.Table:
    """Return segment rows as an Arrow table."""
    documents = [{"key": row.key, **vars(row), "vector": row.vector.tolist()} for row in rows]
    return pa.Table.from_pylist(documents, schema=segments_schema(dim))


def as_segment(row: dict[str, Any]) -> SegmentRow:
    """Return a segment row from its columns; vector and thumbnail are empty if not read."""
    vector = np.array(row.get("vector", ()), np.float32)
    plain = {
        name: row[name]
        for name in SegmentRow.__dataclass_fields__
        if name not in ("vector", "thumbnail")
    }
    return SegmentRow(**plain, vector=vector, thumbnail=row.get("thumbnail"))


@dataclass(frozen=True)
class Hit:
    """Search hit: a segment, and its near duplicates."""

    segment: SegmentRow
    near_duplicates: tuple[SegmentRow, ...] = field(default=())
    """Worse segments that show nearly the same, best first."""
