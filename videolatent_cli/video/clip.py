"""Clips: a video file, or a part of one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from videolatent_cli.errors import WindowError
from videolatent_cli.video.content import content_id

if TYPE_CHECKING:
    from pathlib import Path


Window = tuple[float | None, float | None]
"""Start and end of a part (s from the start of the video); None: start or end of the video."""


def window_bounds(path: Path, window: Window, duration_seconds: float) -> tuple[float, float]:
    """Return start and end (s) of a part of a video; an end beyond the video is that of the video.

    Raises:
        WindowError: If the part lies outside of the video, or ends before it starts.
    """
    start = 0.0 if window[0] is None else window[0]
    end = duration_seconds if window[1] is None else min(window[1], duration_seconds)
    if start >= duration_seconds:
        raise WindowError(
            f"{path}: start must be below its {duration_seconds:.2f} s, got {start:.2f} s"
        )
    if end <= start:
        raise WindowError(f"{path}: end must be after the start {start:.2f} s, got {end:.2f} s")
    return start, end


@dataclass(frozen=True)
class Clip:
    """A video file or a part of it; clips of the same part of the same file are equal."""

    path: Path
    window: Window = (None, None)
    content_id: str = field(default="", compare=False)
    """Id of the content that the clip refers to; empty: the current content of the file."""

    @property
    def is_part(self) -> bool:
        """Whether the clip is a part of a video instead of a whole one."""
        return self.window != (None, None)

    def pinned(self) -> Clip:
        """Return the clip with the content id of its file.

        A later change of the file is then noticed; cached features are found without the file.

        Raises:
            VideoError: If the file is missing.
        """
        return self if self.content_id else replace(self, content_id=content_id(self.path))
