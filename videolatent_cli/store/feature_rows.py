"""Rows of the feature cache: their columns, and conversion to and from Arrow."""

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
    """Return the key of a row: a hash of content, part of the video, sampling and encoder.

    Args:
        content_id: Content of the video file.
        window: Start and end of the part (s); None: start or end of the video.
        sampling_hash: Hash of the sampling contract.
        fingerprint: Fingerprint of the encoder, or the name of the tier for frames.
    """
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
        pa.field("duration_seconds", pa.float64()),
    ]
)
PLAIN_COLUMNS = list(SCHEMA.names)
LATER_COLUMNS = ("duration_seconds",)
"""Columns that older caches lack; they are null in the rows of such a cache."""
_READ_BYTES = 2 << 20
"""Bytes of a payload per read; the fastest of the sizes from 0.25 to 8 MB."""


@dataclass(frozen=True)
class CachedVideo:
    """Row of the cache: the features or frames of one video or part, and their origin."""

    key: str
    """Key of the row, as made by `cache_key`."""
    content_id: str
    """Content of the video file."""
    sampling_hash: str
    """Hash of the sampling contract."""
    fingerprint: str
    """Fingerprint of the encoder, or the name of the tier for frames."""
    source: str
    """File name at the time of encoding; informative only."""
    dtype: str
    """Data type of the values; `bfloat16` is stored as uint16, since numpy lacks it."""
    grid: tuple[int, ...]
    """Numbers of frame groups, rows and columns of visual tokens; empty for frames."""
    pts_seconds: NDArray[np.float64]
    """Presentation times (s), shape (frame,)."""
    group_seconds: NDArray[np.float64]
    """Times of the frame groups (s), shape (group,); empty for frames."""
    array: NDArray[Any]
    """Features, or frames of shape (frame, height, width, 3)."""
    duration_seconds: float | None = None
    """Length of the whole video (s); None in rows of older caches."""


def filled(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows of a table; columns that an older cache lacks are None."""
    return [dict.fromkeys(LATER_COLUMNS) | row for row in table.to_pylist()]


def raw_bytes(array: NDArray[Any]) -> memoryview:
    """Return the bytes of an array; a contiguous array is not copied."""
    return memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def stored_type(name: str) -> np.dtype[Any]:
    """Return the numpy type that stores values of a data type."""
    return np.dtype(np.uint16 if name == "bfloat16" else name)


def as_videos(rows: list[dict[str, Any]], payloads: Sequence[BlobFile]) -> list[CachedVideo]:
    """Return rows with their payloads.

    Rows of one data type and shape share one block of memory, which payloads are read into.

    Raises:
        ResourceError: If the size of a payload does not fit its shape.
    """
    indices_by_shape: dict[tuple[Any, ...], list[int]] = {}
    for index, row in enumerate(rows):
        indices_by_shape.setdefault((row["dtype"], *row["shape"]), []).append(index)
    arrays: dict[int, NDArray[Any]] = {}
    for (dtype, *shape), indices in indices_by_shape.items():
        block = np.empty((len(indices), *shape), stored_type(dtype))
        for target, index in zip(block, indices, strict=True):
            if payloads[index].size() != target.nbytes:
                raise ResourceError(
                    f"{rows[index]['key']}: its payload in the feature cache has "
                    f"{payloads[index].size()} of {target.nbytes} bytes; run 'vl cache verify'"
                )
            _fill(target, payloads[index])
            arrays[index] = target
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
            array=arrays[index],
            duration_seconds=row["duration_seconds"],
        )
        for index, row in enumerate(rows)
    ]


def _fill(array: NDArray[Any], payload: BlobFile) -> None:
    """Read a payload into an array in parts, so that only one part is in memory twice."""
    raw = raw_bytes(array)
    for start in range(0, len(raw), _READ_BYTES):
        part = raw[start : start + _READ_BYTES]
        part[:] = payload.read_range(start, len(part))


def as_table(videos: Sequence[CachedVideo], blob_column: str) -> pa.Table:
    """Return videos as an Arrow table, with the payloads in `blob_column`."""
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
        "duration_seconds": [v.duration_seconds for v in videos],
    }
    plain = pa.table(columns, schema=SCHEMA)
    return plain.append_column(blob_column, pa.array(payload, pa.large_binary()))
