"""The sampling contract: arithmetic, hash, differences."""

import json
from dataclasses import asdict, replace

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from tests.factories import SPEC, spec
from videolatent_cli.recipe import parse_recipe
from videolatent_cli.recipe.resolved import digest as digest_of
from videolatent_cli.video.resize import Resizing
from videolatent_cli.video.sampling import SamplingSpec


def test_number_of_frames_by_hand() -> None:
    assert SPEC.num_frames(0.1) == 4
    assert SPEC.num_frames(3.9) == 6  # 7 frames, made a multiple of 2
    assert SPEC.num_frames(100.0) == 16
    assert spec(min_frames=1, max_frames=1).num_frames(9) == 1
    assert spec(fps=4.0, min_frames=2, max_frames=32).num_frames(4.0) == 16


def test_times_are_middles_of_equal_stretches() -> None:
    assert SPEC.times(4.0).tolist() == [0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75]
    assert SPEC.times(100.0, (10.0, 12.0)).tolist() == [10.25, 10.75, 11.25, 11.75]


def test_frame_size_by_hand() -> None:
    assert SPEC.frame_size(128, 64) == (128, 64)
    assert SPEC.frame_size(1920, 1080) == (112, 64)
    assert SPEC.frame_size(4, 4) == (64, 64)
    assert SPEC.frame_size(4000, 10) == (1808, 16) or SPEC.frame_size(4000, 10)[1] == 16


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_frame_size_is_a_multiple_within_the_budget(width: int, height: int) -> None:
    w, h = SPEC.frame_size(width, height)
    assert w % 16 == h % 16 == 0
    assert w * h <= 128 * 64 or min(w, h) == 16


@given(st.floats(0.01, 1e5), st.floats(0.1, 60), st.integers(1, 64))
def test_times_lie_inside_and_rise(duration: float, fps: float, most: int) -> None:
    one = spec(fps=fps, min_frames=1, max_frames=most)
    times = one.times(duration)
    assert len(times) == one.num_frames(duration) <= max(most, 1)
    assert times[0] > 0
    assert times[-1] < duration
    assert (np.diff(times) > 0).all()


def test_contract_hash_and_difference() -> None:
    assert SPEC.hash == spec().hash != spec(fps=3.0).hash
    assert SPEC.difference(spec(max_frames=32)) == "max_frames 16 and 32"
    video = parse_recipe("version: 1\ndata: {type: eventworld}\n", "r").video
    assert SamplingSpec.of(video, 28, 2).max_pixels == 128 * 28 * 28


@given(
    st.integers(8, 4000),
    st.integers(8, 4000),
    st.sampled_from([28, 32]),
    st.sampled_from([(4 * 28 * 28, 128 * 28 * 28), (3136, 12_845_056)]),
)
def test_frames_get_the_size_that_qwen_gives_them(
    width: int, height: int, unit: int, budget: tuple[int, int]
) -> None:
    assume(max(width, height) < 200 * min(width, height))
    assume(min(width, height) > unit / 2)
    spec = SamplingSpec(2.0, 4, 16, *budget, "torch", unit, 2)
    wanted = smart_resize(height, width, unit, *budget)
    assert spec.frame_size(width, height) == wanted[::-1]


def test_how_a_processor_resizes_is_part_of_the_contract() -> None:
    """What was cached before processors could differ stays valid."""
    old = SamplingSpec(2.0, 4, 16, 1, 10**6, "torch", 14, 1, (384, 384))
    new = replace(old, resizing=Resizing("lanczos", 512))
    stored = {k: v for k, v in asdict(old).items() if k != "resizing"}
    assert SamplingSpec.from_json(stored) == old
    assert SamplingSpec.from_json(json.loads(json.dumps(asdict(new)))) == new
    assert old.hash == digest_of(stored) != new.hash
    assert "resizing" in old.difference(new)
