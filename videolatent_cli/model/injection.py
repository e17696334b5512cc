"""The latent injection module, which makes latents from hidden states and video features."""

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
"""Initial standard deviation of the slots around the embedding of the prompt's last token.

Relative to the RMS of all token embeddings.
"""
_IDENTITY_SCALE = 0.02
"""Initial standard deviation of the block-and-slot identities e_j."""


@dataclass(frozen=True)
class Memory:
    """Vectors of the videos that the latents attend to in the re-look."""

    vectors: Float[Tensor, "batch memory dim"]
    """Vectors in float32, without gradient."""
    mask: Bool[Tensor, "batch memory"]
    """False at padding."""
    group: Int[Tensor, "batch memory"]
    """Frame group of each vector; 0 at padding."""

    def rows(self, index: Tensor) -> Memory:
        """Return the memory of the rows `index`."""
        return Memory(self.vectors[index], self.mask[index], self.group[index])

    def by_group(
        self, weights: Float[Tensor, "batch latent memory"]
    ) -> Float[Tensor, "batch latent group"]:
        """Return attention weights summed over the vectors of each frame group.

        A video with fewer groups than the longest of the batch has 0 at the groups it lacks.
        """
        num_groups = int(self.group.max()) + 1
        group = self.group[:, None].expand_as(weights)  # (batch, latent, memory)
        sums = weights.new_zeros(*weights.shape[:2], num_groups)
        return sums.scatter_add(-1, group, weights)


def make_memory(features: list[VideoFeatures], relook: str) -> Memory | None:
    """Return the re-look memory of several videos, or None with `relook: none`.

    Choice: vectors are scaled to unit RMS and carry a sinusoid of their presentation time. Neither
    the backbone's scale nor the number of frames then matters. No gradient reaches the vectors.

    Args:
        features: Features, one entry per video.
        relook: `frames` keeps the spatial mean of each frame group, `tokens` every visual token.
    """
    if relook == "none":
        return None
    vectors, groups = [], []
    for video in features:
        num_groups = video.grid[0]
        tokens = video.by_group().detach().float()  # (group, token, dim)
        kept = tokens.mean(1, keepdim=True) if relook == "frames" else tokens
        times = _time_code(video.group_seconds, kept.shape[-1])  # (group, dim)
        kept = _unit_rms(kept) + times[:, None].to(kept)
        vectors.append(kept.flatten(0, 1))  # (group * token, dim)
        groups.append(torch.arange(num_groups, device=kept.device).repeat_interleave(kept.shape[1]))
    pad = partial(nn.utils.rnn.pad_sequence, batch_first=True)  # pads with 0, False in the mask
    mask = pad([torch.ones_like(group, dtype=torch.bool) for group in groups])
    return Memory(pad(vectors), mask, pad(groups))


def _unit_rms(x: Float[Tensor, "*any dim"]) -> Float[Tensor, "*any dim"]:
    """Return the vectors in float32, scaled to RMS 1."""
    return F.rms_norm(x.float(), x.shape[-1:], eps=1e-6)


def _time_code(seconds: Float[Tensor, " group"], dim: int) -> Float[Tensor, "group dim"]:
    """Return sinusoids of presentation times, with periods from 1 second to about 1 hour."""
    # Frequencies from 1 to about 1/3162 Hz; float64 keeps the large angles of late frames exact.
    rates = torch.logspace(0, -3.5, dim // 2, device=seconds.device, dtype=torch.float64)
    angle = 2 * torch.pi * seconds[:, None].double() * rates  # (group, dim // 2)
    code = torch.cat((angle.sin(), angle.cos()), 1).float()
    return F.pad(code, (0, dim - code.shape[1]))  # one more column of zeros where dim is odd


class Relook(nn.Module):
    """Cross-attention from the latents to the whole video memory, in float32."""

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
        """Return the attended values, and attention weights averaged over heads (rows sum to 1)."""
        # All three: (batch, head, latent or memory, headdim).
        q = self.query(states).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k = self.key(memory.vectors).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        v = self.value(memory.vectors).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        scores = scores.masked_fill(~memory.mask[:, None, None], float("-inf"))
        weights = scores.softmax(-1)  # (batch, head, latent, memory)
        values = (weights @ v).transpose(1, 2).flatten(2)  # (batch, latent, dim)
        return self.out(values), weights.mean(1)


class LatentInjection(nn.Module):
    """Module that makes each block of latents from the hidden states of the block before it.

        u   = RMSNorm(h)
        r   = Relook(u, memory)
        z_j = s * RMSNorm(u + W2 GELU(W1 u) + tanh(g) r + e_j)

    The module also holds the learned start marker, end marker and slots. The slots are the inputs
    that lead to the first block. All computation is in float32.

    Source: the paper's abstract names a latent injection module tailored for video.

    Choice: everything above. The outer RMSNorm has no gain, and the scale s is the RMS of the token
    embeddings before training. Both are needed: hidden states are about 50 times larger than
    embeddings. The scale is not trained: as a parameter it drifted without an effect on accuracy
    (docs/lab-notes.md), to between 0.013 and 23 times the embeddings' RMS. Checkpoints of that
    time keep the scale that they were trained to. W2 and g start at 0. Markers and slots start as
    the embedding of the prompt's last token, and with `positions: shared` they take its position.
    An untrained model then answers after the end marker as it answers after the prompt
    (docs/lab-notes.md).

    Args:
        recipe: Section `latent` of the recipe.
        prompt_end: Embedding of the prompt's last token.
        embedding_rms: RMS of all token embeddings.
    """

    scale: Tensor
    """Scale s, which is the RMS of all latents."""

    def __init__(
        self, recipe: Latent, prompt_end: Float[Tensor, " dim"], embedding_rms: float
    ) -> None:
        super().__init__()
        self.num_blocks = recipe.num_blocks
        self.latents_per_block = recipe.latents_per_block
        self._own_positions = recipe.positions == "own"
        per_block, dim = recipe.latents_per_block, len(prompt_end)
        # Attribute names are keys of checkpoints: renaming one makes older checkpoints unreadable.
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
        self.identity = nn.Parameter(torch.randn(self.num_blocks, per_block, dim) * _IDENTITY_SCALE)
        self.register_buffer("scale", torch.tensor(embedding_rms))

    def advances_position(self, rows: int, count: int) -> Bool[Tensor, "batch token"]:
        """Return whether each of `count` markers, slots or latents takes a new position id."""
        return torch.full((rows, count), self._own_positions, device=self.start.device)

    def forward(
        self,
        hidden: Float[Tensor, "batch latent dim"],
        memory: Memory | None,
        block: int,
    ) -> tuple[Float[Tensor, "batch latent dim"], Float[Tensor, "batch latent group"] | None]:
        """Return the latents of a block, and their attention over frame groups.

        Args:
            hidden: Last-layer hidden states of the block before; for the first block, of the slots.
            memory: Video memory of the re-look; only read if the module has a re-look.
            block: Index of the block, from 0.

        Returns:
            The latents in float32; and the re-look's attention per frame group, None without one.
        """
        u = self.norm(hidden.float())
        out = u + self.down(F.gelu(self.up(u))) + self.identity[block]
        by_group = None
        if self.relook is not None:
            if memory is None:
                raise ValueError("LatentInjection: a re-look needs a memory, got None")
            values, weights = self.relook(u, memory)
            out = out + self.gate.tanh() * values
            by_group = memory.by_group(weights)
        return self.scale * _unit_rms(out), by_group
