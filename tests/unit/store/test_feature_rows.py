"""Rows of the feature cache: shapes, types, sizes, keys."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.rows import cached_video
from videolatent_cli.errors import ResourceError
from videolatent_cli.store import FeatureCache, cache_key, feature_rows


def test_a_payload_larger_than_one_read_comes_back_whole(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    large = cached_video(1, (5, 1 << 20))
    with cache.writer() as writer:
        writer.put(large)
    assert large.array.nbytes > 2 * feature_rows._READ_BYTES
    assert np.array_equal(cache.get(["k1"])[0].array, large.array)


def test_a_payload_of_another_size_is_one_clear_error(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    plain = feature_rows.as_table([cached_video(1)], "payload")
    shape = plain.schema.get_field_index("shape")
    cache._table.add(
        plain.set_column(shape, plain.field(shape), pa.array([[6, 5]], pa.list_(pa.int32())))
    )
    with pytest.raises(ResourceError, match=r"k1: .* has 96 of 120 bytes; run 'vl cache verify'"):
        cache.get(["k1"])


def test_mixed_shapes_and_types_in_one_read(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    rows = [
        cached_video(1),
        cached_video(2, (3,)),
        cached_video(3, (6, 4), "bfloat16"),
        cached_video(4, (2, 5, 1), "uint8"),
    ]
    with cache.writer() as writer:
        for row in rows:
            writer.put(row)
    for row, back in zip(rows, cache.get([r.key for r in rows]), strict=True):
        assert np.array_equal(row.array, back.array)
        assert back.dtype == row.dtype


def fill(cache: FeatureCache, numbers: range, commit_videos: int = 3) -> None:
    with cache.writer(commit_videos) as writer:
        for number in numbers:
            writer.put(cached_video(number))


def test_rows_of_one_shape_share_one_block(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    fill(cache, range(4))
    rows = cache.get(["k3", "k1"])
    assert rows[0].array.base is rows[1].array.base


def test_keys_change_with_every_part() -> None:
    key = cache_key("c", (None, 2.0), "s", "f")
    others = [
        cache_key("d", (None, 2.0), "s", "f"),
        cache_key("c", (1.0, 2.0), "s", "f"),
        cache_key("c", (None, 2.0), "t", "f"),
        cache_key("c", (None, 2.0), "s", "g"),
    ]
    assert len({key, *others}) == 5
    assert len(key) == 32
