"""Speech recognition by a faster-whisper model on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from videolatent_cli.errors import EnvironmentProblemError
from videolatent_cli.video.subtitles import Line

if TYPE_CHECKING:
    from pathlib import Path

    from videolatent_cli.video.sound import Sound

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
            EnvironmentProblemError: Where the model or its package is missing.
        """
        try:
            from faster_whisper import WhisperModel
        except ImportError:
            raise EnvironmentProblemError(
                "--speech: faster-whisper is missing; pip install 'videolatent-cli[speech]'"
            ) from None
        if not (folder / "model.bin").exists():
            raise EnvironmentProblemError(
                f"--speech: {folder} holds no faster-whisper model (model.bin is missing); convert "
                "one with ct2-transformers-converter, or download a converted one"
            )
        self._model: Any = WhisperModel(str(folder), local_files_only=True)

    def lines(self, sound: Sound) -> list[Line]:
        """Return what is said, as subtitles."""
        found, _ = self._model.transcribe(sound.samples, **OPTIONS)
        return [
            Line(one.start + sound.start_seconds, one.end + sound.start_seconds, one.text.strip())
            for one in found
            if one.text.strip()
        ]
