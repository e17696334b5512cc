"""Sampling of frames from 1080p files: our decoder, PyAV, OpenCV and decord2 in one run."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import decord
import numpy as np

from benchmarks.measure import Cost, compare, table
from videolatent_cli.video import decode
from videolatent_cli.video.decode import decode_frames
from videolatent_cli.video.ffmpeg import ffmpeg_binary
from videolatent_cli.video.info import read_info
from videolatent_cli.video.sampling import SamplingSpec

SIZE = (420, 224)
LENGTHS = {"10 s": 0, "1 min": 5, "10 min": 59, "1 h": 359}
"""Number of repetitions of the 10-second clip for each length of file."""


def spec(frames: int) -> SamplingSpec:
    """Return the sampling contract of all measurements: the middle frame of each equal part."""
    return SamplingSpec(120.0, frames, frames, 4, SIZE[0] * SIZE[1], "ffmpeg", 28, 1)


def make_files(folder: Path) -> dict[tuple[str, str], Path]:
    """Write 1080p30 H.264 files; return them by length and key frame distance."""
    files = {}
    for name, gop in (("short GOP", 30), ("long GOP", 250)):
        clip = folder / f"{gop}.mp4"
        source = "testsrc2=size=1920x1080:rate=30:duration=10,noise=alls=8:allf=t"
        command = [ffmpeg_binary(), "-nostdin", "-loglevel", "error", "-y", "-f", "lavfi"]
        command += ["-i", source, "-c:v", "libx264", "-preset", "veryfast", "-b:v", "4M"]
        command += ["-g", str(gop), "-keyint_min", str(gop), "-sc_threshold", "0"]
        subprocess.run([*command, "-pix_fmt", "yuv420p", str(clip)], check=True)
        for length, repeats in LENGTHS.items():
            if length == "1 h" and gop != 30:
                continue
            path = folder / f"{gop}-{length.replace(' ', '')}.mp4"
            loop = [ffmpeg_binary(), "-nostdin", "-loglevel", "error", "-y"]
            loop += ["-stream_loop", str(repeats), "-i", str(clip), "-c", "copy", str(path)]
            subprocess.run(loop, check=True)
            files[length, name] = path
    return files


def ours(path: Path, frames: int = 16) -> np.ndarray:
    """Return frames sampled with our planner."""
    return decode_frames(path, spec(frames)).data


def with_pyav(path: Path, frames: int = 16) -> None:
    """Sample with PyAV: seek if the gap is longer than 1.5 s, otherwise decode further."""
    times = spec(frames).times(read_info(path).duration_seconds)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        base = float(stream.time_base or 0)
        decoded = container.decode(stream)
        last = -1.0
        for time in times:
            if time - last > 1.5:
                container.seek(int(time / base), stream=stream)
                decoded = container.decode(stream)
            for frame in decoded:
                if frame.pts is not None and (frame.pts + 1) * base + 1 / 30 > time:
                    frame.reformat(*SIZE, format="rgb24", interpolation="BICUBIC").to_ndarray()
                    last = frame.pts * base
                    break


def with_opencv(path: Path, frames: int = 16) -> None:
    """Sample with OpenCV: set the position if the gap exceeds 150 frames, otherwise grab frames."""
    capture = cv2.VideoCapture(str(path))
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    at = 0
    for index in [int((i + 0.5) * count / frames) for i in range(frames)]:
        if index - at > 150:
            capture.set(cv2.CAP_PROP_POS_FRAMES, index)
            at = index
        while at <= index:
            capture.grab()
            at += 1
        cv2.resize(capture.retrieve()[1], SIZE, interpolation=cv2.INTER_CUBIC)
    capture.release()


def with_decord(path: Path, frames: int = 16) -> None:
    """Sample with decord2."""
    reader = decord.VideoReader(str(path), width=SIZE[0], height=SIZE[1])
    count = len(reader)
    reader.get_batch([int((i + 0.5) * count / frames) for i in range(frames)]).asnumpy()


def _forced(path: Path, cost_frames: int) -> Callable[[], None]:
    """Return a sampling with another seek cost: huge never seeks, negative always seeks."""

    def do() -> None:
        kept = decode._SEEK_COST_FRAMES
        decode._SEEK_COST_FRAMES = cost_frames
        try:
            ours(path)
        finally:
            decode._SEEK_COST_FRAMES = kept

    return do


def _against_peers(path: Path, rounds: int) -> dict[str, Cost]:
    """Return the cost of sampling one file with each engine."""
    return compare(
        {
            "ours": lambda: ours(path),
            "PyAV": lambda: with_pyav(path),
            "OpenCV": lambda: with_opencv(path),
            "decord2": lambda: with_decord(path),
        },
        rounds,
    )


def run() -> str:
    """Measure and return the section."""
    with tempfile.TemporaryDirectory() as folder:
        files = make_files(Path(folder))
        for path in files.values():
            read_info(path)
        return _measure(files)


def _peak_megabytes(path: Path) -> float:
    """Return the peak memory (MB) of ffmpeg in one sampling, measured in a new process."""
    code = (
        "import resource; from pathlib import Path; from benchmarks.decode import ours; "
        f"ours(Path({str(path)!r}), 64); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return int(done.stdout.split()[-1]) * 1024 / 1e6


def _measure(files: dict[tuple[str, str], Path]) -> str:
    """Return the section."""
    rows, verdicts = [], []
    cases = [("10 s", "long GOP", 5), ("10 min", "short GOP", 3), ("10 min", "long GOP", 3)]
    own: dict[str, float] = {}
    for length, gop, rounds in cases:
        costs = _against_peers(files[length, gop], rounds)
        own[f"{length} {gop}"] = costs["ours"].cpu_seconds
        best = min(c.cpu_seconds for n, c in costs.items() if n != "ours")
        rows += [
            [f"{length}, {gop}", name, f"{c.cpu_seconds:.2f}", f"{c.cpu_seconds / best:.2f}"]
            for name, c in costs.items()
        ]
        ratio = costs["ours"].cpu_seconds / best
        if gop == "short GOP":
            ratio = costs["ours"].cpu_seconds / costs["PyAV"].cpu_seconds
            verdicts.append(["10 min, 1 s key frames, over PyAV", "2.0", f"{ratio:.2f}"])
        else:
            verdicts.append([f"{length}, long GOP, over the fastest", "1.25", f"{ratio:.2f}"])
    worst = 0.0
    for (length, gop), path in files.items():
        # Linear decoding of ten minutes takes minutes and is never the faster way.
        if length in ("10 s", "1 min"):
            costs = compare(
                {
                    "plan": lambda path=path: ours(path),
                    "linear": _forced(path, 10**9),
                    "seek": _forced(path, -(10**9)),
                },
                3,
            )
            best = min(costs["linear"].cpu_seconds, costs["seek"].cpu_seconds)
            worst = max(worst, costs["plan"].cpu_seconds / best)
            rows += [
                [f"{length}, {gop}", f"ours, {n}", f"{c.cpu_seconds:.2f}", ""]
                for n, c in costs.items()
            ]
    verdicts.append(["planner over the better of linear and seek, worst", "1.25", f"{worst:.2f}"])
    hour = compare({"hour": lambda: ours(files["1 h", "short GOP"])}, 3)["hour"].cpu_seconds
    verdicts.append(["1 h over 10 min", "1.5", f"{hour / own['10 min short GOP']:.2f}"])
    peak = _peak_megabytes(files["10 s", "long GOP"])
    verdicts.append(["peak memory of an ffmpeg run (MB), 64 frames", "160", f"{peak:.0f}"])
    return (
        "## Decoding\n\nCPU seconds to sample 16 frames of 1080p30 H.264 at 420x224; medians of "
        "interleaved rounds. `python -m benchmarks decode`\n\n"
        + table(["measure", "at most", "measured"], verdicts)
        + "\n\n"
        + table(["file", "engine", "CPU s", "over the fastest peer"], rows)
    )
