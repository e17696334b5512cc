"""Clips: a video file, or a part of one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from videolatent_cli.video.info import content_id

if TYPE_CHECKING:
    from pathlib import Path


Window = tuple[float | None, float | None]
"""Start and end of a part (s from the first frame); None: start or end of the video."""


@dataclass(frozen=True)
class Clip:
    """A video file or a part of it; clips of the same part of the same file are equal."""

    path: Path
    window: Window = (None, None)
    content_id: str = field(default="", compare=False)
    """Id of the content that the clip refers to; empty: the current content of the file."""

    def pinned(self) -> Clip:
        """Return the clip with the content id of its file.

        A later change of the file is then noticed; cached features are found without the file.

        Raises:
            VideoError: If the file is missing.
        """
        return self if self.content_id else replace(self, content_id=content_id(self.path))
