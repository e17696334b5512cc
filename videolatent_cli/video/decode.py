"""From a video file to frames at exact moments.

The frame of a moment is the one on screen: the last whose presentation time is not later. Which
frames these are is read from the packets; ffmpeg then decodes just them, in one or a few runs, and
the times that it reports are compared with those that were asked for.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

import ffmpeg
import numpy as np

from videolatent_cli.errors import VideoError
from videolatent_cli.video.ffmpeg import INPUT, execute, last_words, reported_times
from videolatent_cli.video.frames import FrameBatch
from videolatent_cli.video.info import VideoInfo, opened, packet_times, read_info, usual_gap
from videolatent_cli.video.resize import resized, scaled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from av.container import InputContainer
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

    from videolatent_cli.video.sampling import SamplingSpec

_SEEK_COST_FRAMES = 28
"""What starting ffmpeg and its decoder costs, in decoded frames (measured, facts of ffmpeg 9)."""
_RUNS_AT_ONCE = 2
_ROUNDING_SECONDS = Fraction(1, 1_000_000)
"""A moment this close before a frame counts as the frame's own."""
_PACKETS_FOR_RATE = 100
_SEEK_SLACK_SECONDS = 0.002
"""How far behind the first wanted frame a seek aims; ffmpeg's clock for seeks is coarse. It lands
on the key frame before, which may be that frame itself; what is not wanted is not selected.
"""


@dataclass(frozen=True)
class _Wanted:
    """One frame to decode, in the file's own clock."""

    seconds: Fraction
    lead_frames: int
    """Frames that must be decoded to reach it after a seek."""


def decode_frames(
    path: Path,
    spec: SamplingSpec,
    window: tuple[float | None, float | None] = (None, None),
    timeout_seconds: float = 300.0,
    info: VideoInfo | None = None,
) -> FrameBatch:
    """Return the frames that a sampling contract asks for, resized, upright, square pixels.

    Args:
        path: The video file.
        spec: Which moments and which size.
        window: Start and end of the part that is meant (s from the first frame).
        timeout_seconds: Longest time that ffmpeg may take for this file.
        info: What `probe` returned for the file, if at hand.

    Raises:
        VideoError: Where the file cannot give exactly these frames.
    """
    info = info or read_info(path)
    start, end = window[0] or 0.0, window[1] or info.duration_seconds
    if start >= info.duration_seconds:
        raise VideoError(
            f"{path}: start must be below its {info.duration_seconds:.2f} s, got {start:.2f} s"
        )
    times = spec.times(info.duration_seconds, (start, min(end, info.duration_seconds)))
    wanted = _wanted_frames(info, times)
    unique = sorted({w.seconds: w for w in wanted}.values(), key=lambda w: w.seconds)
    ask = _Ask(info, spec, timeout_seconds)
    pictures = _decode_planned(ask, unique) or _decode_linear(ask, unique)
    data = np.stack([pictures[w.seconds] for w in wanted])
    pts = np.array([float(w.seconds) - info.start_seconds for w in wanted])
    return FrameBatch(data, np.maximum(pts, 0.0))


@dataclass(frozen=True)
class _Ask:
    """What every run of ffmpeg on one file needs to know."""

    info: VideoInfo
    spec: SamplingSpec
    timeout_seconds: float

    @property
    def sizes_px(self) -> tuple[tuple[int, int], ...]:
        """Sizes that the pictures take in turn."""
        return self.spec.frame_sizes(*self.info.size_px)

    @property
    def resize_in_torch(self) -> bool:
        """Whether ffmpeg hands the pictures over as large as they are."""
        return self.spec.resize == "torch"

    @property
    def decoded_size_px(self) -> tuple[int, int]:
        """Size of the pictures that ffmpeg hands over."""
        return self.info.size_px if self.resize_in_torch else self.sizes_px[-1]


