"""Migration of libraries to the current layout: copy the tables, then replace the manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lancedb
import pyarrow as pa

from videolatent_cli.store.library import DATABASE, MANIFEST
from videolatent_cli.store.library_rows import (
    FILES,
    VERSION,
    Manifest,
    read_manifest,
    segments_schema,
)

if TYPE_CHECKING:
    from pathlib import Path

_EARLIER_NAMES = {
    "transcript": "said",
    "is_whole_video": "whole",
    "subtitles_digest": "beside",
}
"""Name in layouts 1 and 2 of each column that layout 3 has renamed."""


def migrate(folder: Path) -> bool:
    """Convert a library to the current layout; return whether there was anything to do.

    A process killed at any moment leaves either the old library or the new one, since replacing
    the manifest is one step. The caller holds the lock.

    Raises:
        IncompatibleError: If a newer program wrote the library.
    """
    path = folder / MANIFEST
    stored = read_manifest(path)
    if stored["version"] >= VERSION:
        return False
    manifest = _current(stored)
    database = lancedb.connect(str(folder / DATABASE))
    # Incomplete copies that a killed migration left have the new names: they are no sources.
    new = (manifest.files_table, manifest.segments_table)
    old = [name for name in database.list_tables().tables if name not in new]
    files, segments = (next(n for n in old if n.startswith(part)) for part in ("files", "segments"))
    _copy(database, files, manifest.files_table, FILES)
    _copy(database, segments, manifest.segments_table, segments_schema(manifest.dim))
    manifest.write(path)
    for name in old:
        database.drop_table(name)
    return True


def _current(stored: dict[str, Any]) -> Manifest:
    """Return the manifest of an older layout, converted to the current layout.

    Layout 2 separated the embedder from the descriptions; layout 3 renamed columns.
    """
    if stored["version"] == 1:
        embedder, _, descriptions = stored["embedder"].partition(" of descriptions by ")
        stored |= {"descriptions": descriptions, "embedder": embedder, "embedder_spec": "lexical"}
    return Manifest.of(stored | {"version": VERSION})


def _copy(database: Any, source: str, target: str, schema: pa.Schema) -> None:  # noqa: ANN401 - lancedb's
    """Copy a table in batches; columns that the source lacks are texts and become empty."""
    copy = database.create_table(target, schema=schema, mode="overwrite")
    for batch in database.open_table(source).search().limit(None).to_batches():
        columns = [_column(batch, name) for name in schema.names]
        copy.add(pa.Table.from_arrays(columns, schema=schema))


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    """Return a column by its current or its earlier name; empty texts if it has neither."""
    for known in (name, _EARLIER_NAMES.get(name)):
        if known in batch.schema.names:
            return batch[known]
    return pa.array([""] * len(batch))
