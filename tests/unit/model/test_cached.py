"""Features and frames survive the cache bit by bit."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.factories import frame_batch, small_backbone
from tests.families import frames_for, load_family
from videolatent_cli.model.cached import (
    features_to_row,
    frames_to_row,
    row_to_features,
    row_to_frames,
)


def test_features_survive_the_cache_bit_by_bit(family_folder: Path) -> None:
    backbone = load_family(family_folder)
    with torch.no_grad():
        live = backbone.encode_video(frames_for(backbone))
    row = features_to_row(
        live, key="k", content_id="c", sampling_hash="s", fingerprint="f", source="v"
    )
    kept = row_to_features(row, torch.device("cpu"))
    assert kept.grid == live.grid
    assert torch.equal(kept.embeds, live.embeds)
    assert len(kept.embeds) == backbone.num_visual_tokens(kept.grid)
    assert (kept.deep is None) == (live.deep is None)
    if live.deep is not None:
        assert torch.equal(kept.deep, live.deep)


def test_features_do_not_depend_on_company_or_cache(small_folder: Path) -> None:
    backbone = small_backbone(small_folder).eval()
    with torch.no_grad():
        alone = backbone.encode_video(frame_batch(3))
    row = features_to_row(
        alone, key="k", content_id="c", sampling_hash="s", fingerprint="f", source="a.mp4"
    )
    back = row_to_features(row, backbone.device)
    assert torch.equal(back.embeds, alone.embeds)
    assert back.grid == alone.grid
    assert torch.equal(back.group_seconds, alone.group_seconds)
    assert alone.seconds_per_group == pytest.approx(0.5)
    half = small_backbone(small_folder).to(torch.bfloat16)
    with torch.no_grad():
        features = half.encode_video(frame_batch(3))
    again = row_to_features(
        features_to_row(
            features, key="k", content_id="c", sampling_hash="s", fingerprint="f", source=""
        ),
        half.device,
    )
    assert again.embeds.dtype == torch.bfloat16
    assert torch.equal(again.embeds, features.embeds)


def test_frames_to_row_round_trip() -> None:
    frames = frame_batch(2)
    back = row_to_frames(
        frames_to_row(frames, key="k", content_id="c", sampling_hash="s", source="")
    )
    assert np.array_equal(back.data, frames.data)
    assert np.array_equal(back.pts_seconds, frames.pts_seconds)
