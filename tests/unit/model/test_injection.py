"""Latent injection: scale, gates, memory."""

import dataclasses

import pytest
import torch

from tests.factories import LATENT, frame_batch
from videolatent_cli.model.injection import LatentInjection, Memory, make_memory
from videolatent_cli.model.videolatent import VideoLatent


def test_injection_starts_at_the_scale_of_embeddings_and_with_its_gates_closed() -> None:
    torch.manual_seed(0)
    injection = LatentInjection(LATENT, torch.randn(32), embedding_rms=0.05)
    hidden = 7 * torch.randn(3, 2, 32)
    memory = make_memory_of(3)
    z, weights = injection(hidden, memory, 0)
    assert torch.allclose(z.square().mean(-1).sqrt(), torch.tensor(0.05), atol=1e-4)
    without, _ = injection(hidden, make_memory_of(3, seed=5), 0)
    assert torch.equal(z, without)
    assert weights is not None
    assert torch.allclose(weights.sum(-1), torch.ones(3, 2))


def make_memory_of(rows: int, seed: int = 0) -> Memory:
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(rows, 5, 32, generator=generator)
    mask = torch.ones(rows, 5, dtype=torch.bool)
    mask[0, 3:] = False
    return Memory(vectors, mask, torch.arange(5).expand(rows, -1) * mask)


def test_relook_never_looks_at_padding_and_needs_a_memory() -> None:
    injection = LatentInjection(LATENT, torch.randn(32), 0.05)
    _, weights = injection(torch.randn(3, 2, 32), make_memory_of(3), 1)
    assert weights is not None
    assert float(weights[0, :, 3:].detach().abs().max()) == 0.0
    with pytest.raises(ValueError, match="a re-look needs a memory, got None"):
        injection(torch.randn(3, 2, 32), None, 0)


def test_memory_of_frames_is_the_spatial_mean_and_has_no_gradient(model: VideoLatent) -> None:
    features = model.backbone.encode_video(frame_batch(0, 4))
    frames, tokens = make_memory([features], "frames"), make_memory([features], "tokens")
    assert frames is not None
    assert tokens is not None
    assert frames.vectors.shape == (1, 2, 32)
    assert tokens.vectors.shape == (1, 32, 32)
    assert not frames.vectors.requires_grad
    assert make_memory([features], "none") is None


@pytest.mark.parametrize("relook", ["frames", "tokens"])
def test_attention_counts_frame_groups_whatever_the_size_of_the_video(
    model: VideoLatent, relook: str
) -> None:
    long = model.backbone.encode_video(frame_batch(0, 8))
    short = model.backbone.encode_video(frame_batch(1, 4))
    short = dataclasses.replace(short, embeds=short.embeds[::4], grid=(2, 4, 4))
    memory = make_memory([long, short], relook)
    assert memory is not None
    weights = torch.rand(2, 3, memory.vectors.shape[1]) * memory.mask[:, None]
    looked = memory.by_group(weights)
    assert looked.shape == (2, 3, 4)
    assert looked[1, :, 2:].abs().max() == 0
    assert torch.allclose(looked.sum(-1), weights.sum(-1))
    per_group = int(memory.mask[1].sum()) // 2
    assert torch.allclose(looked[1, :, 0], weights[1, :, :per_group].sum(-1))
