"""What the vision tower made of a video."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class VideoFeatures:
    """What the vision tower and merger made of one video: all that the cache stores."""

    embeds: Float[Tensor, "token dim"]
    """One vector a visual token, group by group."""
    grid: tuple[int, int, int]
    """Frame groups, patch rows, patch columns."""
    group_seconds: Float[Tensor, " group"]
    """Presentation time at the middle of each frame group (s), float64."""
    pts_seconds: Float[Tensor, " frame"]
    """Presentation times of the frames (s), float64."""

    @property
    def seconds_per_group(self) -> float:
        """Mean time between groups (s); 1 where there is one group."""
        groups = self.grid[0]
        if groups == 1:
            return 1.0
        span = self.group_seconds[-1] - self.group_seconds[0]
        return max(float(span) / (groups - 1), 1e-3)
