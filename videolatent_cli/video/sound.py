"""The sound of a video, for speech recognition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from av import AudioResampler

from videolatent_cli.video.probe import opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av import AudioFrame
    from av.container import InputContainer
    from numpy.typing import NDArray

SAMPLES_PER_SECOND = 16_000


@dataclass(frozen=True)
class Sound:
    """One channel of sound."""

    samples: NDArray[np.float32]
    """In [-1, 1], `SAMPLES_PER_SECOND` of them a second."""
    start_seconds: float
    """Of the first sample, from the first frame of the video."""


def read_sound(path: Path, start_seconds: float) -> Sound | None:
    """Return the first sound stream of a video, mixed to one channel; None without any.

    Args:
        path: The video.
        start_seconds: Time of its first frame in its own clock.

    Raises:
        VideoError: Where it cannot be read.
    """
    with opened(path) as (container, _):
        if not container.streams.audio:
            return None
        frames = list(_resampled(container))
    if not frames:
        return None
    first = frames[0]
    samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
    return Sound(samples, (first.time or 0.0) - start_seconds)


def _resampled(container: InputContainer) -> Iterator[AudioFrame]:
    """Yield the frames of the first sound stream, resampled."""
    resampler = AudioResampler(format="flt", layout="mono", rate=SAMPLES_PER_SECOND)
    for frame in container.decode(container.streams.audio[0]):
        yield from resampler.resample(frame)
    yield from resampler.resample(None)
