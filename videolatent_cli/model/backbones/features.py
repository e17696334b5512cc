"""Visual features of a video and their layout, as the vision tower and merger output them."""

import zlib
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from videolatent_cli.recipe.data_schema import Visible


@dataclass(frozen=True)
class Layout:
    """Times and grid of a video's visual tokens, which determine the video's prompt."""

    grid: tuple[int, int, int]
    """Number of frame groups, and rows and columns of a group in the family's own unit."""
    group_seconds: Float[Tensor, " group"]
    """Presentation time at the middle of each frame group (s), float64."""
    pts_seconds: Float[Tensor, " frame"]
    """Presentation times of the frames (s), float64."""
    duration_seconds: float | None = field(default=None, kw_only=True)
    """Length of the whole video (s); None: unknown."""

    @property
    def seconds_per_group(self) -> float:
        """Mean time between frame groups (s); 1 if there is only one group."""
        groups = self.grid[0]
        if groups == 1:
            return 1.0
        span = self.group_seconds[-1] - self.group_seconds[0]
        return max(float(span) / (groups - 1), 1e-3)


@dataclass(frozen=True)
class VideoFeatures(Layout):
    """Merged visual features of one video, as the feature cache stores them."""

    embeds: Float[Tensor, "token dim"]
    """One vector per visual token, group by group; tokens that belong to no group come last."""
    deep: Float[Tensor, "level token dim"] | None = None
    """DeepStack features (Qwen3-VL); level i is added after decoder layer i, counted from 0."""

    def by_group(self) -> Float[Tensor, "group token dim"]:
        """Return the vectors of all frame groups, without the tokens that belong to none."""
        return _by_group(self.embeds, self.grid[0])

    def of_groups(self, kept: Int[Tensor, " kept"]) -> "VideoFeatures":
        """Return the features of the groups `kept`, in this order, with the times of those groups.

        Tokens that belong to no group stay at the end.
        """
        groups = self.grid[0]

        def select(values: Tensor) -> Tensor:  # (token, dim)
            inside = _by_group(values, groups)[kept].flatten(0, 1)
            return torch.cat((inside, values[_tokens_per_group(values, groups) * groups :]))

        return replace(
            self,
            embeds=select(self.embeds),
            deep=torch.stack([select(level) for level in self.deep])
            if self.deep is not None
            else None,
            grid=(len(kept), *self.grid[1:]),
            group_seconds=self.group_seconds[kept],
        )


def _tokens_per_group(values: Float[Tensor, "seq dim"], groups: int) -> int:
    """Return the number of visual tokens per frame group."""
    # Rounded down: LLaVA-OneVision has one more token, which belongs to no group.
    return len(values) // groups


def _by_group(values: Float[Tensor, "seq dim"], groups: int) -> Float[Tensor, "group token dim"]:
    """Return the vectors of all frame groups, without the tokens that belong to none."""
    per_group = _tokens_per_group(values, groups)
    return values[: groups * per_group].view(groups, per_group, -1)


def only_visible(features: VideoFeatures, visible: Visible) -> VideoFeatures:
    """Return the part of a video's features that a leak check shows to the model.

    `video` keeps everything. `endpoints` keeps the first and last frame group. `shuffled` reorders
    the groups, and `none` sets all features to zero.

    Choice: the order of `shuffled` is seeded with a checksum of the features, so that it differs
    between videos and is the same each time. Group times stay in order.
    """
    if visible == "video":
        return features
    if visible == "none":
        deep = torch.zeros_like(features.deep) if features.deep is not None else None
        return replace(features, embeds=torch.zeros_like(features.embeds), deep=deep)
    groups = features.grid[0]
    if visible == "endpoints":
        return features.of_groups(torch.tensor(sorted({0, groups - 1})))
    checksum = zlib.crc32(features.embeds.float().cpu().numpy().tobytes())
    kept = torch.randperm(groups, generator=torch.Generator().manual_seed(checksum))
    return replace(features.of_groups(kept), group_seconds=features.group_seconds)
