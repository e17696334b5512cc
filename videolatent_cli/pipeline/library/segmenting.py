"""Rules that cut a video into the segments of a library."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from videolatent_cli.errors import SetupError, UsageError
from videolatent_cli.video.decode import decode_frames
from videolatent_cli.video.sampling import SamplingSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_STRETCH_SECONDS = 60.0
"""What is decoded at a time."""
_FPS = 4.0
_SPEC = SamplingSpec(
    fps=_FPS,
    min_frames=2,
    max_frames=int(_STRETCH_SECONDS * _FPS) + 1,
    min_pixels=32 * 32,
    max_pixels=64 * 64,
    resize="ffmpeg",
    size_multiple_px=2,
    frames_per_group=1,
)
_LEAST_CHANGE, _TIMES_USUAL = 0.12, 4.0
"""A cut changes the picture by this share of full scale, and by so many times the usual change."""
_LEAST_SECONDS = 1.0
"""A scene is no shorter; a shorter one belongs to the one before."""


@dataclass(frozen=True)
class SceneSegments:
    """Scenes by the change between frames, four a second.

    Choice: mean absolute difference of neighbouring frames, against a floor and against the median
    of the video; fades and slow pans do not cut.
    """

    name: ClassVar[str] = "scenes"

    def cut(self, path: Path, duration_seconds: float) -> list[tuple[float, float]]:
        """Return start and end of each scene (s), in order, without gaps."""
        times, changes = [], []
        for time, change in _changes(path, duration_seconds):
            times.append(time)
            changes.append(change)
        bar = max(_LEAST_CHANGE, _TIMES_USUAL * float(np.median(changes))) if changes else 0.0
        cuts = (time for time, change in zip(times, changes, strict=True) if change > bar)
        return scenes_between(cuts, duration_seconds)


@dataclass(frozen=True)
class DetectedSegments:
    """Scenes by PySceneDetect's content detector, which reads every frame."""

    name: ClassVar[str] = "scenedetect"

    def __post_init__(self) -> None:
        """Look for the package.

        Raises:
            SetupError: Where it is missing.
        """
        try:
            import scenedetect  # noqa: F401 - only whether it is there
        except ImportError:
            raise SetupError(
                "--segments: scenedetect is missing; pip install 'videolatent-cli[scenes]', or use "
                "--segments scenes, which needs nothing"
            ) from None

    def cut(self, path: Path, duration_seconds: float) -> list[tuple[float, float]]:
        """Return start and end of each scene (s), in order, without gaps."""
        from scenedetect import ContentDetector, SceneManager, open_video

        manager = SceneManager()
        manager.add_detector(ContentDetector())
        manager.detect_scenes(open_video(str(path), backend="pyav"))
        starts = (start.seconds for start, _ in manager.get_scene_list())
        return scenes_between(starts, duration_seconds)


def scenes_between(cuts: Iterable[float], duration_seconds: float) -> list[tuple[float, float]]:
    """Return the scenes between cuts (s), none shorter than a second unless the video is."""
    starts = [0.0]
    for cut in sorted(cuts):
        if cut - starts[-1] >= _LEAST_SECONDS and duration_seconds - cut >= _LEAST_SECONDS:
            starts.append(cut)
    return list(pairwise([*starts, duration_seconds]))


def _changes(path: Path, duration_seconds: float) -> Iterator[tuple[float, float]]:
    """Yield the time of each sampled frame after the first, and its change in [0, 1]."""
    last = None
    for index in range(max(1, math.ceil(duration_seconds / _STRETCH_SECONDS))):
        start = index * _STRETCH_SECONDS
        frames = decode_frames(
            path, _SPEC, (start, min(start + _STRETCH_SECONDS, duration_seconds))
        )
        for frame, seconds in zip(frames.data, frames.pts_seconds, strict=True):
            now = frame.astype(np.float32) / 255
            if last is not None:
                yield float(seconds), float(np.abs(now - last).mean())
            last = now


@dataclass(frozen=True)
class FixedSegments:
    """Parts of equal length; a rest of less than half of it belongs to the part before."""

    seconds: float

    @property
    def name(self) -> str:
        """How the rule is written."""
        return f"fixed:{self.seconds:g}s"

    def cut(self, path: Path, duration_seconds: float) -> list[tuple[float, float]]:
        """Return start and end of each part (s), in order, without gaps."""
        del path
        count = max(1, math.floor(duration_seconds / self.seconds + 0.5))
        starts = [index * self.seconds for index in range(count)]
        return list(zip(starts, [*starts[1:], duration_seconds], strict=True))


class SegmentRule(Protocol):
    """A way to cut videos."""

    @property
    def name(self) -> str:
        """How the rule is written."""

    def cut(self, path: Path, duration_seconds: float) -> list[tuple[float, float]]:
        """Return start and end of each part (s), in order, without gaps."""


def cut_video(path: Path, rule: SegmentRule, duration_seconds: float) -> list[tuple[float, float]]:
    """Return the parts of a video, so that a process of its own can do it."""
    return rule.cut(path, duration_seconds)


def parse_segments(text: str) -> SegmentRule:
    """Return the rule that a user wrote: `fixed:10s`, `scenes` or `scenedetect`.

    Raises:
        UsageError: For anything else.
        SetupError: Where the package for it is missing.
    """
    if text in (SceneSegments.name, DetectedSegments.name):
        return SceneSegments() if text == SceneSegments.name else DetectedSegments()
    found = re.fullmatch(r"fixed:(\d+(?:\.\d+)?)s?", text)
    if found is None or float(found[1]) <= 0:
        raise UsageError(
            f"--segments: must be like fixed:10s, or scenes, or scenedetect, got '{text}'"
        )
    return FixedSegments(float(found[1]))
