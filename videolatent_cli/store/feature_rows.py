"""Rows of the feature cache: their columns, and their way to and from Arrow."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from videolatent_cli.errors import ResourceError
from videolatent_cli.recipe.resolved import digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lancedb._blob import BlobFile
    from numpy.typing import NDArray


def cache_key(
    content_id: str, window: tuple[float | None, float | None], sampling_hash: str, fingerprint: str
) -> str:
    """Return 32 hexadecimal digits for (content, part of the video, contract, encoder)."""
    return digest([content_id, list(window), sampling_hash, fingerprint], 32)


SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("content_id", pa.string()),
        pa.field("sampling_hash", pa.string()),
        pa.field("fingerprint", pa.string()),
        pa.field("source", pa.string()),
        pa.field("shape", pa.list_(pa.int32())),
        pa.field("dtype", pa.string()),
        pa.field("grid", pa.list_(pa.int32())),
        pa.field("pts_seconds", pa.list_(pa.float64())),
        pa.field("group_seconds", pa.list_(pa.float64())),
        pa.field("checksum", pa.int64()),
    ]
)
PLAIN_COLUMNS = list(SCHEMA.names)
_READ_BYTES = 2 << 20
"""What is read of a payload at a time; the fastest of 0.25 to 8 MB."""


@dataclass(frozen=True)
class CachedVideo:
    """What the cache keeps of one video: features or frames, with where they come from."""

    key: str
    content_id: str
    sampling_hash: str
    fingerprint: str
    """Backbone fingerprint, or the name of the tier for frames."""
    source: str
    """File name when it was encoded; only for people to read."""
    dtype: str
    """Type of the values; `bfloat16` is kept as uint16."""
    grid: tuple[int, ...]
    pts_seconds: NDArray[np.float64]
    group_seconds: NDArray[np.float64]
    array: NDArray[Any]


def raw_bytes(array: NDArray[Any]) -> memoryview:
    """Return the bytes of an array, without a copy where it is contiguous."""
    return memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def stored_type(name: str) -> np.dtype[Any]:
    """Return the type that values are stored as."""
    return np.dtype(np.uint16 if name == "bfloat16" else name)


def as_videos(rows: list[dict[str, Any]], payloads: Sequence[BlobFile]) -> list[CachedVideo]:
    """Return rows with their payloads, read straight into one block for each shape.

    Raises:
        ResourceError: For a payload of another size than the values.
    """
    blocks: dict[tuple[Any, ...], list[int]] = {}
    for place, row in enumerate(rows):
        blocks.setdefault((row["dtype"], *row["shape"]), []).append(place)
    arrays: dict[int, NDArray[Any]] = {}
    for (dtype, *shape), places in blocks.items():
        block = np.empty((len(places), *shape), stored_type(dtype))
        for target, place in zip(block, places, strict=True):
            if payloads[place].size() != target.nbytes:
                raise ResourceError(
                    f"{rows[place]['key']}: its payload in the feature cache has "
                    f"{payloads[place].size()} of {target.nbytes} bytes; run 'vl cache verify'"
                )
            _fill(target, payloads[place])
            arrays[place] = target
    return [
        CachedVideo(
            key=row["key"],
            content_id=row["content_id"],
            sampling_hash=row["sampling_hash"],
            fingerprint=row["fingerprint"],
            source=row["source"],
            dtype=row["dtype"],
            grid=tuple(row["grid"]),
            pts_seconds=np.array(row["pts_seconds"]),
            group_seconds=np.array(row["group_seconds"]),
            array=arrays[place],
        )
        for place, row in enumerate(rows)
    ]


def _fill(array: NDArray[Any], payload: BlobFile) -> None:
    """Read a payload into an array, by parts, so that the memory of one serves for the next."""
    raw = raw_bytes(array)
    for start in range(0, len(raw), _READ_BYTES):
        part = raw[start : start + _READ_BYTES]
        part[:] = payload.read_range(start, len(part))


def as_table(videos: Sequence[CachedVideo], blob_column: str) -> pa.Table:
    """Return videos as an Arrow table, their payloads in `blob_column`."""
    payload = [raw_bytes(video.array) for video in videos]
    columns: dict[str, Any] = {
        "key": [v.key for v in videos],
        "content_id": [v.content_id for v in videos],
        "sampling_hash": [v.sampling_hash for v in videos],
        "fingerprint": [v.fingerprint for v in videos],
        "source": [v.source for v in videos],
        "shape": [list(v.array.shape) for v in videos],
        "dtype": [v.dtype for v in videos],
        "grid": [list(v.grid) for v in videos],
        "pts_seconds": [v.pts_seconds.tolist() for v in videos],
        "group_seconds": [v.group_seconds.tolist() for v in videos],
        "checksum": [zlib.crc32(raw) for raw in payload],
    }
    plain = pa.table(columns, schema=SCHEMA)
    return plain.append_column(blob_column, pa.array(payload, pa.large_binary()))
