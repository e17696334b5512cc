"""The length of a video is cached; caches of before it was stay valid."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from videolatent_cli.store import CachedVideo, FeatureCache
from videolatent_cli.store import feature_rows as rows_module
from videolatent_cli.store import features as features_module


def video(key: str, duration: float | None) -> CachedVideo:
    return CachedVideo(
        key=key,
        content_id="c",
        sampling_hash="s",
        fingerprint="f",
        source="v.mp4",
        dtype="float32",
        grid=(1, 2, 3),
        pts_seconds=np.arange(2.0),
        group_seconds=np.zeros(1),
        array=np.full((6, 4), ord(key), np.float32),
        duration_seconds=duration,
    )


def write(folder: Path, *videos: CachedVideo) -> None:
    with FeatureCache(folder).writer() as writer:
        for one in videos:
            writer.put(one)


def durations(cache: FeatureCache, keys: str) -> list[float | None]:
    about = cache.about(keys)
    assert [about[key]["duration_seconds"] for key in keys] == [
        row.duration_seconds for row in cache.get(list(keys))
    ]
    assert [row.array[0, 0] for row in cache.get(list(keys))] == [ord(key) for key in keys]
    return [row.duration_seconds for row in cache.get(list(keys))]


def test_the_length_of_a_video_is_kept(tmp_path: Path) -> None:
    write(tmp_path, video("a", 4.97), video("b", None))
    assert durations(FeatureCache(tmp_path), "ab") == [4.97, None]


def test_older_caches_are_read_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = pa.schema([field for field in rows_module.SCHEMA if field.name != "duration_seconds"])
    with monkeypatch.context() as patch:
        for module in (rows_module, features_module):
            patch.setattr(module, "SCHEMA", old)
            patch.setattr(module, "PLAIN_COLUMNS", list(old.names))
            patch.setattr(module, "LATER_COLUMNS", ())
        table = rows_module.as_table
        patch.setattr(
            features_module,
            "as_table",
            lambda videos, blob: table(videos, blob),
        )
        columns = pa.table
        patch.setattr(
            rows_module.pa,
            "table",
            lambda values, schema: columns({n: values[n] for n in schema.names}, schema=schema),
        )
        with FeatureCache(tmp_path).writer() as writer:
            writer.put(video("a", None))
    reader = FeatureCache(tmp_path)
    assert "duration_seconds" not in reader._table.schema.names
    assert durations(reader, "a") == [None]
    write(tmp_path, video("b", 2.5))
    assert durations(reader, "ab") == [None, 2.5]
    assert durations(FeatureCache(tmp_path), "ab") == [None, 2.5]
    assert FeatureCache(tmp_path).verify().bad_keys == ()
