"""The sampling contract: which moments of a video are looked at, and at what size. Arithmetic."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from videolatent_cli.recipe.resolved import digest
from videolatent_cli.video.resize import ONCE, Resizing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from videolatent_cli.recipe.schema import Video

SAMPLING_VERSION = 1
"""Changes when the same numbers would give other frames."""


@dataclass(frozen=True)
class SamplingSpec:
    """Everything that decides which pixels of a video the model sees.

    Frozen and hashed into each cache row, checkpoint and answer: training, asking, indexing and
    evaluation all sample through it.
    """

    fps: float
    min_frames: int
    max_frames: int
    min_pixels: int
    max_pixels: int
    resize: str
    size_multiple_px: int
    """Frame sides are multiples of this: patch size times merge of the backbone."""
    frames_per_group: int
    """The number of frames is a multiple of this, except for a single frame."""
    frame_size_px: tuple[int, int] | None = None
    """Width and height of all frames, for backbones that take one size only: the pixel budget then
    has no effect."""
    version: int = SAMPLING_VERSION
    resizing: Resizing = ONCE

    @classmethod
    def of(
        cls,
        video: Video,
        size_multiple_px: int,
        frames_per_group: int,
        frame_size_px: tuple[int, int] | None = None,
        resizing: Resizing = ONCE,
    ) -> SamplingSpec:
        """Return the contract of a recipe for a backbone."""
        return cls(
            video.fps,
            video.min_frames,
            video.max_frames,
            video.min_pixels,
            video.max_pixels,
            video.resize,
            size_multiple_px,
            frames_per_group,
            frame_size_px,
            resizing=resizing,
        )

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> SamplingSpec:
        """Return the contract that a checkpoint keeps as `asdict` gives it."""
        size, resizing = stored.get("frame_size_px"), stored.get("resizing", {})
        restored = {
            "frame_size_px": tuple(size) if size is not None else None,
            "resizing": Resizing(**resizing),
        }
        return cls(**(stored | restored))

    @cached_property
    def hash(self) -> str:
        """12 hexadecimal digits that change with any value.

        What came later than the first caches counts where it is not what it was for them.
        """
        values = asdict(self)
        if self.resizing == ONCE:
            del values["resizing"]
        return digest(values)

    def difference(self, other: SamplingSpec) -> str:
        """Return in words what differs, such as `max_frames 16 and 32`."""
        mine, theirs = asdict(self), asdict(other)
        return ", ".join(f"{k} {mine[k]} and {theirs[k]}" for k in mine if mine[k] != theirs[k])

    def num_frames(self, duration_seconds: float) -> int:
        """Return how many frames a stretch of video gets."""
        wanted = math.floor(duration_seconds * self.fps + 1e-6)
        bounded = min(max(wanted, self.min_frames), self.max_frames)
        size = self.frames_per_group
        return max(bounded // size * size, 1 if self.max_frames < size else size)

    def times(
        self, duration_seconds: float, window: tuple[float, float] | None = None
    ) -> NDArray[np.float64]:
        """Return the moments to look at (s from the first frame): middles of equal stretches.

        Args:
            duration_seconds: Length of the video.
            window: Start and end of the part that is meant; None: all of it.
        """
        start, end = window or (0.0, duration_seconds)
        count = self.num_frames(end - start)
        return start + (np.arange(count) + 0.5) * (end - start) / count

    def frame_sizes(self, width_px: int, height_px: int) -> tuple[tuple[int, int], ...]:
        """Return the (width, height) that a frame takes in turn, `frame_size` last."""
        return self.resizing.sizes((width_px, height_px), self.frame_size(width_px, height_px))

    def frame_size(self, width_px: int, height_px: int) -> tuple[int, int]:
        """Return (width, height) after resizing: multiples, within the budget, aspect kept.

        Source: the rule of the Qwen2-VL processor.
        """
        if self.frame_size_px is not None:
            return self.frame_size_px
        unit = self.size_multiple_px
        width = max(unit, round(width_px / unit) * unit)
        height = max(unit, round(height_px / unit) * unit)
        if width * height > self.max_pixels:
            scale = math.sqrt(width_px * height_px / self.max_pixels)
            width = max(unit, math.floor(width_px / scale / unit) * unit)
            height = max(unit, math.floor(height_px / scale / unit) * unit)
        elif width * height < self.min_pixels:
            scale = math.sqrt(self.min_pixels / (width_px * height_px))
            width = math.ceil(width_px * scale / unit) * unit
            height = math.ceil(height_px * scale / unit) * unit
        return width, height
