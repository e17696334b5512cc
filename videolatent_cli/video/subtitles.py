"""What is said in a video: subtitle files beside it, or a text stream inside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pysubs2
from av.codec.codec import Properties
from av.subtitles.subtitle import AssSubtitle

from videolatent_cli.errors import VideoError
from videolatent_cli.video.probe import opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from av.container import InputContainer
    from av.subtitles.stream import SubtitleStream


@dataclass(frozen=True)
class Line:
    """One subtitle."""

    start_seconds: float
    """From the first frame of the video."""
    end_seconds: float
    text: str


def said_between(lines: Iterable[Line], start_seconds: float, end_seconds: float) -> str:
    """Return what is said in a part of a video, each line once."""
    inside = (n for n in lines if n.start_seconds < end_seconds and n.end_seconds > start_seconds)
    return " ".join(dict.fromkeys(line.text for line in inside))


def read_subtitles(path: Path, beside: Sequence[Path], start_seconds: float) -> list[Line]:
    """Return the lines of the files beside a video, or of the first text stream inside it.

    Args:
        path: The video.
        beside: Subtitle files that go with it, in any number of languages.
        start_seconds: Time of its first frame in its own clock.

    Raises:
        VideoError: Where a subtitle file cannot be read.
    """
    if beside:
        return [line for file in beside for line in _file_lines(file)]
    with opened(path) as (container, _):
        texts = [s for s in container.streams.subtitles if _is_text(s)]
        return _stream_lines(container, texts[0], start_seconds) if texts else []


def _file_lines(path: Path) -> list[Line]:
    try:
        found = pysubs2.SSAFile.from_string(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, pysubs2.exceptions.Pysubs2Error) as error:
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise VideoError(f"{path}: cannot be read as UTF-8 subtitles ({what})") from None
    return [_line(event, 0.0) for event in found if event.is_text]


def _is_text(stream: SubtitleStream) -> bool:
    """Whether a subtitle stream holds text, not pictures."""
    return Properties.TEXT_SUB in Properties(stream.codec_context.codec.properties)


def _stream_lines(
    container: InputContainer, stream: SubtitleStream, start_seconds: float
) -> list[Line]:
    """Return the lines of a text stream; what does not decode is left out by ffmpeg itself."""
    base = stream.time_base
    lines = []
    for packet in container.demux(stream):
        if packet.pts is None or base is None:
            continue
        start = float(packet.pts * base)
        end = start + float((packet.duration or 0) * base)
        for subtitle in packet.decode():
            assert isinstance(subtitle, AssSubtitle), "the stream holds text"
            text = subtitle.dialogue.decode("utf-8", "replace")
            event = pysubs2.SSAEvent(round(1000 * start), round(1000 * end), text)
            lines.append(_line(event, start_seconds))
    return lines


def _line(event: pysubs2.SSAEvent, start_seconds: float) -> Line:
    """Return a subtitle without its layout, its times from the first frame."""
    return Line(
        event.start / 1000 - start_seconds,
        event.end / 1000 - start_seconds,
        " ".join(event.plaintext.split()),
    )
