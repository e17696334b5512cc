"""Decoded frames with their presentation times."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class FrameBatch:
    """Frames of one video or of a part of it, in order of presentation."""

    data: NDArray[np.uint8]
    """RGB values in [0, 255], shape (frame, height, width, 3)."""
    pts_seconds: NDArray[np.float64]
    """Times since the start of the video (s), shape (frame,); never decreasing."""
    duration_seconds: float | None = None
    """Length of the whole video (s); None: unknown."""

    def __post_init__(self) -> None:
        if self.data.ndim != 4 or self.data.shape[-1] != 3 or self.data.dtype != np.uint8:
            raise ValueError(
                "FrameBatch.data must be uint8 (frame, height, width, 3), "
                f"got {self.data.dtype} {self.data.shape}"
            )
        if self.pts_seconds.shape != self.data.shape[:1] or not len(self.data):
            raise ValueError(
                "FrameBatch needs one time for each of at least one frame, "
                f"got {self.pts_seconds.shape} times and {self.data.shape[:1]} frames"
            )
        if (np.diff(self.pts_seconds) < 0).any():
            raise ValueError(f"FrameBatch.pts_seconds must not decrease, got {self.pts_seconds}")

    def __len__(self) -> int:
        return len(self.data)
