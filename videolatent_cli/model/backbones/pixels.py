"""Conversion of resized frames to the pixel values that vision towers take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from videolatent_cli.errors import SetupError

if TYPE_CHECKING:
    from videolatent_cli.video.frames import FrameBatch


@dataclass(frozen=True)
class Geometry:
    """Sizes by which a family cuts frames into patches, and merges patches into tokens."""

    patch_px: int
    """Side of a patch (px)."""
    merge: int
    """Number of patches per token along each side."""
    frames_per_group: int
    """Number of frames that the vision tower encodes as one time step."""
    frame_size_px: tuple[int, int] | None = None
    """Width and height of all frames (px), for families that take one size only."""

    @property
    def size_multiple_px(self) -> int:
        """Number of pixels that frame sides must be a multiple of."""
        return self.patch_px * self.merge

    def groups(self, num_frames: int) -> int:
        """Return the number of frame groups; an incomplete last group counts as one."""
        return -(-num_frames // self.frames_per_group)


@dataclass(frozen=True)
class Colors:
    """Mean and standard deviation of each channel by which frames are normalised.

    Both are for channel values in [0, 1].
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, settings: dict[str, Any]) -> Colors:
        """Return the colors in the settings of a processor."""
        return cls(tuple(settings["image_mean"]), tuple(settings["image_std"]))


def resampling(settings: dict[str, Any], default: str) -> str:
    """Return the name of the filter that a processor resizes with.

    Args:
        settings: Settings of the processor.
        default: Filter if the settings name none.

    Raises:
        SetupError: If the filter is not supported.
    """
    # The files contain Pillow's numbers.
    filters = {1: "lanczos", 2: "bilinear", 3: "bicubic"}
    number = settings.get("resample")
    if number is not None and number not in filters:
        raise SetupError(
            f"backbone.model: its processor's resample must be one of {filters}, got {number}; "
            "choose a model that resizes frames with one of them"
        )
    return default if number is None else filters[number]


def normalised(frames: FrameBatch, colors: Colors) -> Float[Tensor, "frame 3 height width"]:
    """Return frames in float32 with a mean of about 0 and a standard deviation of about 1.

    Source: transformers' video processors, which the result equals bit by bit. As there, the scale
    of 1/255 is moved into mean and deviation.
    """
    data = torch.from_numpy(np.ascontiguousarray(frames.data)).permute(0, 3, 1, 2)  # channels first
    mean, std = (torch.tensor(c).mul(255).view(3, 1, 1) for c in (colors.mean, colors.std))
    return (data.float() - mean) / std


def group_times(times: Float[Tensor, " frame"], size: int) -> Float[Tensor, " group"]:
    """Return the mean time of each frame group (s); the last frame fills an incomplete group."""
    return filled(times, size).view(-1, size).mean(1)


def filled(values: Float[Tensor, ...], size: int) -> Float[Tensor, ...]:
    """Return frames, or their times, with the last one repeated to a multiple of `size`."""
    missing = -len(values) % size
    return torch.cat((values, values[-1:].expand(missing, *values.shape[1:])))


def patchify(
    frames: FrameBatch, geometry: Geometry, colors: Colors
) -> Float[Tensor, "patch values"]:
    """Return the normalised float32 patches of all frame groups.

    Source: transformers' Qwen2-VL video processor, which the result equals bit by bit.
    """
    size, merge, patch = geometry.frames_per_group, geometry.merge, geometry.patch_px
    data = filled(normalised(frames, colors), size)  # (frame, 3, height, width)
    rows, columns = data.shape[2] // patch, data.shape[3] // patch
    # Axes before permute: 0 group, 1 frame in group, 2 channel, then for rows and for columns:
    # 3, 6 token; 4, 7 patch in token; 5, 8 pixel in patch.
    # The patches that merge into one token become neighbours.
    patches = data.reshape(
        -1, size, 3, rows // merge, merge, patch, columns // merge, merge, patch
    ).permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return patches.reshape(-1, 3 * size * patch * patch)
