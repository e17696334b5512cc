"""Rules that cut a video into the segments of a library."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from videolatent_cli.errors import SetupError, UsageError, VideoError
from videolatent_cli.video.decode import decode_frames
from videolatent_cli.video.info import read_info
from videolatent_cli.video.sampling import SamplingSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_CHUNK_SECONDS = 60.0
"""Length of the part of a video that is decoded at a time, which bounds the memory."""
_FPS = 4.0
"""Frames per second that are compared to find scenes."""
_SAMPLING = SamplingSpec(
    fps=_FPS,
    min_frames=2,
    max_frames=int(_CHUNK_SECONDS * _FPS) + 1,
    min_pixels=32 * 32,
    max_pixels=64 * 64,
    resize="ffmpeg",
    size_multiple_px=2,
    frames_per_group=1,
)
_MIN_CHANGE, _MEDIAN_FACTOR = 0.12, 4.0
"""Smallest change of the picture at a cut: a share of full scale, and a multiple of the median."""
_MIN_SCENE_SECONDS = 1.0
"""Shortest scene; a shorter one is joined to a neighbour."""


class SegmentRule(Protocol):
    """A rule that cuts videos into segments."""

    @property
    def name(self) -> str:
        """The rule as it is written on the command line."""

    def cut(self, path: Path, duration_seconds: float) -> list[tuple[float, float]]:
        """Return start and end of each segment (s), in order and without gaps."""


def parse_segments(text: str) -> SegmentRule:
    """Return the rule for `fixed:10s`, `scenes` or `scenedetect`.

    Raises:
        UsageError: For any other text.
        SetupError: If a package that the rule needs is missing.
    """
    if text == SceneChangeRule.name:
        return SceneChangeRule()
    if text == SceneDetectRule.name:
        return SceneDetectRule()
    match = re.fullmatch(r"fixed:(\d+(?:\.\d+)?)s?", text)
    if match is None or float(match[1]) <= 0:
        raise UsageError(
            f"--segments: must be like fixed:10s, or scenes, or scenedetect, got '{text}'"
        )
    return FixedLengthRule(float(match[1]))


def cut_video(path: Path, rule: SegmentRule, duration_seconds: float) -> list[tuple[float, float]]:
    """Return the segments of a video; a function that isolated processes can run on a path."""
    return rule.cut(path, duration_seconds)


@dataclass(frozen=True)
class FixedLengthRule:
    """Segments of equal length; a rest of less than half of it joins the segment before."""

    seconds: float
    """Length of a segment."""

    @property
    def name(self) -> str:
        """The rule as it is written on the command line."""
        return f"fixed:{self.seconds:g}s"

    def cut(self, path: Path, duration_seconds: float) -> list[tuple[float, float]]:
        """Return start and end of each segment (s), in order and without gaps."""
        del path
        # Rounding to the nearest count drops a short rest; the last segment then reaches the end.
        count = max(1, math.floor(duration_seconds / self.seconds + 0.5))
        starts = [index * self.seconds for index in range(count)]
        return list(zip(starts, [*starts[1:], duration_seconds], strict=True))


@dataclass(frozen=True)
class SceneChangeRule:
    """Scenes found by the change between frames, four per second.

    Choice: the mean absolute difference of neighbouring frames must exceed a fixed minimum and a
    multiple of the video's median. Fades and slow pans do not cut.
    """

    name: ClassVar[str] = "scenes"

    def cut(self, path: Path, duration_seconds: float) -> list[tuple[float, float]]:
        """Return start and end of each scene (s), in order and without gaps."""
        times, changes = [], []
        for time, change in _frame_changes(path, duration_seconds):
            times.append(time)
            changes.append(change)
        # The median adapts the threshold to videos that move all the time.
        threshold = 0.0
        if changes:
            threshold = max(_MIN_CHANGE, _MEDIAN_FACTOR * float(np.median(changes)))
        cuts = (time for time, change in zip(times, changes, strict=True) if change > threshold)
        return scenes_between(cuts, duration_seconds)


def _frame_changes(path: Path, duration_seconds: float) -> Iterator[tuple[float, float]]:
    """Yield the time of each sampled frame after the first, and its change in [0, 1]."""
    previous = None  # kept across chunks, so that a cut between two chunks is found
    for index in range(max(1, math.ceil(duration_seconds / _CHUNK_SECONDS))):
        start = index * _CHUNK_SECONDS
        window = (start, min(start + _CHUNK_SECONDS, duration_seconds))
        frames = decode_frames(path, _SAMPLING, window)
        for frame, seconds in zip(frames.data, frames.pts_seconds, strict=True):
            current = frame.astype(np.float32) / 255
            if previous is not None:
                yield float(seconds), float(np.abs(current - previous).mean())
            previous = current


@dataclass(frozen=True)
class SceneDetectRule:
    """Scenes found by PySceneDetect's content detector, which reads every frame."""

    name: ClassVar[str] = "scenedetect"

    def __post_init__(self) -> None:
        """Check that the package is installed.

        Raises:
            SetupError: If it is missing.
        """
        try:
            import scenedetect  # noqa: F401 - imported only to see whether it is installed
        except ImportError:
            raise SetupError(
                "--segments: scenedetect is missing; pip install 'videolatent-cli[scenes]', or use "
                "--segments scenes, which needs no other package"
            ) from None

    def cut(self, path: Path, duration_seconds: float) -> list[tuple[float, float]]:
        """Return start and end of each scene (s), in order and without gaps.

        Raises:
            VideoError: If the file is joined from parts, whose clocks PySceneDetect mixes up.
        """
        from scenedetect import ContentDetector, SceneManager, open_video

        info = read_info(path)
        if info.clock_jumps:
            raise VideoError(
                f"{path}: scenedetect cannot read a file that is joined from parts; remux it with "
                "ffmpeg -i IN -c copy OUT.mkv, or use --segments scenes"
            )
        video = open_video(str(path), backend="pyav")
        video.read()
        # The zero of its clock depends on the container.
        shift = info.picture_seconds[0] - video.position.seconds
        video.reset()
        manager = SceneManager()
        manager.add_detector(ContentDetector())
        manager.detect_scenes(video)
        # The first scene starts at the first frame.
        starts = (start.seconds + shift for start, _ in manager.get_scene_list()[1:])
        return scenes_between(starts, duration_seconds)


def scenes_between(cuts: Iterable[float], duration_seconds: float) -> list[tuple[float, float]]:
    """Return the scenes between cuts (s); none is shorter than a second unless the video is."""
    starts = [0.0]
    for cut in sorted(cuts):
        if cut - starts[-1] >= _MIN_SCENE_SECONDS and duration_seconds - cut >= _MIN_SCENE_SECONDS:
            starts.append(cut)
    return list(pairwise([*starts, duration_seconds]))
