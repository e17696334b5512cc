"""Pixels are those of the models' own video processors, bit by bit.

The processors need torchvision, which this project does without. What they gave is kept as digests;
`make processors` installs torchvision and compares with the processors themselves.
"""

import hashlib
import json
from dataclasses import asdict, replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch
import transformers
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from videolatent_cli.errors import SetupError
from videolatent_cli.model.backbones.pixels import Colors, Geometry, normalised, patchify
from videolatent_cli.recipe.resolved import digest as digest_of
from videolatent_cli.video.frames import FrameBatch
from videolatent_cli.video.resize import ONCE, Resizing, resized
from videolatent_cli.video.sampling import SamplingSpec

GOLDEN = {
    "Qwen2VLVideoProcessor": "953793b74b53c8e2",
    "Qwen3VLVideoProcessor": "e0e35f77e11faa85",
    "InternVLVideoProcessor": "3146b54378275646",
    "LlavaOnevisionVideoProcessor": "42d0f0b0c5fc8c9f",
    "SmolVLMVideoProcessor": "5e83f2c9bf302a5b",
}
QWEN = {
    "Qwen2VLVideoProcessor": (Geometry(14, 2, 2), (84, 56)),
    "Qwen3VLVideoProcessor": (Geometry(16, 2, 2), (96, 64)),
}
"""How frames are cut, and the width and height that the processor gives them."""
ONE_SIZE = {
    "InternVLVideoProcessor": (448, 448),
    "LlavaOnevisionVideoProcessor": (384, 384),
    "SmolVLMVideoProcessor": (384, 384),
}
CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def pictures() -> np.ndarray:
    """Five frames of noise, so that no error hides: an odd number, smaller and no square."""
    return np.random.default_rng(0).integers(0, 256, (5, 61, 90, 3), dtype=np.uint8)


def ours(name: str) -> Tensor:
    size = ONE_SIZE.get(name) or QWEN[name][1]
    how = Resizing("lanczos", 512) if name.startswith("Smol") else ONCE
    pixels = resized(list(pictures()), how.sizes((90, 61), size), how.filter)
    frames = FrameBatch(np.stack(pixels), np.arange(5) / 2)
    colors = Colors(*CLIP)
    return patchify(frames, QWEN[name][0], colors) if name in QWEN else normalised(frames, colors)


def theirs(name: str) -> Tensor:
    options: dict[str, object] = {"image_mean": CLIP[0], "image_std": CLIP[1]}
    if name in QWEN:
        options |= {
            "patch_size": QWEN[name][0].patch_px,
            "size": {"shortest_edge": 1, "longest_edge": 10**9},
            "cap_pixels_per_frame": False,
        }
    elif name.startswith("Smol"):
        options |= {"size": {"longest_edge": 512}, "max_image_size": {"longest_edge": 384}}
    else:
        width, height = ONE_SIZE[name]
        options["size"] = {"height": height, "width": width}
    processor = getattr(transformers, name)(do_sample_frames=False, **options)
    clip = torch.from_numpy(pictures()).permute(0, 3, 1, 2)
    out = processor([clip], return_tensors="pt")
    pixels = next(value for key, value in out.items() if key.startswith("pixel_values"))
    return pixels if name in QWEN else pixels[0]


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


@pytest.mark.parametrize(
    ("source", "wanted"), [((90, 61), (512, 348)), ((61, 90), (348, 512)), ((4000, 1), (512, 1))]
)
def test_smolvlm_fits_frames_to_a_longest_side_first(
    source: tuple[int, int], wanted: tuple[int, int]
) -> None:
    """90 by 61: 512 / (90 / 61) = 347.02, cut to 347, made even."""
    assert Resizing("lanczos", 512).sizes(source, (384, 384)) == (wanted, (384, 384))


def test_a_filter_that_torch_lacks_is_one_clear_line() -> None:
    with pytest.raises(SetupError, match=r"got 'sinc'; pip install -U torch"):
        resized(list(pictures()), [(8, 8)], "sinc")


def test_how_a_processor_resizes_is_part_of_the_contract() -> None:
    """What was cached before processors could differ stays valid."""
    old = SamplingSpec(2.0, 4, 16, 1, 10**6, "torch", 14, 1, (384, 384))
    new = replace(old, resizing=Resizing("lanczos", 512))
    stored = {k: v for k, v in asdict(old).items() if k != "resizing"}
    assert SamplingSpec.from_json(stored) == old
    assert SamplingSpec.from_json(json.loads(json.dumps(asdict(new)))) == new
    assert old.hash == digest_of(stored) != new.hash
    assert "resizing" in old.difference(new)


def digest(values: Tensor) -> str:
    return hashlib.sha256(values.contiguous().numpy().tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("name", GOLDEN)
def test_pixels_are_those_that_the_processor_gave(name: str) -> None:
    assert digest(ours(name)) == GOLDEN[name]


@pytest.mark.skipif(find_spec("torchvision") is None, reason="make processors runs it")
@pytest.mark.parametrize("name", GOLDEN)
def test_the_processor_gives_these_pixels_now(name: str) -> None:
    found = theirs(name)
    assert found.shape == ours(name).shape
    assert torch.equal(found, ours(name))
    assert digest(found) == GOLDEN[name]
