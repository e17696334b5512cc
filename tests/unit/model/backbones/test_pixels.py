"""Pixels are those of the models' own video processors, bit by bit.

The processors need torchvision, which this project does without. What they gave is kept as digests;
`make processors` installs torchvision and compares with the processors themselves.
"""

import hashlib
from importlib.util import find_spec

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor

from videolatent_cli.model.backbones.pixels import Colors, Geometry, normalised, patchify
from videolatent_cli.video.frames import FrameBatch
from videolatent_cli.video.resize import ONCE, Resizing, resized

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


def test_patches_are_pixels_in_qwen_order_and_the_last_frame_fills_its_group() -> None:
    data = np.arange(3 * 8 * 8 * 3, dtype=np.uint32).reshape(3, 8, 8, 3).astype(np.uint8)
    colors = Colors((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255))
    out = patchify(FrameBatch(data, np.array([0.0, 1.0, 2.0])), Geometry(2, 2, 2), colors)
    assert out.shape == (32, 3 * 2 * 2 * 2)
    # second patch of the first merged block: rows 0-1, columns 2-3, channel first, then time
    wanted = data[0:2, 0:2, 2:4].transpose(3, 0, 1, 2).reshape(-1)
    assert out[1].tolist() == wanted.tolist()
    # third patch of the block is below the first one
    assert out[2].tolist() == data[0:2, 2:4, 0:2].transpose(3, 0, 1, 2).reshape(-1).tolist()
    last = out[16].view(3, 2, 2, 2)
    assert torch.equal(last[:, 0], last[:, 1])


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


def digest(values: Tensor) -> str:
    return hashlib.sha256(values.contiguous().numpy().tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("name", GOLDEN)
def test_pixels_are_those_that_the_processor_gave(name: str) -> None:
    assert digest(ours(name)) == GOLDEN[name]


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


@pytest.mark.skipif(find_spec("torchvision") is None, reason="make processors runs it")
@pytest.mark.parametrize("name", GOLDEN)
def test_the_processor_gives_these_pixels_now(name: str) -> None:
    found = theirs(name)
    assert found.shape == ours(name).shape
    assert torch.equal(found, ours(name))
    assert digest(found) == GOLDEN[name]