def _wanted_frames(info: VideoInfo, times: NDArray[np.float64]) -> list[_Wanted]:
    """Return the frame on screen at each moment, from the packets' times alone."""
    with opened(info.path) as (container, stream):
        if info.seekable:
            return [_locate(container, stream, info, float(time)) for time in times]
        table = packet_times(container, stream)
    wanted = []
    for time in times:
        limit = Fraction(info.start_seconds + float(time)) + _ROUNDING_SECONDS
        place = max(bisect_right(table, limit) - 1, 0)
        wanted.append(_Wanted(table[place], place + 1))
    return wanted


def _locate(
    container: InputContainer, stream: VideoStream, info: VideoInfo, time: float
) -> _Wanted:
    """Return the frame on screen at a moment, reading packets from the key frame before it."""
    base = stream.time_base
    assert base is not None
    limit = Fraction(info.start_seconds + time) + _ROUNDING_SECONDS
    container.seek(int(limit / base), backward=True, stream=stream)
    best: Fraction | None = None
    count = lead = 0
    for packet in container.demux(stream):
        if packet.pts is None:
            continue
        count += 1
        shown = packet.pts * base
        if not packet.is_discard and shown <= limit and (best is None or shown > best):
            best, lead = shown, count
        if packet.dts is not None and packet.dts * base > limit:
            break
    if best is None:
        raise VideoError(f"{info.path}: has no frame at {time:.3f} s; the file is damaged there")
    return _Wanted(best, lead)


def _plan(info: VideoInfo, wanted: Sequence[_Wanted]) -> list[list[_Wanted]]:
    """Cut the frames into runs: a new one where seeking is cheaper than decoding on."""
    if not info.seekable:
        return [list(wanted)]
    start = Fraction(info.start_seconds)
    rate = _frames_per_second(info)
    runs: list[list[_Wanted]] = [[]]
    previous = start
    for frame in wanted:
        gap = float(frame.seconds - previous) * rate
        if gap > frame.lead_frames + _SEEK_COST_FRAMES:
            runs.append([])
        runs[-1].append(frame)
        previous = frame.seconds
    return [run for run in runs if run]


@cache
def _frames_per_second(info: VideoInfo) -> float:
    """Return roughly how many frames a second holds, counted in the first packets."""
    with opened(info.path) as (container, stream):
        base = stream.time_base
        assert base is not None
        packets = itertools.islice(container.demux(stream), _PACKETS_FOR_RATE)
        times = sorted(p.pts * base for p in packets if p.pts is not None)
    return float(1 / usual_gap(times))


def _decode_planned(ask: _Ask, wanted: list[_Wanted]) -> dict[Fraction, NDArray[np.uint8]] | None:
    """Return the frames by time, None where ffmpeg's own times disagree with the packets'."""
    runs = _plan(ask.info, wanted)
    seeks = [run[0].lead_frames + _SEEK_COST_FRAMES < _frames_before(ask.info, run) for run in runs]
    threads = 1 if len(runs) > 1 else None
    with ThreadPoolExecutor(_RUNS_AT_ONCE) as pool:
        parts = list(pool.map(lambda run, seek: _run(ask, run, seek, threads), runs, seeks))
    found = {seconds: picture for part in parts for seconds, picture in part.items()}
    return found if len(found) == len(wanted) else None


def _frames_before(info: VideoInfo, run: list[_Wanted]) -> float:
    """Return how many frames lie before a run; infinite after the first, 0 without an index."""
    if not info.seekable:
        return 0.0
    return float(run[0].seconds - Fraction(info.start_seconds)) * _frames_per_second(info)


