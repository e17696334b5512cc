"""Clips that the cache lacks, encoded: decoded a few ahead, committed some at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from videolatent_cli.errors import VideoError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from videolatent_cli.model.source import Clip, VideoSource
    from videolatent_cli.video.frames import FrameBatch

_DECODERS_AT_ONCE = 2


def pinned_clips(clips: Iterable[Clip]) -> tuple[list[Clip], dict[Clip, str]]:
    """Return clips of the contents that their files hold now, and those without a file."""
    pinned: list[Clip] = []
    bad: dict[Clip, str] = {}
    for clip in clips:
        try:
            pinned.append(clip.pinned())
        except VideoError as error:
            bad[clip] = str(error)
    return pinned, bad


def missing_clips(source: VideoSource, clips: Iterable[Clip]) -> list[Clip]:
    """Return the pinned clips to encode, one a content."""
    known = set(source.cache.keys()) if source.cache is not None else set()
    wanted: dict[str, Clip] = {}
    for clip in clips:
        wanted.setdefault(source.key(clip), clip)
    return [clip for key, clip in wanted.items() if key not in known]


def encode_clips(
    source: VideoSource,
    clips: list[Clip],
    commit_videos: int = 32,
    decode: Callable[[Clip], FrameBatch] | None = None,
) -> Generator[tuple[Clip, FrameBatch | VideoError]]:
    """Encode clips into the cache; yield each with its frames, or with what is wrong with it.

    Close it to commit what is done: it holds the cache's lock until then.

    Args:
        source: Whose cache is filled.
        clips: What to encode, pinned.
        commit_videos: Rows that are committed together.
        decode: Reads frames in place of the source.

    Raises:
        ResourceError: Where another process writes the cache.
    """
    assert source.cache is not None
    with source.cache.writer(commit_videos) as writer:
        for clip, frames in _decoded(decode or source.decode, clips):
            if not isinstance(frames, VideoError):
                writer.put(source.row(clip, frames))
            yield clip, frames


def _decoded(
    decode: Callable[[Clip], FrameBatch], clips: list[Clip]
) -> Iterator[tuple[Clip, FrameBatch | VideoError]]:
    """Yield clips with their frames or what is wrong with them, decoding a few ahead."""

    def attempt(clip: Clip) -> FrameBatch | VideoError:
        try:
            return decode(clip)
        except VideoError as error:
            return error

    with ThreadPoolExecutor(_DECODERS_AT_ONCE) as pool:
        ahead = 2 * _DECODERS_AT_ONCE
        waiting = [pool.submit(attempt, clip) for clip in clips[:ahead]]
        for index, clip in enumerate(clips):
            frames = waiting.pop(0).result()
            if index + ahead < len(clips):
                waiting.append(pool.submit(attempt, clips[index + ahead]))
            yield clip, frames
