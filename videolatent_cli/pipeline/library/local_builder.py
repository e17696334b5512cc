"""Build segments on this machine: decode in isolated processes, then encode and describe."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from videolatent_cli.errors import VideoError, printable
from videolatent_cli.model.source import encode_clips
from videolatent_cli.pipeline.library.segment_builder import SegmentAssembler, SegmentJob
from videolatent_cli.video.content import check_content
from videolatent_cli.video.decode import decode_frames
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
    """Segments of some jobs, and the contents that failed; features are in the cache."""

    segments: list[SegmentRow] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Reasons by content id, for contents that cannot be decoded."""


class SegmentBuilder(Protocol):
    """Builds segments, on this machine or on others."""

    files_at_once: int
    """Number of files that are best built together."""

    def build(self, jobs: Sequence[SegmentJob], check_stop: Callable[[], None]) -> BuildResult:
        """Return the segments of some jobs and cache their features.

        Args:
            jobs: Segments to build.
            check_stop: Called after each clip or content; may end the work by raising.
        """


class LocalBuilder:
    """Builds segments in this process; clips are decoded in isolated processes."""

    files_at_once = 32

    def __init__(
        self, trained: TrainedModel, source: VideoSource, embedder: Embedder, isolation: Isolation
    ) -> None:
        self._source = source
        self._embeds_pictures = embedder.source == "picture"
        self._assembler = SegmentAssembler(trained, self._source, embedder)
        self._isolation = isolation
        self._timeout_seconds = trained.checkpoint.recipe.video.timeout_seconds

    def build(self, jobs: Sequence[SegmentJob], check_stop: Callable[[], None]) -> BuildResult:
        """Return the segments of some jobs and cache their features."""
        thumbnails, bad_files = self._encode(jobs, check_stop)
        # One clip that fails excludes its whole content, and with it all copies.
        failed = {
            job.row.content_id: bad_files[job.clip.path]
            for job in jobs
            if job.clip.path in bad_files
        }
        good = [job for job in jobs if job.row.content_id not in failed]
        return BuildResult(self._assembler.assemble(good, thumbnails), failed)

    def _encode(
        self, jobs: Sequence[SegmentJob], check_stop: Callable[[], None]
    ) -> tuple[dict[Clip, bytes], dict[Path, str]]:
        """Fill the cache; return thumbnails by clip, and reasons by path for files that failed.

        A clip with cached features is not decoded; it gets a thumbnail only if the embedder needs
        pictures.
        """
        missing = [job.clip for job in jobs if not self._source.cached(job.clip)]
        thumbnails: dict[Clip, bytes] = {}
        failed: dict[Path, str] = {}
        if missing:
            encoding = encode_clips(self._source, missing, decode=self._decode)
            with closing(encoding):  # commits what is encoded, even if check_stop() raises
                for clip, frames in encoding:
                    if isinstance(frames, VideoError):
                        failed.setdefault(clip.path, printable(str(frames)))
                    else:
                        thumbnails[clip] = jpeg(frames.data[len(frames) // 2])
                    check_stop()
        if self._embeds_pictures:
            for job in jobs:
                if job.clip not in thumbnails and job.clip.path not in failed:
                    try:
                        thumbnails[job.clip] = self._thumbnail(job)
                    except VideoError as error:
                        failed[job.clip.path] = printable(str(error))
        return thumbnails, failed

    def _decode(self, clip: Clip) -> FrameBatch:
        """Return the frames of a clip, decoded in an isolated process."""
        args = (clip.path, self._source.sampling, clip.window, self._timeout_seconds)
        frames = self._isolation.run(decode_frames, *args)
        check_content(clip.path, clip.content_id)  # the file may have changed since it was probed
        return frames

    def _thumbnail(self, job: SegmentJob) -> bytes:
        """Return a picture from the middle of a job's clip, decoded on its own."""
        start, end = job.clip.window
        stop = job.row.duration_seconds if end is None else end
        return self._isolation.run(moment_thumbnail, job.clip.path, start or 0.0, stop)
