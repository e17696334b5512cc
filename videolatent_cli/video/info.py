"""Information about video files: duration, size, times and colors; one frame is decoded."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import av
import av.error

from videolatent_cli.errors import VideoError
from videolatent_cli.video.clock import read_clocks, usual_gap
from videolatent_cli.video.content import file_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

_SEEKABLE = {"mov", "mp4", "m4a", "3gp", "matroska", "webm"}
"""Containers with an index that is reliable for seeking."""
_DECODING_TIMES_ONLY = {"avi"}
"""Containers that store the order of decoding in place of times."""
_UNEVEN_SECONDS = Fraction(1, 2)
"""Distance up to which the ends of picture and sound count as the same.

Choice: encoders pad sound by hundredths of a second, and cuts without encoding by up to a few
tenths. Taken as they are, these would shift the sampled moments of nearly every video.
"""
_TRANSFERS: dict[int, Literal["pq", "hlg"]] = {16: "pq", 18: "hlg"}
"""High dynamic range by the number of its transfer curve (ITU-T H.273)."""
_PROGRESSIVE = (0, 1)
"""Field orders of streams without fields: unknown and progressive."""


@dataclass(frozen=True)
class VideoInfo:
    """Information about a video file; no frame rate or count, since headers misstate them.

    Times are those of a player: zero is where the file starts, with picture or sound, and the last
    picture stays until the file ends.
    """

    path: Path
    duration_seconds: float
    """Time from the start of the video to its end: of the last frame, or of a longer sound."""
    start_seconds: float
    """Time zero on the clock of the file: the first frame, or a sound that starts earlier."""
    picture_seconds: tuple[float, float]
    """Start of the first frame and end of the last one; between 0 and the duration."""
    width_px: int
    """Width as displayed, with rotation and sample aspect ratio applied."""
    height_px: int
    """Height as displayed."""
    stored_size_px: tuple[int, int]
    """Width and height with rotation, but without sample aspect ratio."""
    rotation_degrees: int
    """Counter-clockwise rotation from the stored to the displayed picture: 0, 90, 180 or 270."""
    dynamic_range: Literal["sdr", "pq", "hlg"]
    """Dynamic range of the colors: standard, or one of two kinds of high dynamic range."""
    color_tags: tuple[int, int]
    """Numbers of color primaries and of the YUV matrix (ITU-T H.273); 2 if the file names none."""
    interlaced: bool
    """Whether frames consist of two fields of different times."""
    codec: str
    container: str
    stream_index: int
    tick_seconds: Fraction
    """Unit of the clock of the video stream."""
    seekable: bool
    """Whether the container has a reliable index of key frames."""
    clock_jumps: int
    """Number of places where the clock of the video stream is set anew, as in joined files."""
    stored_times: bool
    """Whether the times of packets are those of the frames. If not, only the order is known: the
    clock jumps, or the container stores the order of decoding alone."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height as displayed."""
        return self.width_px, self.height_px

    @property
    def remarks(self) -> tuple[str, ...]:
        """Differences between the file as stored and the video as shown, in words."""
        first, last = self.picture_seconds
        still = self.duration_seconds - last
        checks = (
            (
                self.dynamic_range != "sdr",
                f"its high dynamic range ({self.dynamic_range}) is shown as SDR",
            ),
            (self.interlaced, "it is interlaced, fields are taken apart"),
            (self.clock_jumps > 0, f"it is joined from {self.clock_jumps + 1} parts"),
            (first > 0, f"the picture starts {first:.2f} s after the sound"),
            (still > 0, f"the last picture stays for {still:.2f} s of sound"),
        )
        return tuple(text for applies, text in checks if applies)


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


def read_info(path: Path) -> VideoInfo:
    """Return information about a video file; one frame is decoded for size and rotation.

    Raises:
        VideoError: If the file is missing, truncated, not a video, or without a frame.
    """
    return _read_info(path, file_version(path))


