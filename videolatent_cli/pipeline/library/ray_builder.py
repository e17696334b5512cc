"""Segments made on a Ray cluster: workers decode, encode and describe, this process commits."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from videolatent_cli.pipeline.library.embedders.base import open_embedder
from videolatent_cli.pipeline.library.local_builder import BuildResult, LocalBuilder
from videolatent_cli.pipeline.runs.trained_model import open_worker_model
from videolatent_cli.runtime.isolation import Isolation
from videolatent_cli.store import CachedVideo, FeatureCache

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from videolatent_cli.model.source import VideoSource
    from videolatent_cli.pipeline.library.segment_builder import SegmentJob
    from videolatent_cli.runtime.ray_pool import RayPool

_FILES_A_WORKER = 8

Task = tuple[list["SegmentJob"], list[CachedVideo]]
"""Parts of one content, and those of their features that need not be made again."""


class RayBuilder:
    """Gives contents to workers, and keeps what they send back.

    Workers need the videos and the run under the same paths, but no library and no cache.
    """

    def __init__(self, pool: RayPool, source: VideoSource) -> None:
        self.files_at_once = max(32, _FILES_A_WORKER * pool.count)
        self._pool = pool
        self._source = source

    def make(self, parts: Sequence[SegmentJob], check: Callable[[], None]) -> BuildResult:
        """Return the segments of some parts; their features are in the cache then."""
        by_content: dict[str, list[SegmentJob]] = {}
        for part in parts:
            by_content.setdefault(part.row.content_id, []).append(part)
        made = BuildResult()
        cache = self._source.cache
        assert cache is not None
        if not parts:
            return made
        with cache.writer() as writer:
            tasks = (self._task(some) for some in by_content.values())
            for one, features in self._pool.map("make", tasks):
                for row in features:
                    writer.put(row)
                made.segments.extend(one.segments)
                made.failed.update(one.failed)
                check()
        return made

    def _task(self, parts: list[SegmentJob]) -> Task:
        """Return what a worker is given."""
        assert self._source.cache is not None
        known = self._source.cache.find([self._source.key(part.clip) for part in parts])
        return parts, list(known.values())


class SegmentWork:
    """What a worker does: all that an index of one machine does, in a cache for the while."""

    def __init__(self, name: str, fingerprint: str, device: str, embedder_spec: str) -> None:
        trained = open_worker_model(name, fingerprint, device)
        seconds = trained.checkpoint.recipe.video.timeout_seconds
        isolation = Isolation(1, seconds).__enter__()  # for as long as the worker lives
        self._source = trained.source()
        self._maker = LocalBuilder(trained, self._source, open_embedder(embedder_spec), isolation)

    def make(self, task: Task) -> tuple[BuildResult, list[CachedVideo]]:
        """Return the segments of a content, and those of its features that are new."""
        parts, known = task
        with TemporaryDirectory(prefix="vl-ray-") as folder:
            cache = self._source.cache = FeatureCache(Path(folder))
            with cache.writer() as writer:
                for row in known:
                    writer.put(row)
            made = self._maker.make(parts, lambda: None)
            new = cache.find(cache.keys() - {row.key for row in known})
        return made, list(new.values())
