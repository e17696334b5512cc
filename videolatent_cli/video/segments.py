"""How a video is cut into the parts that a library finds."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from videolatent_cli.errors import RecipeError


@dataclass(frozen=True)
class FixedSegments:
    """Parts of equal length; a rest of less than half of it belongs to the part before."""

    seconds: float

    @property
    def name(self) -> str:
        """How the rule is written."""
        return f"fixed:{self.seconds:g}s"

    def cut(self, duration_seconds: float) -> list[tuple[float, float]]:
        """Return start and end of each part (s), in order, without gaps."""
        count = max(1, math.floor(duration_seconds / self.seconds + 0.5))
        starts = [index * self.seconds for index in range(count)]
        return list(zip(starts, [*starts[1:], duration_seconds], strict=True))


def parse_segments(text: str) -> FixedSegments:
    """Return the rule that a user wrote, such as `fixed:10s`.

    Raises:
        RecipeError: For anything else.
    """
    found = re.fullmatch(r"fixed:(\d+(?:\.\d+)?)s?", text)
    if found is None or float(found[1]) <= 0:
        raise RecipeError(f"--segments: must be like fixed:10s, got '{text}'")
    return FixedSegments(float(found[1]))
