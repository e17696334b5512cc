"""From parts of files to segments and cached features: decode, encode, describe."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from videolatent_cli.errors import VideoError, printable
from videolatent_cli.model.source import encode_clips
from videolatent_cli.pipeline.library.segment_builder import SegmentAssembler, SegmentJob
from videolatent_cli.video.decode import decode_frames
from videolatent_cli.video.info import check_content
from videolatent_cli.video.thumbnail import jpeg, moment_thumbnail

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from videolatent_cli.model.source import VideoSource
    from videolatent_cli.pipeline.library.embedders.base import Embedder
    from videolatent_cli.pipeline.runs.trained_model import TrainedModel
    from videolatent_cli.runtime.isolation import Isolation
    from videolatent_cli.store.library_rows import SegmentRow
    from videolatent_cli.video.clip import Clip
    from videolatent_cli.video.frames import FrameBatch


@dataclass(frozen=True)
class BuildResult:
    """What became of some parts; features are in the cache."""

    segments: list[SegmentRow] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Contents that do not decode, with the reason."""


class SegmentBuilder(Protocol):
    """Makes segments; where is its own business."""

    files_at_once: int
    """Files that are best made together."""

    def make(self, parts: Sequence[SegmentJob], check: Callable[[], None]) -> BuildResult:
        """Return the segments of some parts; `check` is called often and may stop it by raising."""


class LocalBuilder:
    """Makes segments in this process; decoding in processes of their own."""

    files_at_once = 32

    def __init__(
        self, trained: TrainedModel, source: VideoSource, embedder: Embedder, isolation: Isolation
    ) -> None:
        self._source = source
        self._needs_pictures = embedder.source == "picture"
        self._maker = SegmentAssembler(trained, self._source, embedder)
        self._isolation = isolation
        self._seconds = trained.checkpoint.recipe.video.timeout_seconds

    def make(self, parts: Sequence[SegmentJob], check: Callable[[], None]) -> BuildResult:
        """Return the segments of some parts; their features are in the cache then."""
        pictures, bad = self._encode(parts, check)
        failed = {p.row.content_id: bad[p.clip.path] for p in parts if p.clip.path in bad}
        good = [part for part in parts if part.row.content_id not in failed]
        return BuildResult(self._maker.make(good, pictures), failed)

    def _encode(
        self, parts: Sequence[SegmentJob], check: Callable[[], None]
    ) -> tuple[dict[Clip, bytes], dict[Path, str]]:
        """Fill the cache; return a picture of each clip that was decoded, and what failed."""
        missing = [part.clip for part in parts if not self._source.cached(part.clip)]
        pictures: dict[Clip, bytes] = {}
        failed: dict[Path, str] = {}
        if missing:
            encoding = encode_clips(self._source, missing, decode=self._decode)
            with closing(encoding):
                for clip, frames in encoding:
                    if isinstance(frames, VideoError):
                        failed.setdefault(clip.path, printable(str(frames)))
                    else:
                        pictures[clip] = jpeg(frames.data[len(frames) // 2])
                    check()
        if self._needs_pictures:
            for part in parts:
                if part.clip not in pictures and part.clip.path not in failed:
                    try:
                        pictures[part.clip] = self._picture(part)
                    except VideoError as error:
                        failed[part.clip.path] = printable(str(error))
        return pictures, failed

    def _picture(self, part: SegmentJob) -> bytes:
        """Return a picture of a part whose features were there before, for embedders that see."""
        start, end = part.clip.window
        stop = part.row.duration_seconds if end is None else end
        return self._isolation.run(moment_thumbnail, part.clip.path, start or 0.0, stop)

    def _decode(self, clip: Clip) -> FrameBatch:
        """Return a clip's frames, decoded in a process of its own."""
        sampling = self._source.sampling
        args = (clip.path, sampling, clip.window, self._seconds)
        frames = self._isolation.run(decode_frames, *args)
        check_content(clip.path, clip.content_id)
        return frames
