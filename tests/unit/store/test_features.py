"""The feature cache on real LanceDB: order, identity, damage, locks, kills."""

import multiprocessing
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from tests.processes import wait_for
from tests.rows import cached_video, write_until_killed
from videolatent_cli.errors import IncompatibleError, ResourceError
from videolatent_cli.store import FeatureCache, feature_rows
from videolatent_cli.store import features as store_features


def fill(cache: FeatureCache, numbers: range, commit_videos: int = 3) -> None:
    with cache.writer(commit_videos) as writer:
        for number in numbers:
            writer.put(cached_video(number))


def test_rows_come_back_as_written_in_the_order_asked(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    fill(cache, range(10))
    order = [7, 0, 9, 3, 3]
    for number, row in zip(order, cache.get([f"k{n}" for n in order]), strict=True):
        wanted = cached_video(number)
        assert (row.key, row.grid, row.source) == (wanted.key, wanted.grid, wanted.source)
        assert np.array_equal(row.array, wanted.array)
        assert row.array.dtype == wanted.array.dtype
        assert np.array_equal(row.pts_seconds, wanted.pts_seconds)


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
    cache.add([cached_video(1)])
    with monkeypatch.context() as patch:
        patch.setattr(feature_rows.zlib, "crc32", lambda _: 1)
        cache.add([cached_video(8)])
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


@pytest.mark.slow
def test_kill_9_at_any_moment_loses_nothing_committed(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    seen: set[str] = set()

    def commits() -> int:
        return len(list(tmp_path.rglob("*.manifest")))

    for round_number in range(6):
        before = commits()
        process = spawn.Process(target=write_until_killed, args=(str(tmp_path),))
        process.start()
        wait_for(lambda: commits() > before + 1)  # noqa: B023
        time.sleep(0.13 * round_number)
        process.kill()
        process.join()
        cache = FeatureCache(tmp_path)
        report = cache.verify()
        assert report.bad_keys == report.doubled_keys == ()
        assert seen <= cache.keys()
        seen = set(cache.keys())
    assert seen
    cache.compact()
    assert not list(cache.table_folder.rglob(".tmp*"))
