"""What a video file holds, read without decoding it."""

from __future__ import annotations

import hashlib
import itertools
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error

from videolatent_cli.errors import VideoError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

_SEEKABLE = {"mov", "mp4", "m4a", "3gp", "matroska", "webm"}
"""Containers whose index can be trusted for seeking."""
_BLOCK_BYTES, _BLOCKS = 1 << 20, 16
_SINGLE_FRAME_FPS = 25
"""Rate that a file with a single frame is taken to have."""


@dataclass(frozen=True)
class VideoInfo:
    """One video file. Rates and counts of the header are left out: they cannot be trusted."""

    path: Path
    content_id: str
    """Names the content: equal for copies, whatever their name."""
    duration_seconds: float
    """From the first frame to the end of the last one."""
    start_seconds: float
    """Presentation time of the first frame in the file's own clock."""
    width_px: int
    """As shown: rotation and sample aspect ratio applied."""
    height_px: int
    rotation_degrees: int
    """How far the stored picture must be turned, counter-clockwise: 0, 90, 180 or 270."""
    codec: str
    container: str
    stream_index: int
    tick_seconds: Fraction
    """Unit of the stream's clock."""
    seekable: bool
    """Whether the container has an index that finds key frames."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height as shown."""
        return self.width_px, self.height_px


