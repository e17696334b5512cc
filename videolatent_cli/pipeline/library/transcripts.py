"""Transcripts of videos from subtitle files, subtitle streams or speech recognition.

Decoder processes import this module, so faster-whisper is imported only where it is used.
"""

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

SAMPLES_PER_SECOND = 16_000
"""Sample rate that Whisper expects (Hz)."""
TRANSCRIBE_OPTIONS: dict[str, Any] = {
    "temperature": 0.0,
    "condition_on_previous_text": False,
    "vad_filter": True,
}
"""Options of faster-whisper.

Choice: no sampling, so that the same sound gives the same words. Parts without speech are removed
first, because Whisper hears words in silence. No caption depends on the one before.
"""


@dataclass(frozen=True)
class Caption:
    """Text that is spoken or shown during a part of a video."""

    start_seconds: float
    """Start, counted from the start of the video."""
    end_seconds: float
    """End, counted from the start of the video."""
    text: str


def transcript_between(
    captions: Iterable[Caption], start_seconds: float, end_seconds: float
) -> str:
    """Return the text of the captions that overlap a part of a video, each text once."""
    overlapping = (
        caption
        for caption in captions
        if caption.start_seconds < end_seconds and caption.end_seconds > start_seconds
    )
    return " ".join(dict.fromkeys(caption.text for caption in overlapping))


class TranscriptReader:
    """Reads the captions of files.

    Files are read in isolated processes; speech is recognised in this process.
    """

    def __init__(self, isolation: Isolation, transcriber: Transcriber | None) -> None:
        self._isolation = isolation
        self._transcriber = transcriber

    def read(self, video: VideoFile, info: VideoInfo) -> tuple[Caption, ...]:
        """Return the subtitles of a file, or else its recognised speech.

        If they cannot be read, log a warning and return no captions.
        """
        try:
            captions = self._subtitles(video, info)
            if captions or self._transcriber is None:
                return captions
            sound = self._isolation.run(read_sound, video.path, info.start_seconds)
            return tuple(self._transcriber.transcribe(sound)) if sound is not None else ()
        except VideoError as error:
            return _no_captions(error)

    def reread(self, video: VideoFile, info: VideoInfo) -> tuple[Caption, ...] | None:
        """Return the current subtitles of a file with known content.

        None: the file has no subtitles, and speech that was recognised before is still valid.
        """
        try:
            captions = self._subtitles(video, info)
        except VideoError as error:
            return _no_captions(error)
        return captions or (None if self._transcriber is not None else ())

    def _subtitles(self, video: VideoFile, info: VideoInfo) -> tuple[Caption, ...]:
        """Return the subtitles of a file, read in an isolated process."""
        args = (video.subtitles, info.start_seconds)
        captions = tuple(self._isolation.run(read_subtitles, video.path, *args))
        late = sum(caption.start_seconds >= info.duration_seconds for caption in captions)
        if late:
            logger.warning(
                "{}: {} of {} captions are left out, they start after its end at {:.2f} s",
                *(printable(video.path), late, len(captions), info.duration_seconds),
            )
        return captions


def _no_captions(error: VideoError) -> tuple[Caption, ...]:
    """Return no captions, and log the reason."""
    logger.warning("indexed without a transcript: {}", printable(str(error)))
    return ()


def read_subtitles(
    path: Path, subtitle_files: Sequence[Path], start_seconds: float
) -> list[Caption]:
    """Return the captions of the subtitle files, or else of the first text stream in the video.

    Args:
        path: The video.
        subtitle_files: Subtitle files of the video, in any number of languages.
        start_seconds: Time of the start of the video on the file's own clock.

    Raises:
        VideoError: If a subtitle file cannot be read.
    """
    if subtitle_files:
        return [caption for file in subtitle_files for caption in _file_captions(file)]
    with opened(path) as (container, _):
        text_streams = [stream for stream in container.streams.subtitles if _is_text(stream)]
        return _stream_captions(container, text_streams[0], start_seconds) if text_streams else []


def _file_captions(path: Path) -> list[Caption]:
    try:
        events = pysubs2.SSAFile.from_string(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, pysubs2.exceptions.Pysubs2Error) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise VideoError(f"{path}: cannot be read as UTF-8 subtitles ({reason})") from None
    return [_caption(event, 0.0) for event in events if event.is_text]


def _is_text(stream: SubtitleStream) -> bool:
    """Return whether a subtitle stream contains text instead of pictures."""
    return Properties.TEXT_SUB in Properties(stream.codec_context.codec.properties)


def _stream_captions(
    container: InputContainer, stream: SubtitleStream, start_seconds: float
) -> list[Caption]:
    """Return the captions of a text stream; ffmpeg itself skips what does not decode."""
    time_base = stream.time_base
    captions = []
    for packet in container.demux(stream):
        if packet.pts is None or time_base is None:
            continue
        start = float(packet.pts * time_base)
        end = start + float((packet.duration or 0) * time_base)
        for subtitle in packet.decode():
            # ffmpeg converts every text format to ASS; pysubs2 removes its markup.
            assert isinstance(subtitle, AssSubtitle), "_is_text() accepted the stream"
            text = subtitle.dialogue.decode("utf-8", "replace")
            event = pysubs2.SSAEvent(round(1000 * start), round(1000 * end), text)
            captions.append(_caption(event, start_seconds))
    return captions


def _caption(event: pysubs2.SSAEvent, start_seconds: float) -> Caption:
    """Return a subtitle as plain text on one line, timed from the start of the video."""
    return Caption(
        event.start / 1000 - start_seconds,
        event.end / 1000 - start_seconds,
        " ".join(event.plaintext.split()),
    )


@dataclass(frozen=True)
class Sound:
    """One channel of sound."""

    samples: NDArray[np.float32]
    """Samples in [-1, 1] at `SAMPLES_PER_SECOND`."""
    start_seconds: float
    """Time of the first sample, counted from the start of the video."""


def read_sound(path: Path, start_seconds: float) -> Sound | None:
    """Return the first audio stream of a video, mixed to one channel; None without audio.

    Args:
        path: The video.
        start_seconds: Time of the start of the video on the file's own clock.

    Raises:
        VideoError: If the file cannot be read.
    """
    with opened(path) as (container, _):
        if not container.streams.audio:
            return None
        frames = list(_resampled(container))
    if not frames:
        return None
    samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
    return Sound(samples, (frames[0].time or 0.0) - start_seconds)


def _resampled(container: InputContainer) -> Iterator[AudioFrame]:
    """Yield the frames of the first audio stream as one channel at `SAMPLES_PER_SECOND`."""
    resampler = AudioResampler(format="flt", layout="mono", rate=SAMPLES_PER_SECOND)
    for frame in container.decode(container.streams.audio[0]):
        yield from resampler.resample(frame)
    yield from resampler.resample(None)  # flushes what is still buffered


class Transcriber:
    """Speech recognition by faster-whisper; the model detects the language."""

    def __init__(self, folder: Path) -> None:
        """Load the model.

        Raises:
            SetupError: If the model or its package is missing.
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

    def transcribe(self, sound: Sound) -> list[Caption]:
        """Return the recognised speech as captions."""
        utterances, _ = self._model.transcribe(sound.samples, **TRANSCRIBE_OPTIONS)
        return [
            Caption(
                utterance.start + sound.start_seconds,
                utterance.end + sound.start_seconds,
                utterance.text.strip(),
            )
            for utterance in utterances
            if utterance.text.strip()
        ]
