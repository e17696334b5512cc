"""The feature cache on real LanceDB: order, identity, damage, locks, kills."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from filelock import FileLock

from videolatent_cli.errors import IncompatibleError, ResourceError
from videolatent_cli.store import CachedVideo, FeatureCache, cache_key, feature_rows
from videolatent_cli.store import features as store_features


def video(number: int, shape: tuple[int, ...] = (6, 4), dtype: str = "float32") -> CachedVideo:
    values = np.random.default_rng(number).integers(0, 255, shape)
    return CachedVideo(
        key=f"k{number}",
        content_id=f"c{number}",
        sampling_hash="s",
        fingerprint="f",
        source=f"{number}.mp4",
        dtype=dtype,
        grid=(1, 2, 3),
        pts_seconds=np.array([0.0, 0.1 * number]),
        group_seconds=np.array([0.05]),
        array=values.astype(np.uint16 if dtype == "bfloat16" else dtype),
    )


def fill(cache: FeatureCache, numbers: range, commit_videos: int = 3) -> None:
    with cache.writer(commit_videos) as writer:
        for number in numbers:
            writer.put(video(number))


def test_rows_come_back_as_written_in_the_order_asked(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    fill(cache, range(10))
    order = [7, 0, 9, 3, 3]
    for number, row in zip(order, cache.get([f"k{n}" for n in order]), strict=True):
        wanted = video(number)
        assert (row.key, row.grid, row.source) == (wanted.key, wanted.grid, wanted.source)
        assert np.array_equal(row.array, wanted.array)
        assert row.array.dtype == wanted.array.dtype
        assert np.array_equal(row.pts_seconds, wanted.pts_seconds)


def test_a_payload_larger_than_one_read_comes_back_whole(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    large = video(1, (5, 1 << 20))
    with cache.writer() as writer:
        writer.put(large)
    assert large.array.nbytes > 2 * feature_rows._READ_BYTES
    assert np.array_equal(cache.get(["k1"])[0].array, large.array)


def test_a_payload_of_another_size_is_one_clear_error(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    plain = feature_rows.as_table([video(1)], "payload")
    shape = plain.schema.get_field_index("shape")
    cache._table.add(
        plain.set_column(shape, plain.field(shape), pa.array([[6, 5]], pa.list_(pa.int32())))
    )
    with pytest.raises(ResourceError, match=r"k1: .* has 96 of 120 bytes; run 'vl cache verify'"):
        cache.get(["k1"])


def test_mixed_shapes_and_types_in_one_read(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    rows = [video(1), video(2, (3,)), video(3, (6, 4), "bfloat16"), video(4, (2, 5, 1), "uint8")]
    with cache.writer() as writer:
        for row in rows:
            writer.put(row)
    for row, back in zip(rows, cache.get([r.key for r in rows]), strict=True):
        assert np.array_equal(row.array, back.array)
        assert back.dtype == row.dtype


def test_rows_of_one_shape_share_one_block(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    fill(cache, range(4))
    rows = cache.get(["k3", "k1"])
    assert rows[0].array.base is rows[1].array.base


def test_known_keys_are_not_written_again(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    fill(cache, range(4))
    version = cache._table.version
    fill(cache, range(4))
    assert cache._table.version == version
    assert cache.verify().rows == 4
    assert "k2" in cache
    assert "k9" not in cache
    with pytest.raises(KeyError):
        cache.get(["k9"])


def test_a_second_handle_sees_new_rows(tmp_path: Path) -> None:
    first, second = FeatureCache(tmp_path), FeatureCache(tmp_path)
    assert not second.keys()
    fill(first, range(2))
    assert second.keys() == {"k0", "k1"}


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    with (
        FileLock(tmp_path / ".writer.lock"),
        pytest.raises(
            ResourceError, match="another process is writing this cache; wait until it ends"
        ),
        cache.writer(),
    ):
        pass


def test_verify_finds_damage_and_doubles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = FeatureCache(tmp_path)
    fill(cache, range(3))
    cache.add([video(1)])
    with monkeypatch.context() as patch:
        patch.setattr(feature_rows.zlib, "crc32", lambda _: 1)
        cache.add([video(8)])
    report = cache.verify()
    assert report.rows == 5
    assert report.bad_keys == ("k8",)
    assert report.doubled_keys == ("k1",)
    cache.remove(["k8", "k1"])
    assert cache.verify().bad_keys == ()
    assert cache.keys() == {"k0", "k2"}


def test_compact_keeps_rows_and_sweeps_leftovers(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    fill(cache, range(12), commit_videos=1)
    leftover = cache.table_folder / "data" / ".tmpAbCdEf"
    leftover.write_bytes(b"x" * 1000)
    before = {n: cache.get([f"k{n}"])[0].array.copy() for n in range(12)}
    cache.compact()
    assert not leftover.exists()
    assert len(cache._table.list_versions()) == 1
    for number, array in before.items():
        assert np.array_equal(cache.get([f"k{number}"])[0].array, array)


def test_versions_stay_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_features, "_MOST_VERSIONS", 5)
    cache = FeatureCache(tmp_path)
    fill(cache, range(12), commit_videos=1)
    assert cache._table.count_rows() == 12
    assert cache.size_bytes() > 0
    assert len(cache.keys()) == 12


def test_another_schema_is_refused(tmp_path: Path) -> None:
    import lancedb
    import pyarrow as pa

    lancedb.connect(str(tmp_path / "videos.lancedb")).create_table(
        "features", schema=pa.schema([pa.field("key", pa.string())])
    )
    with pytest.raises(IncompatibleError, match=r"lacks columns .* it was made by another version"):
        FeatureCache(tmp_path)


def _write_until_killed(folder: str) -> None:
    cache = FeatureCache(Path(folder))
    with cache.writer(2) as writer:
        for number in range(100_000):
            writer.put(video(number, (256, 256)))


@pytest.mark.slow
def test_kill_9_at_any_moment_loses_nothing_committed(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    seen: set[str] = set()
    for round_number in range(6):
        process = spawn.Process(target=_write_until_killed, args=(str(tmp_path),))
        process.start()
        deadline = time.monotonic() + 60
        while not (tmp_path / "videos.lancedb").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(2.5 + 0.13 * round_number)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        cache = FeatureCache(tmp_path)
        report = cache.verify()
        assert report.bad_keys == report.doubled_keys == ()
        assert seen <= cache.keys()
        seen = set(cache.keys())
    assert seen
    cache.compact()
    assert not list(cache.table_folder.rglob(".tmp*"))


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
