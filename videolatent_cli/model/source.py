"""Video features for a model: read from the feature cache, or decoded, encoded and stored."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from videolatent_cli.errors import VideoError, printable
from videolatent_cli.model.backbones.features import Layout, only_visible
from videolatent_cli.model.cached import (
    features_to_row,
    frames_to_row,
    row_to_features,
    row_to_frames,
)
from videolatent_cli.store import cache_key
from videolatent_cli.video.content import check_content, keep_ids
from videolatent_cli.video.decode import decode_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from videolatent_cli.model.backbones.base import Backbone
    from videolatent_cli.model.backbones.features import VideoFeatures
    from videolatent_cli.recipe.data_schema import Visible
    from videolatent_cli.store import CachedVideo, FeatureCache
    from videolatent_cli.video.clip import Clip
    from videolatent_cli.video.frames import FrameBatch
    from videolatent_cli.video.sampling import SamplingSpec

_FRAMES = "frames"
"""Name of the cache tier for resized frames, which is also their fingerprint."""


class VideoSource:
    """Reader of clips that returns features or frames, through a cache if there is one.

    Choice: each video is encoded on its own. Its features are then bit-equal whether they come from
    the cache or not, and whichever other videos are read with it.

    Args:
        backbone: Backbone that encodes.
        sampling: Sampling contract of all clips.
        tier: What the cache stores: `features`, `frames`, or `none` for no cache.
        cache: Feature cache.
        timeout_seconds: Longest time that decoding one clip may take (s).
        visible: Part of each video that the model sees; all but `video` are leak checks.
    """

    def __init__(
        self,
        backbone: Backbone,
        sampling: SamplingSpec,
        *,
        tier: str,
        cache: FeatureCache | None = None,
        timeout_seconds: float = 300.0,
        visible: Visible = "video",
    ) -> None:
        self.backbone = backbone
        self.sampling = sampling
        self.tier = tier
        self.cache = cache if tier != "none" else None
        if self.cache is not None:
            keep_ids(self.cache.folder)
        self._timeout_seconds = timeout_seconds
        self._visible: Visible = visible
        self.fingerprint = _FRAMES if tier == _FRAMES else features_fingerprint(backbone)

    def key(self, clip: Clip) -> str:
        """Return the key of a clip's cache row.

        Raises:
            VideoError: If the file is missing.
        """
        content = clip.pinned().content_id
        return cache_key(content, clip.window, self.sampling.hash, self.fingerprint)

    def cached(self, clip: Clip) -> bool:
        """Whether the cache contains the clip."""
        return self.cache is not None and self.key(clip) in self.cache

    def decode(self, clip: Clip) -> FrameBatch:
        """Return the clip's frames, decoded from its file.

        Raises:
            VideoError: If the file cannot be read, or its content is not the pinned one.
        """
        frames = decode_frames(clip.path, self.sampling, clip.window, self._timeout_seconds)
        check_content(clip.path, clip.content_id)
        return frames

    @torch.no_grad()
    def encode(self, frames: FrameBatch) -> VideoFeatures:
        """Return the features of one clip's frames."""
        return self.backbone.encode_video(frames)

    def row(self, clip: Clip, frames: FrameBatch) -> CachedVideo:
        """Return decoded frames as a cache row of this source's tier: frames, or their features."""
        clip = clip.pinned()
        identity = {
            "key": self.key(clip),
            "content_id": clip.content_id,
            "sampling_hash": self.sampling.hash,
            "source": printable(clip.path),
        }
        if self.tier == _FRAMES:
            return frames_to_row(frames, **identity)
        return features_to_row(self.encode(frames), fingerprint=self.fingerprint, **identity)

    def rows(self, clips: Sequence[Clip]) -> list[CachedVideo]:
        """Return one cache row per clip; clips that the cache lacks are decoded."""
        keys = [self.key(clip) for clip in clips]
        rows = self.cache.find(keys) if self.cache is not None else {}
        for key, clip in zip(keys, clips, strict=True):
            if key not in rows:
                rows[key] = self.row(clip, self.decode(clip))
        return [rows[key] for key in keys]

    def layouts(self, clips: Sequence[Clip]) -> list[Layout]:
        """Return the layouts of clips that are all in the cache, without reading their arrays."""
        assert self.cache is not None
        keys = [self.key(clip) for clip in clips]
        columns = self.cache.about(keys)
        return [self._layout(columns[key]) for key in keys]

    def _layout(self, row: dict[str, Any]) -> Layout:
        """Return the layout that the columns of a cache row of this source's tier describe."""
        if self.tier == _FRAMES:
            _, height, width, _ = row["shape"]
            times = np.array(row["pts_seconds"])
            return self.backbone.layout(times, width, height, row["duration_seconds"])
        groups, rows, columns = row["grid"]
        return Layout(
            (groups, rows, columns),
            torch.tensor(row["group_seconds"], dtype=torch.float64),
            torch.tensor(row["pts_seconds"], dtype=torch.float64),
            duration_seconds=row["duration_seconds"],
        )

    def frames(self, clips: Sequence[Clip]) -> list[FrameBatch]:
        """Return the frames of clips, from the cache if its tier is `frames`."""
        if self.tier != _FRAMES:
            return [self.decode(clip) for clip in clips]
        return [row_to_frames(row) for row in self.rows(clips)]

    def features(self, clips: Sequence[Clip]) -> list[VideoFeatures]:
        """Return the features of clips, without the parts that a leak check hides."""
        if self.tier == _FRAMES:
            whole = [self.encode(frames) for frames in self.frames(clips)]
        else:
            whole = [row_to_features(row, self.backbone.device) for row in self.rows(clips)]
        return [only_visible(features, self._visible) for features in whole]


