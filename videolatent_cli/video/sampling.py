"""Sampling contract: the moments and the frame size at which a video is seen. Only arithmetic."""

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
"""Version of the sampling rules; changes when the same settings would give other frames."""


@dataclass(frozen=True)
class SamplingSpec:
    """All settings that decide which pixels of a video the model sees.

    Its hash is part of each cache row, checkpoint and answer: training, asking, indexing and
    evaluation all sample with it.
    """

    fps: float
    min_frames: int
    max_frames: int
    min_pixels: int
    max_pixels: int
    resize: str
    size_multiple_px: int
    """Number that divides width and height of frames: patch size times merge of the backbone."""
    frames_per_group: int
    """Frames per frame group; this divides the number of frames, except for a single frame."""
    frame_size_px: tuple[int, int] | None = None
    """Width and height of all frames, for backbones that take one size only; `min_pixels` and
    `max_pixels` then have no effect."""
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
        """Return the contract for the `video` section of a recipe and a backbone's geometry."""
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
        """Return the contract that a checkpoint stores, from the output of `asdict`."""
        size, resizing = stored.get("frame_size_px"), stored.get("resizing", {})
        restored = {
            "frame_size_px": tuple(size) if size is not None else None,
            "resizing": Resizing(**resizing),
        }
        return cls(**(stored | restored))

    @cached_property
    def hash(self) -> str:
        """Hash of all values, 12 hexadecimal digits.

        Fields that are newer than the first caches count only if they differ from their defaults,
        so that the hashes of those caches stay valid.
        """
        values = asdict(self)
        if self.resizing == ONCE:
            del values["resizing"]
        return digest(values)

    def difference(self, other: SamplingSpec) -> str:
        """Return the differing fields as text, such as `max_frames 16 and 32`."""
        mine, theirs = asdict(self), asdict(other)
        return ", ".join(f"{k} {mine[k]} and {theirs[k]}" for k in mine if mine[k] != theirs[k])

    def num_frames(self, duration_seconds: float) -> int:
        """Return the number of frames that are sampled from a part of a video."""
        wanted = math.floor(duration_seconds * self.fps + 1e-6)  # 0.29 s at 100 fps: 29 frames
        bounded = min(max(wanted, self.min_frames), self.max_frames)
        size = self.frames_per_group
        return max(bounded // size * size, 1 if self.max_frames < size else size)

    def times(
        self, duration_seconds: float, window: tuple[float, float] | None = None
    ) -> NDArray[np.float64]:
        """Return the moments to sample: the middles of equal intervals.

        They are counted from the start of the video (s).

        Args:
            duration_seconds: Length of the video.
            window: Start and end of the part to sample (s); None: the whole video.
        """
        start, end = window or (0.0, duration_seconds)
        count = self.num_frames(end - start)
        return start + (np.arange(count) + 0.5) * (end - start) / count

    def frame_sizes(self, width_px: int, height_px: int) -> tuple[tuple[int, int], ...]:
        """Return the (width, height) after each resizing step; the last one is `frame_size`."""
        return self.resizing.sizes((width_px, height_px), self.frame_size(width_px, height_px))

    def frame_size(self, width_px: int, height_px: int) -> tuple[int, int]:
        """Return the final (width, height): multiples of the unit, within the pixel limits.

        The aspect ratio is kept as far as the multiples allow.

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
