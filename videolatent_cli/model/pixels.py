"""From resized frames to the patches that a vision tower takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from videolatent_cli.video.frames import FrameBatch

_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Geometry:
    """How a family cuts frames into patches."""

    patch_px: int
    merge: int
    """Patches merged to one token along each side."""
    frames_per_group: int
    mean: tuple[float, ...] = _CLIP_MEAN
    std: tuple[float, ...] = _CLIP_STD

    @property
    def size_multiple_px(self) -> int:
        """Frame sides must be multiples of this."""
        return self.patch_px * self.merge

    @classmethod
    def of(
        cls,
        config: Any,  # noqa: ANN401 - the class depends on the family
        folder: str | Path,
    ) -> Geometry:
        """Return the geometry of a model: its configuration, and its processor file's colours."""
        vision = config.vision_config
        path = Path(folder) / "preprocessor_config.json"
        stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return cls(
            vision.patch_size,
            vision.spatial_merge_size,
            vision.temporal_patch_size,
            tuple(stored.get("image_mean", _CLIP_MEAN)),
            tuple(stored.get("image_std", _CLIP_STD)),
        )


@dataclass(frozen=True)
class Patches:
    """Patches of one video."""

    pixels: Float[Tensor, "patch values"]
    grid: tuple[int, int, int]
    group_seconds: Float[Tensor, " group"]
    pts_seconds: Float[Tensor, " frame"]


def patchify(frames: FrameBatch, geometry: Geometry) -> Patches:
    """Return normalised float32 patches; the last frame is repeated to fill its group.

    Source: the layout of transformers' Qwen2-VL video processor, which it equals bit by bit.
    """
    data = torch.from_numpy(np.ascontiguousarray(frames.data)).permute(0, 3, 1, 2)
    times = torch.from_numpy(frames.pts_seconds)
    size = geometry.frames_per_group
    missing = -len(data) % size
    if missing:
        data = torch.cat((data, data[-1:].expand(missing, -1, -1, -1)))
    padded = torch.cat((times, times[-1:].expand(missing)))
    mean = torch.tensor(geometry.mean).mul(255).view(3, 1, 1)
    std = torch.tensor(geometry.std).mul(255).view(3, 1, 1)
    normal = (data.float() - mean) / std
    groups, rows, columns = (
        len(data) // size,
        data.shape[2] // geometry.patch_px,
        data.shape[3] // geometry.patch_px,
    )
    merge, patch = geometry.merge, geometry.patch_px
    cut = normal.reshape(
        groups, size, 3, rows // merge, merge, patch, columns // merge, merge, patch
    ).permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
    pixels = cut.reshape(groups * rows * columns, 3 * size * patch * patch)
    middle = padded.view(groups, size).mean(1)
    return Patches(pixels, (groups, rows, columns), middle, times)
