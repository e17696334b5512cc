"""What a library keeps: its manifest, one row a file, one row a segment."""

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
"""Of the layout: a newer library is refused, an older one is brought up to date."""

State = Literal["pending", "indexed", "failed", "vanished"]
"""Choice: a file goes from pending to indexed, or failed, in one commit, so that no state between
them is ever seen; that its features are there is what the feature cache knows."""

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
    """Return the columns of the segments of an embedder."""
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
    """One file below one of the library's roots."""

    root: int
    """Index of the root in the manifest."""
    raw_path: bytes
    """Path below the root, as the file system has it."""
    size_bytes: int
    modified_ns: int
    state: State
    content_id: str = ""
    duration_seconds: float = 0.0
    reason: str = ""
    """What is wrong with a file that failed."""
    subtitles_digest: str = ""
    """Digest of the subtitle files that lie beside it; empty without any."""
    notes: str = ""
    """What the user says of the file, a JSON object; empty without any."""

    @property
    def path(self) -> str:
        """The path below the root as text; bytes that are no UTF-8 are escaped."""
        return printable(self.relative)

    @property
    def key(self) -> str:
        """What names the row."""
        return digest([self.root, self.raw_path.hex()], 32)

    @property
    def relative(self) -> Path:
        """The path below the root, to open it."""
        return Path(os.fsdecode(self.raw_path))


@dataclass(frozen=True)
class SegmentRow:
    """A part of one content; copies of a file share it."""

    content_id: str
    start_seconds: float
    end_seconds: float
    is_whole_video: bool
    """Whether it is all of the video: its features are then those of the whole video."""
    description: str
    """What the model sees in it."""
    transcript: str
    """Its subtitles."""
    text: str
    """All that is searched by words."""
    vector: NDArray[np.float32]
    """Unit length."""
    thumbnail: bytes | None = None
    """JPEG; None where the video was cached before, and so not decoded again."""

    @property
    def window(self) -> tuple[float | None, float | None]:
        """The part as a clip's window."""
        return (None, None) if self.is_whole_video else (self.start_seconds, self.end_seconds)

    @property
    def key(self) -> str:
        """What names the row."""
        return digest([self.content_id, self.start_seconds, self.end_seconds], 32)


@dataclass(frozen=True)
class Manifest:
    """What a whole library agrees on, and where its files lie."""

    sampling: str
    """Hash of the sampling contract."""
    fingerprint: str
    """Of what makes the features."""
    segments: str
    """How videos are cut, such as `fixed:10s`."""
    descriptions: str
    """What is asked of which backbone to describe a segment."""
    embedder: str
    """What makes the search vectors; changes with the files of its model."""
    embedder_spec: str
    """How it is named on the command line."""
    dim: int
    """Length of the search vectors."""
    model: dict[str, str]
    """Backbone and run that the contract comes from, for people."""
    speech: str = ""
    """Folder of what writes down what is said; empty: subtitles only."""
    roots: tuple[str, ...] = ()
    version: int = VERSION

    @property
    def files_table(self) -> str:
        """Name of the files' table."""
        return f"files_{self.version}"

    @property
    def segments_table(self) -> str:
        """Name of the segments' table."""
        made_by = [self.embedder, self.descriptions, self.sampling, self.segments]
        return f"segments_{digest([*made_by, self.version])}"

    def write(self, path: Path) -> None:
        """Write the manifest as a whole: object stores do, on disk a temporary name is renamed."""
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
            IncompatibleError: Where another program wrote it, or where it cannot be read.
        """
        stored = read_manifest(path)
        version = stored["version"]
        if version > VERSION:
            raise IncompatibleError(
                f"{path}: has layout {version}, this program knows {VERSION}; update videolatent"
            )
        if version < VERSION:
            raise IncompatibleError(
                f"{path}: has layout {version}, this program reads {VERSION}; bring it up to date "
                f"with: vl library migrate -L {path.parent}"
            )
        return cls.of(stored)

    @classmethod
    def of(cls, stored: dict[str, Any]) -> Manifest:
        """Return a manifest from its JSON document."""
        known = {key: value for key, value in stored.items() if key != "schema"}
        return cls(**known | {"roots": tuple(known["roots"])})


def read_manifest(path: Path) -> dict[str, Any]:
    """Return a manifest of any layout as it is written.

    Raises:
        IncompatibleError: Where it is none.
    """
    try:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        stored["version"] = int(stored["version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IncompatibleError(
            f"{path}: is no manifest of a library ({error}); index into another folder"
        ) from None
    return stored


def files_table(rows: Sequence[FileRow]) -> pa.Table:
    """Return files as an Arrow table."""
    documents = [{"key": row.key, "path": row.path, **asdict(row)} for row in rows]
    return pa.Table.from_pylist(documents, schema=FILES)


def as_file(row: dict[str, Any]) -> FileRow:
    """Return a file from its columns."""
    return FileRow(**{name: row[name] for name in FileRow.__dataclass_fields__})


def segments_table(rows: Sequence[SegmentRow], dim: int) -> pa.Table:
    """Return segments as an Arrow table."""
    documents = [{"key": row.key, **vars(row), "vector": row.vector.tolist()} for row in rows]
    return pa.Table.from_pylist(documents, schema=segments_schema(dim))


def as_segment(row: dict[str, Any]) -> SegmentRow:
    """Return a segment from its columns; a column that was not read is empty."""
    vector = np.array(row.get("vector", ()), np.float32)
    plain = {
        name: row[name]
        for name in SegmentRow.__dataclass_fields__
        if name not in ("vector", "thumbnail")
    }
    return SegmentRow(**plain, vector=vector, thumbnail=row.get("thumbnail"))


@dataclass(frozen=True)
class Hit:
    """A segment that was found."""

    segment: SegmentRow
    near_duplicates: tuple[SegmentRow, ...] = field(default=())
    """Further hits that show nearly the same."""
