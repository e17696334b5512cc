"""Cutting short clips out of videos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ffmpeg

from videolatent_cli.errors import VideoError
from videolatent_cli.video.clip import window_bounds
from videolatent_cli.video.ffmpeg import INPUT, execute, last_error
from videolatent_cli.video.info import VideoInfo, read_info

if TYPE_CHECKING:
    from pathlib import Path

CONTEXT_SECONDS = 1.0
"""Length of video that a clip shows before and after its moment (s)."""
_LEAD_SECONDS = 30.0
"""Length of video that is decoded before a clip of a file without an index (s)."""
_STILL_FPS = 25
"""Frame rate of clips in which a picture stays before the first frame or after the last one."""
_NAME_BYTES = 255
"""Longest name of a file on common file systems (bytes of UTF-8)."""


def clip_name(video: Path, content: str, start_seconds: float) -> str:
    """Return the file name of a clip: the video's name, shortened if necessary, id and start.

    Choice: downloaders name files by titles of up to 255 bytes; the clip's id tells them apart.
    """
    end = f"-{content[:6]}-{start_seconds:.2f}.mp4"
    room = _NAME_BYTES - len(f".part{end}".encode())
    stem = video.stem.encode("utf-8", "surrogateescape")[:room]
    # A cut character is dropped; bytes that are no UTF-8 stay as they are.
    cut = stem.decode("utf-8", "ignore" if len(stem) == room else "surrogateescape")
    return f"{cut}{end}"


def cut_clip(
    path: Path, start_seconds: float, end_seconds: float, out: Path, timeout_seconds: float = 300.0
) -> None:
    """Write a part of a video as H.264 with its sound, and one second before and after it.

    Args:
        path: The video.
        start_seconds: Start of the part (s from the start of the video).
        end_seconds: End of the part.
        out: File to write.
        timeout_seconds: Longest time that ffmpeg may take (s).

    Raises:
        VideoError: If ffmpeg cannot cut it.
        WindowError: If the part starts after the video.
    """
    info = read_info(path)
    window_bounds(path, (start_seconds, None), info.duration_seconds)
    begin = max(0.0, start_seconds - CONTEXT_SECONDS)
    end = end_seconds + CONTEXT_SECONDS
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f"{out.stem}.part{out.suffix}")
    source, cut, filters = _cut(info, begin, end)
    stream = ffmpeg.input(INPUT, **source)
    node = ffmpeg.output(
        # By number: of a stream that starts late, ffmpeg may not know yet that it is a video.
        stream[str(info.stream_index)],
        stream["a:0?"],
        f"file:{part}",
        **cut,
        sn=None,  # no subtitle streams: MP4 cannot hold every kind
        # Players need 4:2:0 colours, which need even sides.
        pix_fmt="yuv420p",
        vf=",".join([*filters, "pad=ceil(iw/2)*2:ceil(ih/2)*2"]),
    ).overwrite_output()
    _, log = execute(node, path, timeout_seconds)
    if not part.exists() or not part.stat().st_size:
        raise VideoError(f"{path}: no clip can be cut at {start_seconds:.2f} s{last_error(log)}")
    part.replace(out)


def _cut(
    info: VideoInfo, begin: float, end: float
) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Return the options of ffmpeg for its input and its output, and the filters, of a part."""
    length = {"t": f"{end - begin:.3f}"}
    first, last = info.picture_seconds
    stays = (begin < first and first > 0) or (end > last and last < info.duration_seconds)
    if info.stored_times and not stays:
        # A seek without an index can land too late. It is on the clock of the file, whose zero is
        # not always the start of the video.
        lead = 0.0 if info.seekable else min(begin, _LEAD_SECONDS)
        aim = info.start_seconds + begin - lead
        return {"seek_timestamp": 1, "ss": f"{aim:.3f}"}, {"ss": f"{lead:.3f}", **length}, []
    # A seek would miss the picture that stays, and clocks that jump cannot be sought: decode from
    # the start, on the clock that ffmpeg makes.
    filters = []
    if stays:
        tail = info.duration_seconds - last + CONTEXT_SECONDS
        filters = [
            f"fps=fps={_STILL_FPS}:start_time=0",
            f"tpad=stop_mode=clone:stop_duration={tail:.3f}",
        ]
    return {}, {"ss": f"{begin:.3f}", **length}, filters
