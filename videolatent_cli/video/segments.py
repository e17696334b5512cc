"""How a video is cut into the parts that a library finds."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from videolatent_cli.errors import RecipeError
from videolatent_cli.video.scenes import DetectedSegments, SceneSegments

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class FixedSegments:
    """Parts of equal length; a rest of less than half of it belongs to the part before."""

    seconds: float

    @property
    def name(self) -> str:
        """How the rule is written."""
        return f"fixed:{self.seconds:g}s"

    def cut(self, path: Path, duration_seconds: float) -> list[tuple[float, float]]:
        """Return start and end of each part (s), in order, without gaps."""
        del path
        count = max(1, math.floor(duration_seconds / self.seconds + 0.5))
        starts = [index * self.seconds for index in range(count)]
        return list(zip(starts, [*starts[1:], duration_seconds], strict=True))


class SegmentRule(Protocol):
    """A way to cut videos."""

    @property
    def name(self) -> str:
        """How the rule is written."""

    def cut(self, path: Path, duration_seconds: float) -> list[tuple[float, float]]:
        """Return start and end of each part (s), in order, without gaps."""


def cut_video(path: Path, rule: SegmentRule, duration_seconds: float) -> list[tuple[float, float]]:
    """Return the parts of a video, so that a process of its own can do it."""
    return rule.cut(path, duration_seconds)


def parse_segments(text: str) -> SegmentRule:
    """Return the rule that a user wrote: `fixed:10s`, `scenes` or `scenedetect`.

    Raises:
        RecipeError: For anything else.
        EnvironmentProblemError: Where the package for it is missing.
    """
    if text in (SceneSegments.name, DetectedSegments.name):
        return SceneSegments() if text == SceneSegments.name else DetectedSegments()
    found = re.fullmatch(r"fixed:(\d+(?:\.\d+)?)s?", text)
    if found is None or float(found[1]) <= 0:
        raise RecipeError(
            f"--segments: must be like fixed:10s, or scenes, or scenedetect, got '{text}'"
        )
    return FixedSegments(float(found[1]))
