"""Features and frames as cache rows, and back, without changing a bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from videolatent_cli.model.backbones.features import VideoFeatures
from videolatent_cli.store import CachedVideo
from videolatent_cli.video.frames import FrameBatch

if TYPE_CHECKING:
    from numpy.typing import NDArray


def features_row(
    features: VideoFeatures,
    *,
    key: str,
    content_id: str,
    sampling_hash: str,
    fingerprint: str,
    source: str,
) -> CachedVideo:
    """Return features as a cache row; deep features follow the others along a first axis."""
    embeds = features.embeds.detach()
    if features.deep is not None:
        embeds = torch.cat((embeds[None], features.deep.detach()))
    embeds = embeds.cpu().contiguous()
    bits = embeds.view(torch.uint16) if embeds.dtype == torch.bfloat16 else embeds
    return CachedVideo(
        key=key,
        content_id=content_id,
        sampling_hash=sampling_hash,
        fingerprint=fingerprint,
        source=source,
        dtype=str(embeds.dtype).removeprefix("torch."),
        grid=features.grid,
        pts_seconds=features.pts_seconds.numpy(),
        group_seconds=features.group_seconds.numpy(),
        array=bits.numpy(),
    )


def frames_row(
    frames: FrameBatch, *, key: str, content_id: str, sampling_hash: str, source: str
) -> CachedVideo:
    """Return resized frames as a cache row."""
    none: NDArray[np.float64] = np.zeros(0)
    return CachedVideo(
        key=key,
        content_id=content_id,
        sampling_hash=sampling_hash,
        fingerprint="frames",
        source=source,
        dtype="uint8",
        grid=(),
        pts_seconds=frames.pts_seconds,
        group_seconds=none,
        array=frames.data,
    )


def row_features(row: CachedVideo, device: torch.device) -> VideoFeatures:
    """Return the features of a cache row, on a device."""
    values = torch.from_numpy(row.array)
    if row.dtype == "bfloat16":
        values = values.view(torch.bfloat16)
    values = values.to(device)
    groups, rows, columns = row.grid
    deep = values.ndim == 3
    return VideoFeatures(
        grid=(groups, rows, columns),
        group_seconds=torch.from_numpy(row.group_seconds),
        pts_seconds=torch.from_numpy(row.pts_seconds),
        embeds=values[0] if deep else values,
        deep=values[1:] if deep else None,
    )


def row_frames(row: CachedVideo) -> FrameBatch:
    """Return the frames of a cache row."""
    return FrameBatch(row.array, row.pts_seconds)
