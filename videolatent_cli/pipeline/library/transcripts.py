"""Transcripts of videos: subtitle files, subtitle streams, or recognised speech."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pysubs2
from av import AudioResampler
from av.codec.codec import Properties
from av.subtitles.subtitle import AssSubtitle
from loguru import logger

from videolatent_cli.errors import SetupError, VideoError, printable
from videolatent_cli.video.info import opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from av import AudioFrame
    from av.container import InputContainer
    from av.subtitles.stream import SubtitleStream
    from numpy.typing import NDArray

    from videolatent_cli.pipeline.library.scan import VideoFile
    from videolatent_cli.runtime.isolation import Isolation
    from videolatent_cli.video.info import VideoInfo


@dataclass(frozen=True)
class Caption:
    """One subtitle."""

    start_seconds: float
    """From the first frame of the video."""
    end_seconds: float
    text: str


def transcript_between(lines: Iterable[Caption], start_seconds: float, end_seconds: float) -> str:
    """Return what is said in a part of a video, each line once."""
    inside = (n for n in lines if n.start_seconds < end_seconds and n.end_seconds > start_seconds)
    return " ".join(dict.fromkeys(line.text for line in inside))


def read_subtitles(path: Path, beside: Sequence[Path], start_seconds: float) -> list[Caption]:
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


def _file_lines(path: Path) -> list[Caption]:
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
) -> list[Caption]:
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


def _line(event: pysubs2.SSAEvent, start_seconds: float) -> Caption:
    """Return a subtitle without its layout, its times from the first frame."""
    return Caption(
        event.start / 1000 - start_seconds,
        event.end / 1000 - start_seconds,
        " ".join(event.plaintext.split()),
    )


SAMPLES_PER_SECOND = 16_000


@dataclass(frozen=True)
class Sound:
    """One channel of sound."""

    samples: NDArray[np.float32]
    """In [-1, 1], `SAMPLES_PER_SECOND` of them a second."""
    start_seconds: float
    """Of the first sample, from the first frame of the video."""


def read_sound(path: Path, start_seconds: float) -> Sound | None:
    """Return the first sound stream of a video, mixed to one channel; None without any.

    Args:
        path: The video.
        start_seconds: Time of its first frame in its own clock.

    Raises:
        VideoError: Where it cannot be read.
    """
    with opened(path) as (container, _):
        if not container.streams.audio:
            return None
        frames = list(_resampled(container))
    if not frames:
        return None
    first = frames[0]
    samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
    return Sound(samples, (first.time or 0.0) - start_seconds)


def _resampled(container: InputContainer) -> Iterator[AudioFrame]:
    """Yield the frames of the first sound stream, resampled."""
    resampler = AudioResampler(format="flt", layout="mono", rate=SAMPLES_PER_SECOND)
    for frame in container.decode(container.streams.audio[0]):
        yield from resampler.resample(frame)
    yield from resampler.resample(None)


OPTIONS: dict[str, Any] = {
    "temperature": 0.0,
    "condition_on_previous_text": False,
    "vad_filter": True,
}
"""Choice: no sampling, so that the same sound gives the same words; what is no speech is cut out
before, because Whisper hears words in silence; and no line rests on the one before."""


class Transcriber:
    """Writes down what is said; the language is found by the model."""

    def __init__(self, folder: Path) -> None:
        """Load the model.

        Raises:
            SetupError: Where the model or its package is missing.
        """
        try:
            from faster_whisper import WhisperModel
        except ImportError:
            raise SetupError(
                "--speech: faster-whisper is missing; pip install 'videolatent-cli[speech]'"
            ) from None
        if not (folder / "model.bin").exists():
            raise SetupError(
                f"--speech: {folder} holds no faster-whisper model (model.bin is missing); convert "
                "one with ct2-transformers-converter, or download a converted one"
            )
        self._model: Any = WhisperModel(str(folder), local_files_only=True)

    def lines(self, sound: Sound) -> list[Caption]:
        """Return what is said, as subtitles."""
        found, _ = self._model.transcribe(sound.samples, **OPTIONS)
        return [
            Caption(
                one.start + sound.start_seconds, one.end + sound.start_seconds, one.text.strip()
            )
            for one in found
            if one.text.strip()
        ]


class TranscriptReader:
    """Reads the lines of files in processes of their own, and listens in this one."""

    def __init__(self, isolation: Isolation, transcriber: Transcriber | None) -> None:
        self._isolation = isolation
        self._transcriber = transcriber

    def read(self, video: VideoFile, info: VideoInfo) -> tuple[Caption, ...]:
        """Return a file's lines; none, with a warning, where they cannot be read."""
        try:
            found = self._subtitles(video, info)
            if found or self._transcriber is None:
                return found
            sound = self._isolation.run(read_sound, video.path, info.start_seconds)
            return tuple(self._transcriber.lines(sound)) if sound is not None else ()
        except VideoError as error:
            return _without(error)

    def read_again(self, video: VideoFile, info: VideoInfo) -> tuple[Caption, ...] | None:
        """Return the lines of a file whose content is known; None: what was heard still stands."""
        try:
            found = self._subtitles(video, info)
        except VideoError as error:
            return _without(error)
        return found or (None if self._transcriber is not None else ())

    def _subtitles(self, video: VideoFile, info: VideoInfo) -> tuple[Caption, ...]:
        """Return a file's subtitles."""
        read = self._isolation.run
        return tuple(read(read_subtitles, video.path, video.subtitles, info.start_seconds))


def _without(error: VideoError) -> tuple[Caption, ...]:
    """Say that a file is indexed without lines."""
    logger.warning("indexed without what is said: {}", printable(str(error)))
    return ()