def _decode_linear(ask: _Ask, wanted: list[_Wanted]) -> dict[Fraction, NDArray[np.uint8]]:
    """Decode from the start, by the times that ffmpeg itself reports.

    Raises:
        VideoError: Where a frame does not decode.
    """
    shown = _all_times(ask)
    half_gap = usual_gap(shown) / 2
    nearest = {w.seconds: _nearest(shown, w.seconds) for w in wanted}
    lost = [w.seconds for w in wanted if abs(nearest[w.seconds] - w.seconds) > half_gap]
    if lost:
        at = float(lost[0]) - ask.info.start_seconds
        raise VideoError(
            f"{ask.info.path}: the frame at {at:.3f} s does not decode "
            f"({len(shown)} frames do); the file is damaged"
        )
    targets = [_Wanted(seconds, 0) for seconds in sorted(set(nearest.values()))]
    found = _run(ask, targets, seek=False, threads=None)
    if len(found) != len(targets):
        raise VideoError(
            f"{ask.info.path}: ffmpeg gave {len(found)} of {len(targets)} frames; "
            "the file is damaged"
        )
    return {seconds: found[shown_at] for seconds, shown_at in nearest.items()}


def _nearest(times: list[Fraction], wanted: Fraction) -> Fraction:
    """Return the time that is closest to a wanted one."""
    return min(times, key=lambda seconds: abs(seconds - wanted))


def _input(ask: _Ask, **options: Any) -> Any:  # noqa: ANN401 - ffmpeg-python's streams
    """Return ffmpeg-python's input node for the file's video stream."""
    return ffmpeg.input(INPUT, **options)[str(ask.info.stream_index)]


def _all_times(ask: _Ask) -> list[Fraction]:
    """Return the times of all frames that decode."""
    stream = _input(ask, copyts=None).filter("showinfo", checksum=0)
    node = ffmpeg.output(stream, "pipe:", format="null", fps_mode="passthrough")
    _, log = execute(node, ask.info.path, ask.timeout_seconds)
    times = reported_times(log)
    if not times:
        raise VideoError(f"{ask.info.path}: no frame can be decoded{last_words(log)}")
    return sorted(times)


def _run(
    ask: _Ask, wanted: list[_Wanted], seek: bool, threads: int | None
) -> dict[Fraction, NDArray[np.uint8]]:
    """Run ffmpeg once and return the frames whose time is one of those wanted."""
    options: dict[str, Any] = {"copyts": None}
    queue: dict[str, int] = {}
    if seek:
        aim = float(wanted[0].seconds) + _SEEK_SLACK_SECONDS
        options |= {"seek_timestamp": 1, "ss": f"{aim:.6f}", "noaccurate_seek": None}
        queue = {"thread_queue_size": 1}  # nothing is decoded ahead that no one wants
    if threads:
        options["threads"] = threads
    half = ask.info.tick_seconds / 2
    moments = "+".join(
        f"between(t,{float(w.seconds - half):.9f},{float(w.seconds + half):.9f})" for w in wanted
    )
    stream = _input(ask, **options, **queue).filter("select", moments)
    width, height = ask.decoded_size_px
    if not ask.resize_in_torch:
        stream = scaled(stream, ask.sizes_px, ask.spec.resizing.filter)
    elif ask.info.size_px != (width, height):
        stream = stream.filter("scale", width, height)
    stream = stream.filter("showinfo", checksum=0)
    node = ffmpeg.output(
        stream,
        "pipe:",
        format="rawvideo",
        pix_fmt="rgb24",
        fps_mode="passthrough",
        **{"frames:v": len(wanted)},
        **queue,
    )
    raw, log = execute(node, ask.info.path, ask.timeout_seconds)
    times = reported_times(log)
    frame_bytes = 3 * width * height
    pictures = [
        np.frombuffer(raw, np.uint8, frame_bytes, i * frame_bytes).reshape(height, width, 3)
        for i in range(min(len(times), len(raw) // frame_bytes))
    ]
    if ask.resize_in_torch and pictures:
        pictures = resized(pictures, ask.sizes_px, ask.spec.resizing.filter)
    known = {w.seconds for w in wanted}
    return {t: picture for t, picture in zip(times, pictures, strict=False) if t in known}
