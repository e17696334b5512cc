"""Decoding of the frames at given moments of a video file.

The frame of a moment is the one on screen: the last frame whose presentation time is not later.
Packets are read first, without decoding, to find the times of these frames. ffmpeg then decodes
only what is needed, in one or a few runs, and reports the time of each frame that it returns. If
these times disagree with those of the packets, or those of the packets are known to be wrong, the
file is decoded from its start instead.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import ffmpeg
import numpy as np

from videolatent_cli.errors import VideoError
from videolatent_cli.video.clip import window_bounds
from videolatent_cli.video.clock import read_clocks, usual_gap
from videolatent_cli.video.content import file_version
from videolatent_cli.video.display import as_displayed, selected
from videolatent_cli.video.ffmpeg import INPUT, execute, last_error, reported_times
from videolatent_cli.video.frames import FrameBatch
from videolatent_cli.video.info import VideoInfo, opened, read_info
from videolatent_cli.video.resize import resized, scaled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from av.container import InputContainer
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

    from videolatent_cli.video.sampling import SamplingSpec

_SEEK_COST_FRAMES = 28
"""Cost of starting ffmpeg and its decoder, in decoded frames. Measured with ffmpeg 9."""
_RUNS_AT_ONCE = 2
"""Number of ffmpeg processes that decode one file in parallel."""
_ROUNDING_SECONDS = Fraction(1, 1_000_000)
"""A moment less than this before a frame counts as the time of that frame."""
_PACKETS_FOR_RATE = 100
"""Number of packets from which the frame rate is estimated."""
_MOST_REORDERED_FRAMES = 16
"""Largest number of frames that come before a frame in decoding order, but after it on screen.
Source: the bound of H.264 and HEVC; newer codecs have lower ones."""
_FRAMES_PER_RUN = 1000
"""Largest number of frames that one ffmpeg run selects, which bounds the length of its command.

