"""From resized frames to what a vision tower takes."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from transformers.utils.hub import cached_file

from videolatent_cli.errors import SetupError

if TYPE_CHECKING:
    from videolatent_cli.video.frames import FrameBatch


@dataclass(frozen=True)
class Geometry:
    """How a family cuts frames into patches, and patches into tokens."""

    patch_px: int
    merge: int
    """Patches merged to one token along each side."""
    frames_per_group: int
    frame_size_px: tuple[int, int] | None = None
    """Width and height of all frames, for families that take one size only."""

    @property
    def size_multiple_px(self) -> int:
        """Frame sides must be multiples of this."""
        return self.patch_px * self.merge

    def groups(self, num_frames: int) -> int:
        """Return how many groups frames make; the last one is filled up."""
        return -(-num_frames // self.frames_per_group)


@dataclass(frozen=True)
class Colors:
    """Mean and deviation of each channel, of values in [0, 1], that frames are normalised by."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, settings: dict[str, Any]) -> Colors:
        """Return those of a processor."""
        return cls(tuple(settings["image_mean"]), tuple(settings["image_std"]))


def resampling(settings: dict[str, Any], default: str) -> str:
    """Return the filter that a processor resizes with; files have Pillow's numbers.

    Raises:
        SetupError: Where it is one that no known model uses.
    """
    filters = {1: "lanczos", 2: "bilinear", 3: "bicubic"}
    number = settings.get("resample")
    if number is not None and number not in filters:
        raise SetupError(
            f"backbone.model: its processor's resample must be one of {filters}, got {number}; "
            "name a model whose frames are resized by one of them"
        )
    return default if number is None else filters[number]


def processor_files(folder: str | Path) -> list[Path]:
    """Return the files that may say how a model wants its frames, the one that counts first.

    Args:
        folder: Folder or hub id; with `VL_OFFLINE=1` only what is on this machine.
    """
    names = (
        "video_preprocessor_config.json",
        "processor_config.json",
        "preprocessor_config.json",
    )
    found = [
        cached_file(
            str(folder),
            name,
            local_files_only=offline(),
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        for name in names
    ]
    return [Path(path) for path in found if path is not None]


def offline() -> bool:
    """Whether models may only come from this machine."""
    return os.environ.get("VL_OFFLINE") == "1"


def read_settings(folder: str | Path) -> dict[str, Any]:
    """Return how a model wants its frames, as its processor's file says it.

    Raises:
        SetupError: Where the model has no such file.
    """
    for path in processor_files(folder):
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        settings: dict[str, Any] = found.get("video_processor", found)
        if "image_mean" in settings:
            return settings
    raise SetupError(
        f"backbone.model: '{folder}' says nowhere how frames are normalised; add its "
        "preprocessor_config.json"
    )


def normalised(frames: FrameBatch, colors: Colors) -> Float[Tensor, "frame 3 height width"]:
    """Return float32 frames of about mean 0 and deviation 1.

    Source: transformers' video processors, which they equal bit by bit: the scale of 1/255 is
    moved into mean and deviation.
    """
    data = torch.from_numpy(np.ascontiguousarray(frames.data)).permute(0, 3, 1, 2)
    mean, std = (torch.tensor(c).mul(255).view(3, 1, 1) for c in (colors.mean, colors.std))
    return (data.float() - mean) / std


def group_times(times: Float[Tensor, " frame"], size: int) -> Float[Tensor, " group"]:
    """Return the middle of each group of frames (s); the last frame fills up its group."""
    return filled(times, size).view(-1, size).mean(1)


def filled(values: Float[Tensor, ...], size: int) -> Float[Tensor, ...]:
    """Return frames with the last one repeated until they are a multiple of `size`."""
    missing = -len(values) % size
    return torch.cat((values, values[-1:].expand(missing, *values.shape[1:])))


def patchify(
    frames: FrameBatch, geometry: Geometry, colors: Colors
) -> Float[Tensor, "patch values"]:
    """Return normalised float32 patches of all frame groups.

    Source: the layout of transformers' Qwen2-VL video processor, which it equals bit by bit.
    """
    size, merge, patch = geometry.frames_per_group, geometry.merge, geometry.patch_px
    data = filled(normalised(frames, colors), size)
    rows, columns = data.shape[2] // patch, data.shape[3] // patch
    cut = data.reshape(
        -1, size, 3, rows // merge, merge, patch, columns // merge, merge, patch
    ).permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return cut.reshape(-1, 3 * size * patch * patch)
