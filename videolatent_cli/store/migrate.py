"""Libraries of an older layout, brought up to date: tables are copied, then the manifest swaps."""

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


def migrate(folder: Path) -> bool:
    """Bring a library to this program's layout; whether there was anything to do.

    Killed at any moment, it leaves the old library or the new one. The caller holds the lock.

    Raises:
        IncompatibleError: Where a newer program wrote it.
    """
    path = folder / MANIFEST
    stored = read_manifest(path)
    if stored["version"] >= VERSION:
        return False
    manifest = _second(stored)
    database = lancedb.connect(str(folder / DATABASE))
    new = (manifest.files_table, manifest.segments_table)  # half-made, where a run was killed
    old = [name for name in database.list_tables().tables if name not in new]
    files, segments = (next(n for n in old if n.startswith(part)) for part in ("files", "segments"))
    _copy(database, files, manifest.files_table, FILES)
    _copy(database, segments, manifest.segments_table, segments_schema(manifest.dim))
    manifest.write(path)
    for name in old:
        database.drop_table(name)
    return True


def _second(stored: dict[str, Any]) -> Manifest:
    """Return a manifest of layout 1 as one of layout 2: the embedder has a name of its own."""
    embedder, _, descriptions = stored["embedder"].partition(" of descriptions by ")
    own = {"descriptions": descriptions, "embedder": embedder, "embedder_spec": "lexical"}
    return Manifest.of(stored | own | {"version": 2})


def _copy(database: Any, source: str, target: str, schema: pa.Schema) -> None:  # noqa: ANN401 - lancedb's
    """Copy a table, some rows at a time; columns that it lacks are empty texts."""
    copy = database.create_table(target, schema=schema, mode="overwrite")
    for batch in database.open_table(source).search().limit(None).to_batches():
        columns = [
            batch[name] if name in batch.schema.names else pa.array([""] * len(batch))
            for name in schema.names
        ]
        copy.add(pa.Table.from_arrays(columns, schema=schema))