Linux refuses arguments above 128 KiB; a frame takes about 70 bytes."""
_SEEK_SLACK_SECONDS = 0.002
"""Distance by which a seek aims past the first target frame, since ffmpeg's clock for seeks is
coarse. The seek lands on the last key frame before its aim, which may be the target itself. Frames
between the key frame and the target are decoded but not selected.
"""


@dataclass(frozen=True)
class _Target:
    """A frame to decode."""

    seconds: Fraction
    """Presentation time on the clock of the file."""
    lead_frames: int
    """Number of frames to decode from the key frame before it up to this frame, inclusive."""


def decode_frames(
    path: Path,
    spec: SamplingSpec,
    window: tuple[float | None, float | None] = (None, None),
    timeout_seconds: float = 300.0,
    info: VideoInfo | None = None,
) -> FrameBatch:
    """Return the frames that a sampling contract asks for, upright, resized, with square pixels.

    Args:
        path: The video file.
        spec: Sampling contract: moments and frame size.
        window: Start and end of the part to sample (s from the start of the video); None: start or
            end of the video.
        timeout_seconds: Longest time of one ffmpeg run (s).
        info: Result of `read_info` for the file, if the caller has it.

    Raises:
        VideoError: If the file cannot give exactly these frames.
        WindowError: If the part lies outside of the video.
    """
    info = info or read_info(path)
    times = spec.times(info.duration_seconds, window_bounds(path, window, info.duration_seconds))
    # Before the first frame and after the last one, these two are on screen.
    on_screen = np.clip(times, *info.picture_seconds)
    targets = _target_frames(info, on_screen)
    # Close moments can share a frame: decode it once.
    unique = sorted({t.seconds: t for t in targets}.values(), key=lambda t: t.seconds)
    request = _Request(info, spec, timeout_seconds)
    pictures = _decode_planned(request, unique) if info.stored_times else None
    pictures = pictures or _decode_linear(request, unique)
    data = np.stack([pictures[t.seconds] for t in targets])  # (frame, height, width, 3)
    pts = np.array([float(t.seconds) - info.start_seconds for t in targets])
    pts = np.where(times == on_screen, pts, times)  # a picture that stays is seen at the moment
    return FrameBatch(data, np.maximum(pts, 0.0), info.duration_seconds)


@dataclass(frozen=True)
class _Request:
    """Arguments that all ffmpeg runs on one file share."""

    info: VideoInfo
    spec: SamplingSpec
    timeout_seconds: float

    @property
    def sizes_px(self) -> tuple[tuple[int, int], ...]:
        """(width, height) of the pictures after each resizing step."""
        return self.spec.frame_sizes(*self.info.size_px)

    @property
    def resize_in_torch(self) -> bool:
        """Whether ffmpeg returns pictures of the original size, which torch then resizes."""
        return self.spec.resize == "torch"

    @property
    def decoded_size_px(self) -> tuple[int, int]:
        """(width, height) of the pictures that ffmpeg returns."""
        return self.info.size_px if self.resize_in_torch else self.sizes_px[-1]


def _target_frames(info: VideoInfo, times: NDArray[np.float64]) -> list[_Target]:
    """Return the frame on screen at each moment, found by the times of the packets."""
    with opened(info.path) as (container, stream):
        if info.seekable:
            return [_locate(container, stream, info, float(time)) for time in times]
    frame_times = _packet_times(info, file_version(info.path))
    targets = []
    for time in times:
        limit = Fraction(info.start_seconds + float(time)) + _ROUNDING_SECONDS
        index = max(bisect_right(frame_times, limit) - 1, 0)
        targets.append(_Target(frame_times[index], index + 1))
    return targets


@lru_cache(maxsize=8)
def _packet_times(info: VideoInfo, version: tuple[object, ...]) -> list[Fraction]:
    """Return the times of all packets of a file (s), sorted."""
    del version
    with opened(info.path) as (container, stream):
        return read_clocks(container, [stream])[0].times


def _locate(
    container: InputContainer, stream: VideoStream, info: VideoInfo, time: float
) -> _Target:
    """Return the frame on screen at a moment, from the packets after the key frame before it."""
    base = stream.time_base
    assert base is not None
    limit = Fraction(info.start_seconds + time) + _ROUNDING_SECONDS
    container.seek(int(limit / base), backward=True, stream=stream)
    best: Fraction | None = None
    count = lead = later = 0
    # Packets come in decoding order, and a later packet can be shown earlier (B-frames). MP4 stores
    # decoding times, and none is shown before its own. Those of Matroska are guesses, wrong after a
    # seek: there, no frame comes after more frames shown later than any codec allows.
    stores_decoding_times = "matroska" not in info.container
    for packet in container.demux(stream):
        if packet.pts is None:
            continue
        count += 1
        shown = packet.pts * base
        if not packet.is_discard and shown <= limit and (best is None or shown > best):
            best, lead = shown, count
        later += shown > limit
        decoded = packet.dts if stores_decoding_times else None
        if later > _MOST_REORDERED_FRAMES or (decoded is not None and decoded * base > limit):
            break
    if best is None:
        raise VideoError(f"{info.path}: has no frame at {time:.3f} s; the file is damaged there")
    return _Target(best, lead)


def _plan(info: VideoInfo, targets: Sequence[_Target]) -> list[list[_Target]]:
    """Return the targets in groups, one per ffmpeg run.

    A new run starts where seeking to a target costs less than decoding on to it, and where a run
    has as many targets as a command can name.
    """
    if not info.seekable:
        return _parts(targets)
    rate = _frames_per_second(info)
    runs: list[list[_Target]] = [[]]
    previous = Fraction(info.start_seconds)
    for target in targets:
        gap_frames = float(target.seconds - previous) * rate
        if gap_frames > target.lead_frames + _SEEK_COST_FRAMES:
            runs.append([])
        runs[-1].append(target)
        previous = target.seconds
    return [part for run in runs for part in _parts(run)]


def _parts(targets: Sequence[_Target]) -> list[list[_Target]]:
    """Return targets in parts that one command can name."""
    starts = range(0, len(targets), _FRAMES_PER_RUN)
    return [list(targets[start : start + _FRAMES_PER_RUN]) for start in starts]


@cache
def _frames_per_second(info: VideoInfo) -> float:
    """Return the approximate frame rate, estimated from the first packets."""
    with opened(info.path) as (container, stream):
        base = stream.time_base
        assert base is not None
        packets = itertools.islice(container.demux(stream), _PACKETS_FOR_RATE)
        times = sorted(p.pts * base for p in packets if p.pts is not None)
    return float(1 / usual_gap(times))


def _decode_planned(
    request: _Request, targets: list[_Target]
) -> dict[Fraction, NDArray[np.uint8]] | None:
    """Return the frames by time; None if the times of ffmpeg disagree with those of the packets."""
    runs = _plan(request.info, targets)
    # The first run may be cheaper from the start of the file than with a seek.
    seeks = [
        run[0].lead_frames + _SEEK_COST_FRAMES < _frames_before(request.info, run) for run in runs
    ]
    threads = 1 if len(runs) > 1 else None  # runs in parallel: one thread each
    with ThreadPoolExecutor(_RUNS_AT_ONCE) as pool:
        parts = list(pool.map(lambda run, seek: _run(request, run, seek, threads), runs, seeks))
    pictures = {seconds: picture for part, _ in parts for seconds, picture in part.items()}
    return pictures if len(pictures) == len(targets) else None


def _frames_before(info: VideoInfo, run: list[_Target]) -> float:
    """Return the approximate number of frames before a run; 0 for a file without an index."""
    if not info.seekable:
        return 0.0
    return float(run[0].seconds - Fraction(info.start_seconds)) * _frames_per_second(info)


def _decode_linear(request: _Request, targets: list[_Target]) -> dict[Fraction, NDArray[np.uint8]]:
    """Return the frames by time, decoded from the start of the file.

    Each target becomes the frame with the nearest time that ffmpeg reports, at most half a frame
    away. This takes two runs over the file, but relies on no packet times: where these are known
    to be wrong, only their distances from the first frame count.

    Raises:
        VideoError: If a frame does not decode.
    """
    info = request.info
    reported = _all_times(info, request.timeout_seconds, file_version(info.path))
    first = Fraction(info.start_seconds + info.picture_seconds[0])
    shift = Fraction(0) if info.stored_times else reported[0] - first
    half_gap = usual_gap(reported) / 2
    nearest = {t.seconds: _nearest(reported, t.seconds + shift) for t in targets}
    lost = [t for t, shown in nearest.items() if abs(shown - t - shift) > half_gap]
    if lost:
        raise VideoError(
            f"{info.path}: the frame at {float(lost[0]) - info.start_seconds:.3f} s does not "
            f"decode ({len(reported)} frames do); the file is damaged"
        )
    present = [_Target(seconds, 0) for seconds in sorted(set(nearest.values()))]
    pictures: dict[Fraction, NDArray[np.uint8]] = {}
    for part in _parts(present):
        found, log = _run(request, part, seek=False, threads=None)
        if len(found) < len(part):
            raise _too_few(info.path, len(found), len(part), log)
        pictures |= found
    return {asked: pictures[shown] for asked, shown in nearest.items()}


def _too_few(path: Path, found: int, wanted: int, log: str) -> VideoError:
    """Return the error for a run that gave too few frames, in the words of ffmpeg.

    A run without any frame did not fail at the file: one frame at least has decoded before.
    """
    damaged = "; the file is damaged" if found else ""
    return VideoError(f"{path}: ffmpeg gave {found} of {wanted} frames{last_error(log)}{damaged}")


def _nearest(times: list[Fraction], target: Fraction) -> Fraction:
    """Return the time that is closest to a target time; the times are sorted."""
    index = bisect_right(times, target)
    return min(times[max(index - 1, 0) : index + 1], key=lambda seconds: abs(seconds - target))


def _input(info: VideoInfo, **options: Any) -> Any:  # noqa: ANN401 - ffmpeg-python's streams
    """Return the input node of ffmpeg-python for the video stream of a file.

    `copyts` keeps the clock of the file, so that reported times compare with packet times. Without
    it, ffmpeg makes one clock of those of joined parts.
    """
    if info.stored_times:
        options["copyts"] = None
    return ffmpeg.input(INPUT, **options)[str(info.stream_index)]


@lru_cache(maxsize=8)
def _all_times(
    info: VideoInfo, timeout_seconds: float, version: tuple[object, ...]
) -> list[Fraction]:
    """Return the times of all frames that decode, sorted; the pictures are dropped."""
    del version
    stream = _input(info).filter("showinfo", checksum=0)
    node = ffmpeg.output(stream, "pipe:", format="null", fps_mode="passthrough")
    _, log = execute(node, info.path, timeout_seconds)
    times = reported_times(log)
    if not times:
        raise VideoError(f"{info.path}: no frame can be decoded{last_error(log)}")
    return sorted(times)


def _run(
    request: _Request, targets: list[_Target], seek: bool, threads: int | None
) -> tuple[dict[Fraction, NDArray[np.uint8]], str]:
    """Run ffmpeg once; return the frames by time, only those that are targets, and the log.

    Args:
        request: File, sampling contract and time limit.
        targets: Frames to decode, in order of time.
        seek: Whether to start at the key frame before the first target instead of at the start.
        threads: Number of decoder threads; None: as ffmpeg chooses.
    """
    options: dict[str, Any] = {}
    queue: dict[str, int] = {}
    seconds = [target.seconds for target in targets]
    if seek:
        aim = float(seconds[0]) + _SEEK_SLACK_SECONDS
        # The seek is on the clock of the file (`seek_timestamp`), and ffmpeg must not drop the
        # frames before its aim (`noaccurate_seek`): the first target is one of them.
        options |= {"seek_timestamp": 1, "ss": f"{aim:.6f}", "noaccurate_seek": None}
        queue = {"thread_queue_size": 1}  # decode nothing ahead that is not needed
    if threads:
        options["threads"] = threads
    stream = selected(_input(request.info, **options, **queue), request.info, seconds)
    stream = as_displayed(stream, request.info)
    if not request.resize_in_torch:
        stream = scaled(stream, request.sizes_px, request.spec.resizing.filter)
    elif request.info.stored_size_px != request.info.size_px:
        # Models' own processors get square pixels.
        stream = scaled(stream, (request.info.size_px,), request.spec.resizing.filter)
    stream = stream.filter("showinfo", checksum=0)  # writes the time of each frame to the log
    node = ffmpeg.output(
        stream,
        "pipe:",
        format="rawvideo",
        pix_fmt="rgb24",
        fps_mode="passthrough",  # neither repeat nor drop frames
        **{"frames:v": len(targets)},  # stop after the last target
        **queue,
    )
    raw, log = execute(node, request.info.path, request.timeout_seconds)
    times = reported_times(log)
    width, height = request.decoded_size_px
    # `raw` is (frame, height, width, 3), uint8. After an error it can hold fewer frames than times.
    frame_bytes = 3 * width * height
    pictures = [
        np.frombuffer(raw, np.uint8, frame_bytes, i * frame_bytes).reshape(height, width, 3)
        for i in range(min(len(times), len(raw) // frame_bytes))
    ]
    if request.resize_in_torch and pictures:
        pictures = resized(pictures, request.sizes_px, request.spec.resizing.filter)
    asked = set(seconds)
    found = {t: picture for t, picture in zip(times, pictures, strict=False) if t in asked}
    return found, log
