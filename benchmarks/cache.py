"""Feature cache on LanceDB, compared with one .npy file per video."""

import os
import tempfile
from itertools import count
from pathlib import Path

import numpy as np

from benchmarks.measure import Cost, compare, table
from videolatent_cli.store import CachedVideo, FeatureCache

VIDEOS, SHAPE, BATCH = 64, (1024, 2048), 16


def video(index: int, values: np.ndarray) -> CachedVideo:
    """Return a cache row of 4.2 MB."""
    times = np.arange(16) / 2
    return CachedVideo(
        f"k{index}", f"c{index}", "s", "f", "", "float16", (8, 16, 32), times, times[::2], values
    )


def run() -> str:
    """Measure and return the section."""
    random = np.random.default_rng(0)
    values = [random.standard_normal(SHAPE).astype(np.float16) for _ in range(VIDEOS)]
    with tempfile.TemporaryDirectory() as folder:
        written = _write(Path(folder), values)
        cache = FeatureCache(Path(folder) / "lance0")
        cache.compact()
        read = _read(Path(folder), cache)
        size = cache.size_bytes() / sum(array.nbytes for array in values)
    return _section(written, read, size)


def _write(folder: Path, values: list[np.ndarray]) -> dict[str, Cost]:
    """Return the cost of writing all videos to each store, into a new folder each time."""

    def write_npy(place: Path) -> None:
        place.mkdir()
        for index, array in enumerate(values):
            with (place / f"{index}.npy").open("wb") as file:
                np.save(file, array)
                file.flush()
                os.fsync(file.fileno())

    def write_lance(place: Path) -> None:
        with FeatureCache(place).writer(32) as writer:
            for index, array in enumerate(values):
                writer.put(video(index, array))

    npy, lance = count(), count()
    return compare(
        {
            "npy": lambda: write_npy(folder / f"npy{next(npy)}"),
            "ours": lambda: write_lance(folder / f"lance{next(lance)}"),
        },
        3,
    )


def _read(folder: Path, cache: FeatureCache) -> dict[str, Cost]:
    """Return the cost of reading a batch in random order from the first folder of each store."""
    order = np.random.default_rng(1)

    def read_npy() -> None:
        batch = np.empty((BATCH, *SHAPE), np.float16)
        for row, index in zip(batch, order.permutation(VIDEOS)[:BATCH], strict=True):
            row[:] = np.load(folder / "npy0" / f"{index}.npy")

    def read_lance() -> None:
        cache.get([f"k{i}" for i in order.permutation(VIDEOS)[:BATCH]])

    read_lance()
    return compare({"npy": read_npy, "ours": read_lance}, 15)


def _section(written: dict[str, Cost], read: dict[str, Cost], size: float) -> str:
    """Return the section; `size` is the size on disk over that of the payload."""
    write_ratio = written["ours"].wall_seconds / written["npy"].wall_seconds
    read_ratio = read["ours"].cpu_seconds / read["npy"].cpu_seconds
    bars = [
        ["write, wall, over .npy", "3.5", f"{write_ratio:.2f}"],
        ["random read of 16 into one batch, CPU, over .npy", "2.0", f"{read_ratio:.2f}"],
        ["size over payload, compacted", "1.01", f"{size:.3f}"],
    ]
    rows = [
        [what, name, f"{1000 * cost.wall_seconds:.0f}", f"{1000 * cost.cpu_seconds:.0f}"]
        for what, costs in ((f"write {VIDEOS}", written), ("read 16", read))
        for name, cost in costs.items()
    ]
    return (
        f"## Feature cache\n\n{VIDEOS} videos of {SHAPE[0]}x{SHAPE[1]} float16 (4.2 MB each), "
        "compared with one .npy file per video. `python -m benchmarks cache`\n\n"
        + table(["measure", "at most", "measured"], bars)
        + "\n\n"
        + table(["work", "store", "wall ms", "CPU ms"], rows)
    )