def features_fingerprint(backbone: Backbone) -> str:
    """Return a hash, 16 hexadecimal digits, of family, geometry, colors and vision weights.

    Backbones with equal fingerprints give equal features: the language model has no influence.
    """
    # The text contains class and field names: renaming one would invalidate every cache.
    settings = (backbone.config.model_type, backbone.geometry, backbone.colors, backbone.dtype)
    sha = hashlib.sha256(str(settings).encode())
    for name, parameter in sorted(backbone.vision_parameters()):
        sha.update(name.encode())
        flat = parameter.detach().cpu().contiguous().flatten()
        sha.update(flat.view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()[:16]


_DECODERS_AT_ONCE = 2
"""Number of videos that are decoded at the same time."""


def pinned_clips(clips: Iterable[Clip]) -> tuple[list[Clip], dict[Clip, str]]:
    """Return clips pinned to the present content of their files.

    Returns:
        The pinned clips; and the clips that cannot be pinned, each with the error message.
    """
    pinned: list[Clip] = []
    failed: dict[Clip, str] = {}
    for clip in clips:
        try:
            pinned.append(clip.pinned())
        except VideoError as error:
            failed[clip] = str(error)
    return pinned, failed


def missing_clips(source: VideoSource, clips: Iterable[Clip]) -> list[Clip]:
    """Return the pinned clips that the cache lacks; of clips with equal keys, only the first."""
    cached = set(source.cache.keys()) if source.cache is not None else set()
    by_key: dict[str, Clip] = {}
    for clip in clips:
        by_key.setdefault(source.key(clip), clip)
    return [clip for key, clip in by_key.items() if key not in cached]


def encode_clips(
    source: VideoSource,
    clips: list[Clip],
    commit_videos: int = 32,
    decode: Callable[[Clip], FrameBatch] | None = None,
) -> Generator[tuple[Clip, FrameBatch | VideoError]]:
    """Encode clips into the cache; yield each with its frames, or with its error.

    The generator holds the cache's write lock. Closing it commits the rows so far and releases the
    lock.

    Args:
        source: Source with the cache to fill.
        clips: Pinned clips to encode.
        commit_videos: Number of rows per commit.
        decode: Function that reads frames; None uses `source.decode`.

    Raises:
        ResourceError: If another process is writing to the cache.
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
    """Yield each clip with its frames or its error; a few clips are decoded ahead."""

    def attempt(clip: Clip) -> FrameBatch | VideoError:
        try:
            return decode(clip)
        except VideoError as error:
            return error

    with ThreadPoolExecutor(_DECODERS_AT_ONCE) as pool:
        ahead = 2 * _DECODERS_AT_ONCE  # bounds the decoded frames that wait in memory
        waiting = [pool.submit(attempt, clip) for clip in clips[:ahead]]
        for index, clip in enumerate(clips):
            frames = waiting.pop(0).result()
            if index + ahead < len(clips):
                waiting.append(pool.submit(attempt, clips[index + ahead]))
            yield clip, frames