@lru_cache(maxsize=64)
def _read_info(path: Path, version: tuple[object, ...]) -> VideoInfo:
    """Return information about a file; the result is reused until the file changes."""
    del version
    with opened(path) as (container, stream):
        names = set(container.format.name.split(","))
        # A fragmented file has no complete index: libavformat builds one while it reads.
        whole_index = "mov" not in names or stream.frames > 0
        seekable = bool(_SEEKABLE & names) and whole_index
        _refuse_truncated(path, stream)
        frame = _first_frame(path, container, stream)
        reorders = stream.codec_context.has_b_frames
        base = stream.time_base
        assert base is not None
        first = (frame.pts or 0) * base
        # The times that a complete MP4 index states are reliable; others are read from packets.
        if seekable and "mov" in names and stream.duration:
            times = _Times((first, first + stream.duration * base), _stated_sound(container))
        else:
            times = _read_times(path, first, reorders=reorders)
        start, picture, end = times.shown
        stored = (frame.width, frame.height)
        sar = stream.sample_aspect_ratio or Fraction(1)
        displayed = (max(1, round(frame.width * sar)), frame.height)
        rotation = frame.rotation % 360
        if rotation % 180:
            stored, displayed = stored[::-1], displayed[::-1]
        return VideoInfo(
            path=path,
            duration_seconds=float(end - start),
            start_seconds=float(start),
            picture_seconds=(float(picture[0] - start), float(picture[1] - start)),
            width_px=displayed[0],
            height_px=displayed[1],
            stored_size_px=stored,
            rotation_degrees=rotation,
            dynamic_range=_TRANSFERS.get(int(frame.color_trc), "sdr"),
            color_tags=(int(frame.color_primaries), int(frame.colorspace)),
            interlaced=frame.interlaced_frame or _has_fields(stream),
            codec=stream.codec_context.name,
            container=container.format.name,
            stream_index=stream.index,
            tick_seconds=base,
            seekable=seekable,
            clock_jumps=times.jumps,
            stored_times=times.stored,
        )


def _has_fields(stream: VideoStream) -> bool:
    """Return whether the header of a stream says that its frames consist of fields."""
    return stream.codec_context.field_order not in _PROGRESSIVE


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


@dataclass(frozen=True)
class _Times:
    """Times of picture and sound on the clock of the file (s)."""

    picture: tuple[Fraction, Fraction]
    """Start of the first frame and end of the last one."""
    sound: tuple[Fraction, Fraction] | None
    """Start of the first sound and end of the last one; None without sound."""
    jumps: int = 0
    stored: bool = True

    @property
    def shown(self) -> tuple[Fraction, tuple[Fraction, Fraction], Fraction]:
        """Start of the video, start and end of its picture, and end of the video."""
        (start, end), sound = self.picture, self.sound or self.picture
        zero = sound[0] if start - sound[0] > _UNEVEN_SECONDS else start
        last = sound[1] if sound[1] - end > _UNEVEN_SECONDS else end
        return zero, self.picture, last


def _stated_sound(container: InputContainer) -> tuple[Fraction, Fraction] | None:
    """Return start and end of the sound by the headers of its streams; None if they say nothing."""
    spans = [
        (stream.start_time * stream.time_base, (stream.start_time + length) * stream.time_base)
        for stream in container.streams.audio
        if stream.start_time is not None and stream.time_base is not None
        for length in [stream.duration or 0]
    ]
    return _joined(spans)


def _joined(spans: Sequence[tuple[Fraction, Fraction]]) -> tuple[Fraction, Fraction] | None:
    """Return the span from the first start to the last end; None without spans."""
    return (min(span[0] for span in spans), max(span[1] for span in spans)) if spans else None


def _read_times(path: Path, first: Fraction, *, reorders: bool, from_start: bool = False) -> _Times:
    """Return the times of a file by its packets, in place of its header.

    Args:
        path: The file.
        first: Time of the first frame that decodes (s).
        reorders: Whether frames are stored in another order than they are shown in.
        from_start: Whether to read all packets where the last ones of the file could do.

    Raises:
        VideoError: If no packet of the video stream has a time.
    """
    with opened(path) as (container, stream):
        names = set(container.format.name.split(","))
        # Of Matroska only the last cluster needs to be read.
        tail = "matroska" in names and bool(container.duration) and not from_start
        if tail:
            container.seek(container.duration or 0, backward=True)
        picture, *sounds = read_clocks(container, [stream, *container.streams.audio])
        stated = _stated_sound(container)
    times = picture.times
    if not times and tail:
        return _read_times(path, first, reorders=reorders, from_start=True)
    if not times:
        raise VideoError(f"{path}: has no time for any frame; remux it with ffmpeg -c copy")
    spans = [sound.span for sound in sounds if sound.span is not None]
    if tail and stated is not None:
        spans.append((stated[0], stated[0]))  # the last cluster does not tell where sound starts
    # Times of frames differ from decoding times by a delay that is stored nowhere.
    guessed = picture.rises and (reorders or picture.delays)
    unknown_delay = guessed and bool(_DECODING_TIMES_ONLY & names)
    return _Times(
        (times[0] if unknown_delay else first, times[-1] + usual_gap(times)),
        _joined(spans),
        picture.jumps,
        not (picture.jumps or unknown_delay),
    )
