"""What is said in the videos of a library: subtitles, else speech where a model is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loguru import logger

from videolatent_cli.errors import VideoError, printable
from videolatent_cli.video.sound import read_sound
from videolatent_cli.video.subtitles import Line, read_subtitles

if TYPE_CHECKING:
    from videolatent_cli.model.speech import Transcriber
    from videolatent_cli.pipeline.library.isolation import Isolation
    from videolatent_cli.video.probe import VideoInfo
    from videolatent_cli.video.walk import VideoFile


class LineReader:
    """Reads the lines of files in processes of their own, and listens in this one."""

    def __init__(self, isolation: Isolation, transcriber: Transcriber | None) -> None:
        self._isolation = isolation
        self._transcriber = transcriber

    def read(self, video: VideoFile, info: VideoInfo) -> tuple[Line, ...]:
        """Return a file's lines; none, with a warning, where they cannot be read."""
        try:
            found = self._subtitles(video, info)
            if found or self._transcriber is None:
                return found
            sound = self._isolation.run(read_sound, video.path, info.start_seconds)
            return tuple(self._transcriber.lines(sound)) if sound is not None else ()
        except VideoError as error:
            return _without(error)

    def read_again(self, video: VideoFile, info: VideoInfo) -> tuple[Line, ...] | None:
        """Return the lines of a file whose content is known; None: what was heard still stands."""
        try:
            found = self._subtitles(video, info)
        except VideoError as error:
            return _without(error)
        return found or (None if self._transcriber is not None else ())

    def _subtitles(self, video: VideoFile, info: VideoInfo) -> tuple[Line, ...]:
        """Return a file's subtitles."""
        read = self._isolation.run
        return tuple(read(read_subtitles, video.path, video.subtitles, info.start_seconds))


def _without(error: VideoError) -> tuple[Line, ...]:
    """Say that a file is indexed without lines."""
    logger.warning("indexed without what is said: {}", printable(str(error)))
    return ()
