"""Build segments on a Ray cluster: workers decode, encode and describe; this process commits."""

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

_FILES_PER_WORKER = 8

BuildTask = tuple[list["SegmentJob"], list[CachedVideo]]
"""Jobs of one content, and the features of these jobs that are cached already."""


class RayBuilder:
    """Sends contents to workers, and caches the features that they return.

    Workers need the videos and the run under the same paths, but no library and no cache.
    """

    def __init__(self, pool: RayPool, source: VideoSource) -> None:
        self.files_at_once = max(32, _FILES_PER_WORKER * pool.count)
        self._pool = pool
        self._source = source

    def build(self, jobs: Sequence[SegmentJob], check_stop: Callable[[], None]) -> BuildResult:
        """Return the segments of some jobs and cache their features."""
        jobs_by_content: dict[str, list[SegmentJob]] = {}
        for job in jobs:
            jobs_by_content.setdefault(job.row.content_id, []).append(job)
        result = BuildResult()
        cache = self._source.cache
        assert cache is not None
        if not jobs:
            return result
        with cache.writer() as writer:
            tasks = (self._task(content_jobs) for content_jobs in jobs_by_content.values())
            for content_result, features in self._pool.map("build", tasks):
                for row in features:
                    writer.put(row)
                result.segments.extend(content_result.segments)
                result.failed.update(content_result.failed)
                check_stop()
        return result

    def _task(self, jobs: list[SegmentJob]) -> BuildTask:
        """Return the input of a worker for the jobs of one content."""
        assert self._source.cache is not None
        cached = self._source.cache.find([self._source.key(job.clip) for job in jobs])
        return jobs, list(cached.values())


class SegmentWork:
    """Work of a Ray process: a local builder with a temporary cache per task."""

    def __init__(self, name: str, fingerprint: str, device: str, embedder_spec: str) -> None:
        trained = open_worker_model(name, fingerprint, device)
        timeout_seconds = trained.checkpoint.recipe.video.timeout_seconds
        isolation = Isolation(1, timeout_seconds).__enter__()  # ends with the worker's process
        self._source = trained.source()
        embedder = open_embedder(embedder_spec)
        self._builder = LocalBuilder(trained, self._source, embedder, isolation)

    def build(self, task: BuildTask) -> tuple[BuildResult, list[CachedVideo]]:
        """Return the segments of a content, and the features that were not cached before."""
        jobs, cached = task
        with TemporaryDirectory(prefix="vl-ray-") as folder:
            cache = self._source.cache = FeatureCache(Path(folder))
            with cache.writer() as writer:
                for row in cached:
                    writer.put(row)
            result = self._builder.build(jobs, lambda: None)
            new = cache.find(cache.keys() - {row.key for row in cached})
        return result, list(new.values())
