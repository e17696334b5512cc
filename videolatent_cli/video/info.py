"""Information about video files: content id, duration, size and times; one frame is decoded."""

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
"""Containers with an index that is reliable for seeking."""
_BLOCK_BYTES, _BLOCKS = 1 << 20, 16
"""Size and number of the blocks of a file that go into its content id."""
_SINGLE_FRAME_FPS = 25
"""Assumed frame rate of a file with a single frame."""


@dataclass(frozen=True)
class VideoInfo:
    """Information about a video file; no frame rate or count, since headers misstate them."""

    path: Path
    content_id: str
    """Id of the content; copies have the same id under any name."""
    duration_seconds: float
    """Time from the start of the first frame to the end of the last one."""
    start_seconds: float
    """Presentation time of the first frame on the clock of the file."""
    width_px: int
    """Width as displayed, with rotation and sample aspect ratio applied."""
    height_px: int
    """Height as displayed."""
    rotation_degrees: int
    """Counter-clockwise rotation from the stored to the displayed picture: 0, 90, 180 or 270."""
    codec: str
    container: str
    stream_index: int
    tick_seconds: Fraction
    """Unit of the clock of the video stream."""
    seekable: bool
    """Whether the container has a reliable index of key frames."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height as displayed."""
        return self.width_px, self.height_px


@contextmanager
def opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file; yield its container and its first video stream that is not a cover picture.

    Raises:
        VideoError: If the file cannot be opened or has no video stream.
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
        raise VideoError(f"{path}: cannot be opened as video ({_reason(error)})") from None


def _as_file_url(path: Path) -> str:
    """Return a URL that ffmpeg reads as a file even if the name starts with `-` or has a colon."""
    return f"file:{path}"


def _is_cover(stream: VideoStream) -> bool:
    """Whether a video stream is a cover picture."""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _reason(error: av.error.FFmpegError) -> str:
    """Return the message of an ffmpeg error as one line."""
    return str(error.strerror or error).splitlines()[0]


@lru_cache(maxsize=4096)
def _content_id(path: str, size: int, modified_ns: int) -> str:
    """Return the content id of a file; the result is reused while size and time stay the same."""
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
    """Return the content id of a file: 32 hexadecimal digits that do not depend on its name.

    Choice: SHA-256 of the size and of 16 evenly spaced blocks of 1 MiB, which cover files up to
    16 MiB completely. Hashing every byte of a large archive would take longer than indexing it.

    Raises:
        VideoError: If the file is missing or not readable.
    """
    return _content_id(str(path.resolve()), *_version(path))


def check_content(path: Path, content: str) -> None:
    """Raise an error if the content of a file is not the expected one.

    Args:
        path: The file.
        content: Expected content id; empty: any content is accepted.

    Raises:
        VideoError: If the file has changed, is missing, or is not readable.
    """
    if content and content_id(path) != content:
        raise VideoError(
            f"{path}: has changed since it was first read; run the same command again "
            "(for a file of a library, run vl index first)"
        )


def _version(path: Path) -> tuple[int, int]:
    """Return size and modification time (ns) of a file; a change of either means a new content."""
    try:
        stat = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from None
    return stat.st_size, stat.st_mtime_ns


def _unreadable(path: Path | str, error: OSError) -> VideoError:
    """Return the error for a file that is missing or not readable."""
    return VideoError(f"{path}: file not found or not readable ({error.strerror})")


def read_info(path: Path) -> VideoInfo:
    """Return information about a video file; one frame is decoded for size and rotation.

    Raises:
        VideoError: If the file is missing, truncated, not a video, or without a frame.
    """
    return _read_info(path, *_version(path))


@lru_cache(maxsize=64)
def _read_info(path: Path, size: int, modified_ns: int) -> VideoInfo:
    """Return information about a file; the result is reused while size and time stay the same."""
    del size, modified_ns
    with opened(path) as (container, stream):
        names = set(container.format.name.split(","))
        # A fragmented file has no complete index: libavformat builds one while it reads.
        whole_index = "mov" not in names or stream.frames > 0
        seekable = bool(_SEEKABLE & names) and whole_index
        _refuse_truncated(path, stream)
        frame = _first_frame(path, container, stream)
        base = stream.time_base
        assert base is not None
        start = (frame.pts or 0) * base
        # The duration that a complete MP4 index states is reliable; others are read from packets.
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
    """Raise an error if the index of the file points behind its end."""
    entries = stream.index_entries
    if len(entries):
        last, size = entries[len(entries) - 1], path.stat().st_size
        if last.pos >= size:
            raise VideoError(
                f"{path}: is truncated, its index ends at byte {last.pos}, got {size} bytes; "
                "copy it again"
            )


def _first_frame(path: Path, container: InputContainer, stream: VideoStream) -> VideoFrame:
    """Return the first frame that decodes; packets that fail to decode are skipped."""
    for packet in container.demux(stream):
        try:
            for frame in packet.decode():
                return frame
        except av.error.FFmpegError:
            continue
    raise VideoError(f"{path}: no frame can be decoded; the file is damaged or encrypted")


def packet_times(container: InputContainer, stream: VideoStream) -> list[Fraction]:
    """Return the presentation times (s) of the packets from the current position on, sorted.

    Raw streams carry no times: each frame then starts where the duration of the one before ends,
    as in ffmpeg.
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
    """Return the median time (s) between consecutive frames; 1/25 s for a single frame.

    Packet durations are not used: they are 1 ms in files that claim 1,000 frames per second.
    """
    gaps = sorted(b - a for a, b in itertools.pairwise(times) if b > a)
    return gaps[len(gaps) // 2] if gaps else Fraction(1, _SINGLE_FRAME_FPS)


def _scan_end(path: Path) -> Fraction:
    """Return the time at which the last frame ends, by the packets instead of the header."""
    with opened(path) as (container, stream):
        if "matroska" in container.format.name and container.duration:
            # Only the last cluster needs to be read; without an index the seek lands at the start.
            container.seek(container.duration, backward=True)
        times = packet_times(container, stream)
    return times[-1] + usual_gap(times)
