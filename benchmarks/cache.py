"""The feature cache on LanceDB against one .npy file a video."""

import os
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.measure import compare, table
from videolatent_cli.store import CachedVideo, FeatureCache

VIDEOS, SHAPE, BATCH = 64, (1024, 2048), 16


def video(index: int, values: np.ndarray) -> CachedVideo:
    """One row of 4.2 MB."""
    times = np.arange(16) / 2
    return CachedVideo(
        f"k{index}", f"c{index}", "s", "f", "", "float16", (8, 16, 32), times, times[::2], values
    )


def run() -> str:
    """Measure and return the section."""
    random = np.random.default_rng(0)
    values = [random.standard_normal(SHAPE).astype(np.float16) for _ in range(VIDEOS)]
    with tempfile.TemporaryDirectory() as folder:
        return _measure(Path(folder), values)


def _measure(folder: Path, values: list[np.ndarray]) -> str:
    count = 0

    def write_npy() -> None:
        nonlocal count
        place = folder / f"npy{count}"
        place.mkdir()
        for index, array in enumerate(values):
            with (place / f"{index}.npy").open("wb") as file:
                np.save(file, array)
                file.flush()
                os.fsync(file.fileno())

    def write_lance() -> None:
        nonlocal count
        with FeatureCache(folder / f"lance{count}").writer(32) as writer:
            for index, array in enumerate(values):
                writer.put(video(index, array))
        count += 1

    written = compare({"npy": write_npy, "ours": write_lance}, 3)
    cache = FeatureCache(folder / "lance0")
    cache.compact()
    order = np.random.default_rng(1)

    def read_npy() -> None:
        batch = np.empty((BATCH, *SHAPE), np.float16)
        for row, index in zip(batch, order.permutation(VIDEOS)[:BATCH], strict=True):
            row[:] = np.load(folder / "npy0" / f"{index}.npy")

    def read_lance() -> None:
        cache.get([f"k{i}" for i in order.permutation(VIDEOS)[:BATCH]])

    read_lance()
    read = compare({"npy": read_npy, "ours": read_lance}, 15)
    payload = sum(array.nbytes for array in values)
    bars = [
        [
            "write, wall, over .npy",
            "3.5",
            f"{written['ours'].wall_seconds / written['npy'].wall_seconds:.2f}",
        ],
        [
            "random read of 16 into one batch, CPU, over .npy",
            "2.0",
            f"{read['ours'].cpu_seconds / read['npy'].cpu_seconds:.2f}",
        ],
        ["size over payload, compacted", "1.01", f"{cache.size_bytes() / payload:.3f}"],
    ]
    rows = [
        [what, name, f"{1000 * c.wall_seconds:.0f}", f"{1000 * c.cpu_seconds:.0f}"]
        for what, costs in ((f"write {VIDEOS}", written), ("read 16", read))
        for name, c in costs.items()
    ]
    return (
        f"## Feature cache\n\n{VIDEOS} videos of {SHAPE[0]}x{SHAPE[1]} float16 (4.2 MB each). "
        "`python -m benchmarks cache`\n\n"
        + table(["bar", "at most", "measured"], bars)
        + "\n\n"
        + table(["work", "store", "wall ms", "CPU ms"], rows)
    )
