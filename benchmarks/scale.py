"""Large archives: an hour cut into segments, a million vectors, and estimates from both."""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.decode import SIZE, make_files, spec
from benchmarks.measure import compare, table
from videolatent_cli.pipeline.library.index import index
from videolatent_cli.pipeline.library.scan import IndexRequest
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.store.library import Library, writing
from videolatent_cli.store.library_rows import Manifest, SegmentRow
from videolatent_cli.video.decode import decode_frames

SEGMENT_SECONDS, FRAMES = 10.0, 16
WINDOWS = [(start, start + SEGMENT_SECONDS) for start in (40.0, 1210.0, 2430.0, 3550.0)]
VECTORS, DIM, CENTRES, QUERIES = 1_000_000, 256, 20_000, 60
ARCHIVE_HOURS = 1_000_000
TOKENS, WIDTH = 960, 3584
"""Number of visual tokens of 16 frames of 420x224 in Qwen2.5-VL-7B, and their width."""


def run() -> str:
    """Measure and return the section."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = make_files(folder)
        costs = compare(
            {
                "ours": lambda: _ours(files["1 h", "short GOP"]),
                "PyAV": lambda: _with_pyav(files["1 h", "short GOP"]),
                "OpenCV": lambda: _with_opencv(files["1 h", "short GOP"]),
            },
            3,
        )
        indexed = _index(folder, files["10 min", "short GOP"])
    code = "from benchmarks.scale import million; million()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    put, build, memory, disk, words, p50, recall = map(float, done.stdout.split())
    best = min(cost.cpu_seconds for name, cost in costs.items() if name != "ours")
    decode = costs["ours"].cpu_seconds / len(WINDOWS)
    segments = ARCHIVE_HOURS * 3600 / SEGMENT_SECONDS
    return (
        "## Scale\n\n"
        f"CPU seconds to sample {FRAMES} frames of one segment of {SEGMENT_SECONDS:g} s. Each is a "
        f"mean of {len(WINDOWS)} segments of one hour of 1080p30 with a key frame per second. "
        "`python -m benchmarks scale`\n\n"
        + table(
            ["engine", "CPU s per segment", "over the fastest peer (at most 1.25)"],
            [
                [name, f"{c.cpu_seconds / len(WINDOWS):.2f}", f"{c.cpu_seconds / best:.2f}"]
                for name, c in costs.items()
            ],
        )
        + f"\n\nA library of {VECTORS:,} synthetic vectors of {DIM} numbers around {CENTRES:,} "
        "centers, each with a line of text:\n\n"
        + table(
            ["measure", "measured"],
            [
                ["writing the rows", f"{put:.0f} s"],
                ["building both indices", f"{build:.0f} s"],
                ["peak memory, of which the vectors are 1.0 GB", f"{memory:.1f} GB"],
                ["size on disk", f"{disk / 1e9:.1f} GB"],
                ["search by vector, p50", f"{1000 * p50:.0f} ms"],
                ["search by vector and words, p50", f"{1000 * words:.0f} ms"],
                ["recall of the ten nearest", f"{recall:.3f}"],
            ],
        )
        + f"\n\n**Arithmetic, not measurement:** {ARCHIVE_HOURS:,} hours are {segments / 1e6:.0f} "
        f"million segments. The estimates scale the figures above, and {indexed:.2f} s per segment "
        "of `vl index` on a file of ten minutes:\n\n"
        + table(["work", "estimate"], _sums(segments, decode, indexed, put, build, disk))
    )


def _sums(
    segments: float, decode: float, indexed: float, put: float, build: float, disk: float
) -> list[list[str]]:
    """Return the estimates for an archive, in proportion to the measurements."""
    return [
        ["decoding", f"{segments * decode / 3600 / 1e3:,.0f} thousand core hours"],
        [
            "`vl index` with the embedded model",
            f"{segments * indexed / 3600 / 1e3:,.0f} thousand hours of 2 cores",
        ],
        [
            f"features of Qwen2.5-VL-7B, {TOKENS} tokens of {WIDTH:,} numbers of 2 bytes",
            f"{segments * TOKENS * WIDTH * 2 / 1e12:,.0f} TB",
        ],
        [
            "size of the library on disk, without pictures",
            f"{segments * disk / VECTORS / 1e12:.2f} TB",
        ],
        ["writing rows", f"{segments * put / VECTORS / 3600:.0f} hours"],
        ["building indices", f"{segments * build / VECTORS / 3600:.0f} hours"],
    ]


def _ours(path: Path) -> None:
    """Sample the windows with our planner."""
    for window in WINDOWS:
        decode_frames(path, spec(FRAMES), window)


def _times(window: tuple[float, float]) -> list[float]:
    """Return the times of the frames of a window (s)."""
    return [window[0] + (i + 0.5) * SEGMENT_SECONDS / FRAMES for i in range(FRAMES)]


def _with_pyav(path: Path) -> None:
    """Seek to each window and decode it."""
    for window in WINDOWS:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            base = float(stream.time_base or 0)
            container.seek(int(window[0] / base), stream=stream)
            decoded = container.decode(stream)
            for wanted in _times(window):
                for frame in decoded:
                    if frame.pts is not None and (frame.pts + 1) * base + 1 / 30 > wanted:
                        frame.reformat(*SIZE, format="rgb24", interpolation="BICUBIC").to_ndarray()
                        break


def _with_opencv(path: Path) -> None:
    """Set the position to each window and grab its frames."""
    for window in WINDOWS:
        capture = cv2.VideoCapture(str(path))
        at = int(window[0] * 30)
        capture.set(cv2.CAP_PROP_POS_FRAMES, at)
        for wanted in _times(window):
            while at <= int(wanted * 30):
                capture.grab()
                at += 1
            cv2.resize(capture.retrieve()[1], SIZE, interpolation=cv2.INTER_CUBIC)
        capture.release()


def _index(folder: Path, path: Path) -> float:
    """Return the seconds per segment of `vl index`."""
    request = IndexRequest((path,), folder / "library", f"fixed:{SEGMENT_SECONDS:g}s")
    report = index(request, Machine(folder / "cache", "cpu"))
    return report.seconds / report.segments


def million() -> None:
    """Print the cost of a library of many vectors; runs in its own process.

    The numbers are: seconds to write and to build, peak memory (GB), bytes on disk, median seconds
    of a search by vector and words and of one by vector, and recall@10.
    """
    random = np.random.default_rng(0)
    centres = random.standard_normal((CENTRES, DIM), dtype=np.float32)
    vectors = centres[random.integers(0, CENTRES, VECTORS)]
    vectors += 0.7 * random.standard_normal((VECTORS, DIM), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    manifest = Manifest("s", "f", "fixed:10s", "", "synthetic", "lexical", DIM, {})
    with tempfile.TemporaryDirectory() as name, writing(Path(name)):
        library = Library.create(Path(name), manifest)
        started = time.perf_counter()
        for start in range(0, VECTORS, 5000):
            library.segments.put([_row(i, vectors[i]) for i in range(start, start + 5000)])
        put = time.perf_counter() - started
        started = time.perf_counter()
        library.segments.finish()
        build = time.perf_counter() - started
        both, by_vector, recalls = [], [], []
        for i in random.integers(0, VECTORS, QUERIES):
            query = vectors[i] + 0.02 * random.standard_normal(DIM, dtype=np.float32)
            started = time.perf_counter()
            library.segments.search(10, query, f"clip {i}")
            both.append(time.perf_counter() - started)
            started = time.perf_counter()
            hits = library.segments.search(10, query)
            by_vector.append(time.perf_counter() - started)
            nearest = np.argpartition(-(vectors @ query), 10)[:10]
            numbers = {int(hit.segment.content_id, 16) for hit in hits}
            recalls.append(len(numbers & set(nearest.tolist())) / 10)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        figures = [statistics.median(both), statistics.median(by_vector), statistics.fmean(recalls)]
        print(put, build, memory, library.size_bytes(), *figures)


def _row(number: int, vector: NDArray[np.float32]) -> SegmentRow:
    """Return a synthetic segment with a line of text."""
    text = f"clip {number} of camera {number % 997}, part {number % 61}"
    return SegmentRow(f"{number:032x}", 0.0, 10.0, True, text, "", text, vector)