@contextmanager
def opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and its first video stream.

    Raises:
        VideoError: Where it cannot be opened or has no video.
    """
    if not path.exists():
        raise VideoError(f"{path}: file not found")
    try:
        with av.open(_as_file_url(path), metadata_errors="replace") as container:
            pictures = [s for s in container.streams.video if not _is_cover(s)]
            if not pictures:
                kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
                raise VideoError(f"{path}: has no video stream (found: {kinds})")
            yield container, pictures[0]
    except av.error.FFmpegError as error:
        raise VideoError(f"{path}: cannot be opened as video ({_words(error)})") from None


def _as_file_url(path: Path) -> str:
    """Return a name that ffmpeg takes for a file even if it starts with `-` or holds a colon."""
    return f"file:{path}"


def _is_cover(stream: VideoStream) -> bool:
    """Whether a video stream is only a cover picture."""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _words(error: av.error.FFmpegError) -> str:
    """Return what ffmpeg says, in one line."""
    return str(error.strerror or error).splitlines()[0]


@lru_cache(maxsize=4096)
def _content_id(path: str, size: int, modified_ns: int) -> str:
    """Return the id of a file's content; remembered while size and time stay the same."""
    sha = hashlib.sha256(str(size).encode())
    try:
        with Path(path).open("rb") as file:
            step = max(_BLOCK_BYTES, size // _BLOCKS)
            for start in range(0, size, step):
                file.seek(start)
                sha.update(file.read(_BLOCK_BYTES))
    except OSError as error:
        raise _unreadable(path, error) from None
    return sha.hexdigest()[:32]


def content_id(path: Path) -> str:
    """Return 32 hexadecimal digits that name a file's content, whatever its name.

    Choice: SHA-256 of the size and of 16 evenly spaced blocks of 1 MiB, which is every byte of
    files up to 16 MiB; hashing all of a large archive would take longer than indexing it.

    Raises:
        VideoError: Where the file is missing or not readable.
    """
    return _content_id(str(path.resolve()), *_version(path))


def check_content(path: Path, content: str) -> None:
    """Raise where a file holds another content than the one that is meant; empty: any is."""
    if content and content_id(path) != content:
        raise VideoError(
            f"{path}: has changed since it was first read; run the same command again "
            "(where it belongs to a library: vl index first)"
        )


def _version(path: Path) -> tuple[int, int]:
    """Return the size and the time by which a change of a file is noticed."""
    try:
        stat = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from None
    return stat.st_size, stat.st_mtime_ns


def _unreadable(path: Path | str, error: OSError) -> VideoError:
    """Return that a file is not there, or not for us."""
    return VideoError(f"{path}: file not found or not readable ({error.strerror})")


def read_info(path: Path) -> VideoInfo:
    """Return what a video file holds; one frame is decoded for size and rotation.

    Raises:
        VideoError: Where the file is missing, not a video, truncated, or holds no frame.
    """
    return _read_info(path, *_version(path))


@lru_cache(maxsize=64)
def _read_info(path: Path, size: int, modified_ns: int) -> VideoInfo:
    """Return what a file holds; remembered while size and time stay the same."""
    del size, modified_ns
    with opened(path) as (container, stream):
        names = set(container.format.name.split(","))
        # A fragmented file has no index of its own: libavformat makes one as it reads.
        whole_index = "mov" not in names or stream.frames > 0
        seekable = bool(_SEEKABLE & names) and whole_index
        _refuse_truncated(path, stream)
        frame = _first_frame(path, container, stream)
        base = stream.time_base
        assert base is not None
        start = (frame.pts or 0) * base
        if seekable and "mov" in names and stream.duration:
            duration = stream.duration * base
        else:
            duration = _scan_end(path) - start
        sar = stream.sample_aspect_ratio or Fraction(1)
        width, height = max(1, round(frame.width * sar)), frame.height
        rotation = frame.rotation % 360
        if rotation % 180:
            width, height = height, width
        return VideoInfo(
            path=path,
            content_id=content_id(path),
            duration_seconds=float(duration),
            start_seconds=float(start),
            width_px=width,
            height_px=height,
            rotation_degrees=rotation,
            codec=stream.codec_context.name,
            container=container.format.name,
            stream_index=stream.index,
            tick_seconds=base,
            seekable=seekable,
        )


def _refuse_truncated(path: Path, stream: VideoStream) -> None:
    """Raise where the index points behind the end of the file."""
    entries = stream.index_entries
    if len(entries):
        last, size = entries[len(entries) - 1], path.stat().st_size
        if last.pos >= size:
            raise VideoError(
                f"{path}: is truncated, its index ends at byte {last.pos}, got {size} bytes; "
                "copy it again"
            )


def _first_frame(path: Path, container: InputContainer, stream: VideoStream) -> VideoFrame:
    """Return the first frame that decodes; packets that do not are passed over."""
    for packet in container.demux(stream):
        try:
            for frame in packet.decode():
                return frame
        except av.error.FFmpegError:
            continue
    raise VideoError(f"{path}: no frame can be decoded; the file is damaged or encrypted")


def packet_times(container: InputContainer, stream: VideoStream) -> list[Fraction]:
    """Return the presentation times of the packets from here on, sorted.

    Raw streams carry no times: their frames follow each other by the packets' durations, as
    ffmpeg counts them.
    """
    base = stream.time_base
    assert base is not None
    times: list[Fraction] = []
    counted = Fraction(0)
    for packet in container.demux(stream):
        if packet.pts is not None and not packet.is_discard:
            times.append(packet.pts * base)
        elif packet.size and stream.start_time is None:
            times.append(counted)
            counted += (packet.duration or 0) * base
    return sorted(times)


def usual_gap(times: list[Fraction]) -> Fraction:
    """Return the median distance of two frames; 1/25 s where there is one frame.

    The packets' own durations are 1 ms in files that claim 1,000 frames per second.
    """
    gaps = sorted(b - a for a, b in itertools.pairwise(times) if b > a)
    return gaps[len(gaps) // 2] if gaps else Fraction(1, _SINGLE_FRAME_FPS)


def _scan_end(path: Path) -> Fraction:
    """Return where the last frame ends, read from the packets: no header is trusted."""
    with opened(path) as (container, stream):
        if "matroska" in container.format.name and container.duration:
            # The last cluster is enough; without an index the seek goes to the start.
            container.seek(container.duration, backward=True)
        times = packet_times(container, stream)
    return times[-1] + usual_gap(times)
