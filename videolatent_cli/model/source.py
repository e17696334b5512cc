"""Video features for a model: read from the cache, or decoded, encoded and stored there."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from videolatent_cli.errors import VideoError, printable
from videolatent_cli.model.backbones.features import Layout, only_visible
from videolatent_cli.model.cached import features_row, frames_row, row_features, row_frames
from videolatent_cli.store import cache_key
from videolatent_cli.video.decode import decode_frames
from videolatent_cli.video.info import check_content

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


class VideoSource:
    """Features or frames of clips under one sampling contract, cached where a cache is given.

    Choice: each video is encoded on its own, so that its features are bit-equal whether they come
    from the cache or not, and whatever other videos are asked for.
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
        self._timeout_seconds = timeout_seconds
        self._visible: Visible = visible
        self.fingerprint = _FRAMES if tier == _FRAMES else features_fingerprint(backbone)

    def key(self, clip: Clip) -> str:
        """Return the key of a clip's cache row.

        Raises:
            VideoError: Where the file is missing.
        """
        content = clip.pinned().content_id
        return cache_key(content, clip.window, self.sampling.hash, self.fingerprint)

    def cached(self, clip: Clip) -> bool:
        """Whether the clip need not be decoded."""
        return self.cache is not None and self.key(clip) in self.cache

    def decode(self, clip: Clip) -> FrameBatch:
        """Return the clip's frames, from the file.

        Raises:
            VideoError: Where it cannot be read, or no longer holds the content that is meant.
        """
        frames = decode_frames(clip.path, self.sampling, clip.window, self._timeout_seconds)
        check_content(clip.path, clip.content_id)
        return frames

    @torch.no_grad()
    def encode(self, frames: FrameBatch) -> VideoFeatures:
        """Return the features of one clip's frames."""
        return self.backbone.encode_video(frames)

    def row(self, clip: Clip, frames: FrameBatch) -> CachedVideo:
        """Return decoded frames as a cache row of this source's tier."""
        clip = clip.pinned()
        about = {
            "key": self.key(clip),
            "content_id": clip.content_id,
            "sampling_hash": self.sampling.hash,
            "source": printable(clip.path),
        }
        if self.tier == _FRAMES:
            return frames_row(frames, **about)
        return features_row(self.encode(frames), fingerprint=self.fingerprint, **about)

    def rows(self, clips: Sequence[Clip]) -> list[CachedVideo]:
        """Return clips as rows, from the cache where it has them."""
        keys = [self.key(clip) for clip in clips]
        found = self.cache.find(keys) if self.cache is not None else {}
        for key, clip in zip(keys, clips, strict=True):
            if key not in found:
                found[key] = self.row(clip, self.decode(clip))
        return [found[key] for key in keys]

    def layouts(self, clips: Sequence[Clip]) -> list[Layout]:
        """Return the layouts of clips that are in the cache; no features are read."""
        assert self.cache is not None
        keys = [self.key(clip) for clip in clips]
        about = self.cache.about(keys)
        return [self._layout(about[key]) for key in keys]

    def _layout(self, row: dict[str, Any]) -> Layout:
        """Return the layout of a row of this source's tier."""
        if self.tier == _FRAMES:
            _, height, width, _ = row["shape"]
            return self.backbone.layout(np.array(row["pts_seconds"]), width, height)
        groups, rows, columns = row["grid"]
        return Layout(
            (groups, rows, columns),
            torch.tensor(row["group_seconds"], dtype=torch.float64),
            torch.tensor(row["pts_seconds"], dtype=torch.float64),
        )

    def frames(self, clips: Sequence[Clip]) -> list[FrameBatch]:
        """Return the frames of clips, from the cache if this source is of that tier."""
        if self.tier != _FRAMES:
            return [self.decode(clip) for clip in clips]
        return [row_frames(row) for row in self.rows(clips)]

    def features(self, clips: Sequence[Clip]) -> list[VideoFeatures]:
        """Return the features of clips, less what a leak check hides."""
        if self.tier == _FRAMES:
            found = [self.encode(frames) for frames in self.frames(clips)]
        else:
            found = [row_features(row, self.backbone.device) for row in self.rows(clips)]
        return [only_visible(features, self._visible) for features in found]


def features_fingerprint(backbone: Backbone) -> str:
    """Return 16 hexadecimal digits that name family, geometry, colors and vision weights.

    Features of one fingerprint are interchangeable: the language model does not matter.
    """
    about = (backbone.config.model_type, backbone.geometry, backbone.colors, backbone.dtype)
    sha = hashlib.sha256(str(about).encode())
    for name, parameter in sorted(backbone.vision_parameters()):
        sha.update(name.encode())
        flat = parameter.detach().cpu().contiguous().flatten()
        sha.update(flat.view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()[:16]


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
