"""What the vision tower made of a video."""

import zlib
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from videolatent_cli.recipe.data_schema import Seen


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


def only_seen(features: VideoFeatures, seen: Seen) -> VideoFeatures:
    """Return what a leak check leaves of a video; the number of tokens stays unless `ends`.

    Choice: the order of `shuffled` follows from the content, so it is random over videos and the
    same each time.
    """
    if seen == "video":
        return features
    if seen == "nothing":
        return replace(features, embeds=torch.zeros_like(features.embeds))
    groups = features.grid[0]
    if seen == "ends":
        kept = sorted({0, groups - 1})
        times = features.group_seconds[kept]
    else:
        checksum = zlib.crc32(features.embeds.float().cpu().numpy().tobytes())
        kept = torch.randperm(groups, generator=torch.Generator().manual_seed(checksum)).tolist()
        times = features.group_seconds
    embeds = features.embeds.view(groups, -1, features.embeds.shape[-1])[kept].flatten(0, 1)
    return replace(
        features, embeds=embeds, grid=(len(kept), *features.grid[1:]), group_seconds=times
    )
