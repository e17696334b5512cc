"""Batch engines: encode clips and answer questions, in this process or on a Ray cluster."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from videolatent_cli.errors import VideoError
from videolatent_cli.model.source import encode_clips
from videolatent_cli.pipeline.answering.answerer import (
    Answered,
    Answerer,
    AnswerOptions,
    LoadedClip,
    Question,
)
from videolatent_cli.pipeline.runs.trained_model import TrainedModel, open_worker_model
from videolatent_cli.runtime.ray_pool import RayPool

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from videolatent_cli.model.source import VideoSource
    from videolatent_cli.store import CachedVideo
    from videolatent_cli.video.clip import Clip

Pack = list[tuple[LoadedClip, list[Question]]]
"""Clips, each with its questions, that are answered as one batch of the model."""


class BatchEngine(Protocol):
    """Interface of an engine that encodes clips and answers questions."""

    def encode(self, clips: list[Clip]) -> Generator[tuple[Clip, object]]:
        """Encode clips into the cache; yield each clip, with a `VideoError` if it is unreadable."""

    def answer(self, packs: Iterable[Pack]) -> Iterator[list[Answered]]:
        """Yield the answers to the questions of each pack, in order."""


class LocalEngine:
    """Engine that does all work in this process."""

    def __init__(self, trained: TrainedModel, source: VideoSource, options: AnswerOptions) -> None:
        self._source = source
        self._answerer = Answerer(trained, options)

    def encode(self, clips: list[Clip]) -> Generator[tuple[Clip, object]]:
        """Encode clips into the cache; yield each with its frames or error."""
        return encode_clips(self._source, clips)

    def answer(self, packs: Iterable[Pack]) -> Iterator[list[Answered]]:
        """Yield the answers to the questions of each pack, in order."""
        return map(self._answerer.answer, packs)


class RayEngine:
    """Engine that works on Ray workers; only this process writes the cache."""

    def __init__(self, pool: RayPool, source: VideoSource) -> None:
        self._pool = pool
        self._source = source

    def encode(self, clips: list[Clip]) -> Generator[tuple[Clip, object]]:
        """Encode clips into the cache; yield each with its cache row or error."""
        assert self._source.cache is not None
        with self._source.cache.writer() as writer:
            for clip, row in zip(clips, self._pool.map("encode", clips), strict=True):
                if not isinstance(row, VideoError):
                    writer.put(row)
                yield clip, row

    def answer(self, packs: Iterable[Pack]) -> Iterator[list[Answered]]:
        """Yield the answers to the questions of each pack, in order."""
        return self._pool.map("answer", packs)


class BatchWork:
    """Work of one Ray worker, which holds its own copy of the model."""

    def __init__(self, name: str, fingerprint: str, device: str, options: AnswerOptions) -> None:
        trained = open_worker_model(name, fingerprint, device)
        self._source = trained.source()
        self._answerer = Answerer(trained, options)

    def encode(self, clip: Clip) -> CachedVideo | VideoError:
        """Return a clip as a row of the cache, or the error if it is unreadable."""
        try:
            return self._source.row(clip, self._source.decode(clip))
        except VideoError as error:
            return error

    def answer(self, pack: Pack) -> list[Answered]:
        """Return the answers to the questions of a pack."""
        return self._answerer.answer(pack)


@contextmanager
def open_engine(
    trained: TrainedModel,
    source: VideoSource,
    options: AnswerOptions,
    device: str,
    workers: int | None,
) -> Iterator[BatchEngine]:
    """Yield the engine of a batch.

    Args:
        trained: Model that answers.
        source: Video source with the cache.
        options: Options of answering.
        device: Torch device of each worker.
        workers: Number of Ray workers; None: this process does the work.
    """
    if workers is None:
        yield LocalEngine(trained, source, options)
        return
    work = (BatchWork, trained.name, source.fingerprint, device, options)
    with RayPool(workers, *work) as pool:
        yield RayEngine(pool, source)
