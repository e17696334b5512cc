"""The latent injection module: from hidden states and video features to the next latents."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from videolatent_cli.model.backbones.features import VideoFeatures
    from videolatent_cli.recipe.schema import Latent

_SLOT_NOISE = 0.3
"""Deviation of the slots from the prompt's last token, relative to the embeddings' RMS."""
_SLOT_SCALE = 0.02
"""Deviation of the block-and-slot identities at the start."""


@dataclass(frozen=True)
class Memory:
    """What the latents can look at again."""

    vectors: Float[Tensor, "batch memory dim"]
    """Float32, without gradient."""
    mask: Bool[Tensor, "batch memory"]
    group: Int[Tensor, "batch memory"]
    """Frame group of each vector; 0 at padding."""

    def rows(self, index: Tensor) -> Memory:
        """Return the memory of the rows `index`."""
        return Memory(self.vectors[index], self.mask[index], self.group[index])

    def by_group(
        self, weights: Float[Tensor, "batch latent memory"]
    ) -> Float[Tensor, "batch latent group"]:
        """Return attention summed over the vectors of each frame group; 0 beyond a video's last."""
        count = int(self.group.max()) + 1
        place = self.group[:, None].expand_as(weights)
        return weights.new_zeros(*weights.shape[:2], count).scatter_add(-1, place, weights)


def make_memory(features: list[VideoFeatures], relook: str) -> Memory | None:
    """Return the re-look memory of several videos, None with `relook: none`.

    Choice: vectors are brought to unit RMS and carry a sinusoid of their presentation time, so
    that neither the backbone's scale nor the number of frames matters; no gradient reaches them.

    Args:
        features: One a video.
        relook: `frames` keeps the spatial mean of each frame group, `tokens` every visual token.
    """
    if relook == "none":
        return None
    vectors, groups = [], []
    for video in features:
        count = video.grid[0]
        tokens = video.by_group().detach().float()
        kept = tokens.mean(1, keepdim=True) if relook == "frames" else tokens
        kept = _unit_rms(kept) + _time_code(video.group_seconds, kept.shape[-1])[:, None].to(kept)
        vectors.append(kept.flatten(0, 1))
        groups.append(torch.arange(count, device=kept.device).repeat_interleave(kept.shape[1]))
    pad = partial(nn.utils.rnn.pad_sequence, batch_first=True)
    mask = pad([torch.ones_like(group, dtype=torch.bool) for group in groups])
    return Memory(pad(vectors), mask, pad(groups))


def _unit_rms(x: Float[Tensor, "*any dim"]) -> Float[Tensor, "*any dim"]:
    """Return float32 vectors of RMS 1."""
    return F.rms_norm(x.float(), x.shape[-1:], eps=1e-6)


def _time_code(seconds: Float[Tensor, " group"], dim: int) -> Float[Tensor, "group dim"]:
    """Return sinusoids of the time, periods from 1 second to about 1 hour."""
    rates = torch.logspace(0, -3.5, dim // 2, device=seconds.device, dtype=torch.float64)
    angle = 2 * torch.pi * seconds[:, None].double() * rates
    code = torch.cat((angle.sin(), angle.cos()), 1).float()
    return F.pad(code, (0, dim - code.shape[1]))


class Relook(nn.Module):
    """Attention of the latents over the video, not causal, in float32."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(
        self, states: Float[Tensor, "batch latent dim"], memory: Memory
    ) -> tuple[Float[Tensor, "batch latent dim"], Float[Tensor, "batch latent memory"]]:
        """Return what was seen and the attention, averaged over heads; each row sums to 1."""
        q = self.query(states).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k = self.key(memory.vectors).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        v = self.value(memory.vectors).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        scores = scores.masked_fill(~memory.mask[:, None, None], float("-inf"))
        weights = scores.softmax(-1)
        seen = (weights @ v).transpose(1, 2).flatten(2)
        return self.out(seen), weights.mean(1)


class LatentInjection(nn.Module):
    """Makes each block of latents from the hidden states of the block before it.

        u   = RMSNorm(h)
        r   = Relook(u, memory)
        z_j = s * RMSNorm(u + W2 GELU(W1 u) + tanh(g) r + e_j)

    Source: the paper's abstract names a latent injection module tailored for video. Choice: all of
    the above. The norm without gain and the scale s, which starts at the RMS of the token
    embeddings, are needed: hidden states are about 50 times larger than embeddings. W2 and g
    start at 0. Markers and slots start as the embedding of the prompt's last token and stand at its
    position (`positions: shared`): an untrained model then answers after the end marker as it
    answers after the prompt (docs/lab_notes.md). Everything is in float32.
    """

    def __init__(
        self, recipe: Latent, prompt_end: Float[Tensor, " dim"], embedding_rms: float
    ) -> None:
        super().__init__()
        self.num_blocks = recipe.num_blocks
        self.latents_per_block = recipe.latents_per_block
        self._own_positions = recipe.positions == "own"
        per_block, dim = recipe.latents_per_block, len(prompt_end)
        seed = prompt_end.detach().float()
        noise = _SLOT_NOISE * embedding_rms * torch.randn(per_block, dim).to(seed)
        self.start = nn.Parameter(seed[None].clone())
        self.end = nn.Parameter(seed[None].clone())
        self.slots = nn.Parameter(seed + noise)
        if not self.num_blocks:
            return
        self.norm = nn.RMSNorm(dim, eps=1e-6)
        self.up = nn.Linear(dim, dim)
        self.down = nn.Linear(dim, dim)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)
        self.relook = Relook(dim, recipe.relook_heads) if recipe.relook != "none" else None
        self.gate = nn.Parameter(torch.zeros(()))
        self.identity = nn.Parameter(torch.randn(self.num_blocks, per_block, dim) * _SLOT_SCALE)
        self.scale = nn.Parameter(torch.tensor(embedding_rms))

    def advances_position(self, rows: int, count: int) -> Bool[Tensor, "batch token"]:
        """Return whether each of `count` markers, slots or latents takes a position of its own."""
        return torch.full((rows, count), self._own_positions, device=self.start.device)

    def forward(
        self,
        hidden: Float[Tensor, "batch latent dim"],
        memory: Memory | None,
        block: int,
    ) -> tuple[Float[Tensor, "batch latent dim"], Float[Tensor, "batch latent group"] | None]:
        """Return the latents of a block, float32, and how much they looked at each frame group."""
        u = self.norm(hidden.float())
        out = u + self.down(F.gelu(self.up(u))) + self.identity[block]
        looked = None
        if self.relook is not None:
            if memory is None:
                raise ValueError("LatentInjection: a re-look needs a memory, got None")
            seen, weights = self.relook(u, memory)
            out = out + self.gate.tanh() * seen
            looked = memory.by_group(weights)
        return self.scale * _unit_rms(out), looked
