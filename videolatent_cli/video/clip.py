"""A video file, or a part of one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from videolatent_cli.video.info import content_id

if TYPE_CHECKING:
    from pathlib import Path


Window = tuple[float | None, float | None]


@dataclass(frozen=True)
class Clip:
    """A video file, or a part of it; clips of the same part of the same file are equal."""

    path: Path
    window: Window = (None, None)
    content_id: str = field(default="", compare=False)
    """The content that is meant; empty: what the file holds at the moment."""

    def pinned(self) -> Clip:
        """Return the clip of a content: from now on the file may change or go.

        Raises:
            VideoError: Where the file is missing.
        """
        return self if self.content_id else replace(self, content_id=content_id(self.path))
