"""Rows of the feature cache, in a module that processes of tests import fast."""

from pathlib import Path

import numpy as np

from videolatent_cli.store import CachedVideo, FeatureCache


def cached_video(
    number: int, shape: tuple[int, ...] = (6, 4), dtype: str = "float32"
) -> CachedVideo:
    """A row of the feature cache with random values."""
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


def write_until_killed(folder: str) -> None:
    """Write rows, two in each commit, for much longer than a test takes."""
    cache = FeatureCache(Path(folder))
    with cache.writer(2) as writer:
        for number in range(100_000):
            writer.put(cached_video(number, (256, 256)))
