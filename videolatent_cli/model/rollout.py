"""The rollout: the model makes its own latents, in training exactly as in use (self-forcing)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from videolatent_cli.model.backbone import Backbone
    from videolatent_cli.model.injection import LatentInjection, Memory
    from videolatent_cli.model.state import Extension, State


@dataclass(frozen=True)
class Rollout:
    """The latents of a batch, and the state from which the answer goes on."""

    latents: Float[Tensor, "batch latent dim"]
    """z, float32, block by block; the latent axis is 0 without blocks."""
    attention: Float[Tensor, "batch latent group"] | None
    """How much each latent looked again at each frame group; a row sums to 1."""
    by_layer: tuple[Float[Tensor, "batch position dim"], ...]
    """Hidden states at the latents and the end marker, for each layer asked for."""
    end_hidden: Float[Tensor, "batch 1 dim"]
    """Last hidden state at the end marker: it predicts the answer's first token."""
    question_state: State
    """State after the question, before the markers."""
    state: State
    """State after the end marker."""
    before_end: Int[Tensor, " batch"]
    """Next position before the end marker."""

    def latent_state(self) -> State:
        """Return the state of the latents alone, which goes on before the end marker."""
        stop = self.state.length - 1
        return self.state.window(stop - self.latents.shape[1], stop, self.before_end)


def roll_out(  # noqa: PLR0913 - the arguments of the mathematics
    backbone: Backbone,
    injection: LatentInjection,
    question: Float[Tensor, "batch seq dim"],
    mask: Bool[Tensor, "batch seq"],
    state: State,
    memory: Memory | None,
    *,
    detach_blocks: bool = False,
    layers: tuple[int, ...] = (),
    replace: Callable[[Tensor], Tensor] | None = None,
) -> Rollout:
    """Run the question, the markers and all blocks of latents on a state that holds the video.

    Source: self-forcing, the model trains on its own rollout (abstract). Choice: B blocks of b
    parallel latents; the last one is run together with the end marker, so that B sequential steps
    follow the prefill.

    Args:
        backbone: The language model.
        injection: Makes the latents.
        question: Embedded question tokens.
        mask: False at padding.
        state: State after the video.
        memory: What the latents may look at again.
        detach_blocks: Stop the gradient between blocks.
        layers: Layers whose hidden states are wanted.
        replace: For controls: changes each block of latents, (batch, latent, dim), before it
            enters the model.
    """
    rows = len(question)
    opening = [question, *_opening(injection, rows, question)]
    added = sum(part.shape[1] for part in opening[1:])
    ones = torch.ones(rows, added, dtype=torch.bool, device=mask.device)
    moves = injection.moves(rows, added)
    first = backbone.extend(
        torch.cat(opening, 1),
        state,
        torch.cat((mask, ones), 1),
        layers,
        torch.cat((mask, moves), 1),
    )
    after_question = state.length + question.shape[1]
    question_state = first.state.window(0, after_question, state.next_position + mask.sum(1))
    if injection.num_blocks:
        blocks = _Blocks(backbone, injection, memory, detach_blocks, layers, replace)
        return blocks.run(first, question_state)
    return Rollout(
        latents=first.hidden.new_zeros(rows, 0, backbone.dim, dtype=torch.float32),
        attention=None,
        by_layer=tuple(hidden[:, -1:] for hidden in first.by_layer),
        end_hidden=first.hidden[:, -1:],
        question_state=question_state,
        state=first.state,
        before_end=first.state.next_position - moves[:, -1].long(),
    )


def _opening(injection: LatentInjection, rows: int, like: Tensor) -> list[Tensor]:
    """Return start marker and slots, and the end marker where no blocks follow."""
    parts = [injection.start, injection.slots]
    if not injection.num_blocks:
        parts.append(injection.end)
    return [part.to(like.dtype).expand(rows, -1, -1) for part in parts]


@dataclass(frozen=True)
class _Blocks:
    """The blocks of one rollout."""

    backbone: Backbone
    injection: LatentInjection
    memory: Memory | None
    detach: bool
    layers: tuple[int, ...]
    replace: Callable[[Tensor], Tensor] | None

    def run(self, out: Extension, question_state: State) -> Rollout:
        """Make and run block after block, the last one together with the end marker."""
        count, dtype = self.injection.latents_per_block, out.hidden.dtype
        end = self.injection.end.to(dtype).expand(len(out.hidden), 1, -1)
        hidden = out.hidden[:, -count:]
        latents, looks, tops = [], [], []
        for block in range(self.injection.num_blocks):
            z, look = self.injection(hidden.detach() if self.detach else hidden, self.memory, block)
            z = z if self.replace is None else self.replace(z)
            last = block == self.injection.num_blocks - 1
            fed = torch.cat((z.to(dtype), end), 1) if last else z.to(dtype)
            moves = self.injection.moves(*fed.shape[:2])
            out = self.backbone.extend(fed, out.state, layers=self.layers, moves=moves)
            hidden = out.hidden[:, :count]
            latents.append(z)
            looks.append(look)
            tops.append(out.by_layer)
        seen = [look for look in looks if look is not None]
        return Rollout(
            latents=torch.cat(latents, 1),
            attention=torch.cat(seen, 1) if seen else None,
            by_layer=tuple(torch.cat(layer, 1) for layer in zip(*tops, strict=True)),
            end_hidden=out.hidden[:, -1:],
            question_state=question_state,
            state=out.state,
            before_end=out.state.next_position - moves[:, -1].long(),
        )
