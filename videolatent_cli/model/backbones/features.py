"""What the vision tower made of a video."""

import zlib
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from videolatent_cli.recipe.data_schema import Visible


@dataclass(frozen=True)
class Layout:
    """How a video becomes visual tokens: all that the prompt must know of it."""

    grid: tuple[int, int, int]
    """Frame groups, and rows and columns of each in the family's own unit."""
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


@dataclass(frozen=True)
class VideoFeatures(Layout):
    """What the vision tower and merger made of one video: all that the cache stores."""

    embeds: Float[Tensor, "token dim"]
    """One vector a visual token, group by group; tokens of no group come last."""
    deep: Float[Tensor, "level token dim"] | None = None
    """What is added to the visual tokens after each of the first decoder layers (Qwen3-VL)."""

    def by_group(self) -> Float[Tensor, "group token dim"]:
        """Return the vectors of each frame group."""
        return _by_group(self.embeds, self.grid[0])

    def of_groups(self, kept: Int[Tensor, " kept"]) -> "VideoFeatures":
        """Return the features of some groups, in the order of `kept`, at those groups' times."""
        groups = self.grid[0]

        def cut(values: Tensor) -> Tensor:
            inside = _by_group(values, groups)[kept].flatten(0, 1)
            return torch.cat((inside, values[_tokens_per_group(values, groups) * groups :]))

        return replace(
            self,
            embeds=cut(self.embeds),
            deep=torch.stack([cut(level) for level in self.deep])
            if self.deep is not None
            else None,
            grid=(len(kept), *self.grid[1:]),
            group_seconds=self.group_seconds[kept],
        )


def _tokens_per_group(values: Float[Tensor, "seq dim"], groups: int) -> int:
    return len(values) // groups


def _by_group(values: Float[Tensor, "seq dim"], groups: int) -> Float[Tensor, "group token dim"]:
    per_group = _tokens_per_group(values, groups)
    return values[: groups * per_group].view(groups, per_group, -1)


def only_visible(features: VideoFeatures, visible: Visible) -> VideoFeatures:
    """Return what a leak check leaves of a video; the number of tokens stays unless `ends`.

    Choice: the order of `shuffled` follows from the content, so it is random over videos and the
    same each time; times stay in order.
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
