"""Conversion between features or frames and rows of the feature cache, exact to the bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from videolatent_cli.model.backbones.features import VideoFeatures
from videolatent_cli.store import CachedVideo
from videolatent_cli.video.frames import FrameBatch

if TYPE_CHECKING:
    from numpy.typing import NDArray


def features_to_row(
    features: VideoFeatures,
    *,
    key: str,
    content_id: str,
    sampling_hash: str,
    fingerprint: str,
    source: str,
) -> CachedVideo:
    """Return features as a cache row.

    The row's array is (token, dim). With DeepStack features it is (1 + level, token, dim), the
    plain features first.
    """
    embeds = features.embeds.detach()
    if features.deep is not None:
        embeds = torch.cat((embeds[None], features.deep.detach()))  # (1 + level, token, dim)
    embeds = embeds.cpu().contiguous()
    # numpy has no bfloat16: such values are stored as the uint16 with the same bits.
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
        duration_seconds=features.duration_seconds,
    )


def frames_to_row(
    frames: FrameBatch, *, key: str, content_id: str, sampling_hash: str, source: str
) -> CachedVideo:
    """Return resized frames as a cache row; the row has no grid and no group times."""
    no_groups: NDArray[np.float64] = np.zeros(0)
    return CachedVideo(
        key=key,
        content_id=content_id,
        sampling_hash=sampling_hash,
        fingerprint="frames",
        source=source,
        dtype="uint8",
        grid=(),
        pts_seconds=frames.pts_seconds,
        group_seconds=no_groups,
        array=frames.data,
        duration_seconds=frames.duration_seconds,
    )


def row_to_features(row: CachedVideo, device: torch.device) -> VideoFeatures:
    """Return the features of a cache row, on a device."""
    values = torch.from_numpy(row.array)
    if row.dtype == "bfloat16":
        values = values.view(torch.bfloat16)
    values = values.to(device)
    groups, rows, columns = row.grid
    has_deep = values.ndim == 3
    return VideoFeatures(
        grid=(groups, rows, columns),
        group_seconds=torch.from_numpy(row.group_seconds),
        pts_seconds=torch.from_numpy(row.pts_seconds),
        embeds=values[0] if has_deep else values,
        deep=values[1:] if has_deep else None,
        duration_seconds=row.duration_seconds,
    )


def row_to_frames(row: CachedVideo) -> FrameBatch:
    """Return the frames of a cache row."""
    return FrameBatch(row.array, row.pts_seconds, row.duration_seconds)
