"""The rollout: the model makes its own latents, in training exactly as in use (self-forcing)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from videolatent_cli.model.backbones.base import Backbone
    from videolatent_cli.model.backbones.state import Extension, State
    from videolatent_cli.model.injection import LatentInjection, Memory


@dataclass(frozen=True)
class Rollout:
    """The latents of a batch, and the state from which the answer goes on."""

    latents: Float[Tensor, "batch latent dim"]
    """z, float32, block by block; the latent axis is 0 without blocks."""
    attention: Float[Tensor, "batch latent group"] | None
    """How much each latent looked again at each frame group; a row sums to 1."""
    by_layer: tuple[Float[Tensor, "batch position dim"], ...]
    """Hidden states at the latents and the end marker, for each layer asked for."""
    answer_hidden: Float[Tensor, "batch answer dim"]
    """Last hidden states at the end marker, which predict the answer's first token, and at what
    was run together with it."""
    question_state: State
    """State after the question, before the markers."""
    state: State
    """State after the end marker."""
    latent_state: State
    """State of the latents alone, which goes on before the end marker."""

    @property
    def end_hidden(self) -> Float[Tensor, "batch 1 dim"]:
        """Last hidden state at the end marker."""
        return self.answer_hidden[:, :1]


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
    following: Float[Tensor, "batch following dim"] | None = None,
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
        following: Embedded tokens to run together with the end marker: in training the answer,
            which saves a pass over all keys and values.
    """
    rows = len(question)
    ending = _Ending.of(injection, question[:, :0] if following is None else following)
    markers = torch.cat((injection.start, injection.slots)).to(question.dtype)
    opening = [question, markers.expand(rows, -1, -1)]
    advances_position = [mask, injection.advances_position(rows, len(markers))]
    if not injection.num_blocks:
        opening.append(ending.embeds)
        advances_position.append(ending.advances_position)
    added = torch.ones_like(torch.cat(advances_position[1:], 1))
    seen = torch.cat((mask, added), 1)
    first = backbone.extend(
        torch.cat(opening, 1), state, seen, layers, torch.cat(advances_position, 1)
    )
    after_question = state.length + question.shape[1]
    question_state = first.state.window(0, after_question, state.next_position + mask.sum(1))
    if injection.num_blocks:
        blocks = _Blocks(backbone, injection, memory, detach_blocks, layers, replace)
        return blocks.run(first, question_state, ending)
    nothing = first.hidden.new_zeros(rows, 0, backbone.dim, dtype=torch.float32)
    by_layer = tuple(hidden[:, -ending.length :] for hidden in first.by_layer)
    return ending.rollout(first, nothing, None, by_layer, question_state)


@dataclass(frozen=True)
class _Ending:
    """The end marker, and what is run together with it."""

    embeds: Float[Tensor, "batch token dim"]
    advances_position: Bool[Tensor, "batch token"]

    @classmethod
    def of(cls, injection: LatentInjection, following: Tensor) -> _Ending:
        """Return the end marker with some embedded tokens behind it."""
        rows, count = following.shape[:2]
        end = injection.end.to(following.dtype).expand(rows, 1, -1)
        advances_position = torch.ones(rows, count, dtype=torch.bool, device=following.device)
        return cls(
            torch.cat((end, following), 1),
            torch.cat((injection.advances_position(rows, 1), advances_position), 1),
        )

    @property
    def length(self) -> int:
        """Number of tokens."""
        return self.advances_position.shape[1]

    def rollout(
        self,
        out: Extension,
        latents: Tensor,
        attention: Tensor | None,
        by_layer: tuple[Tensor, ...],
        question_state: State,
    ) -> Rollout:
        """Return the rollout whose last pass ended with this."""
        following = self.length - 1
        stop = out.state.length - self.length
        before_end = out.state.next_position - self.advances_position.sum(1)
        after_end = before_end + self.advances_position[:, 0].long()
        return Rollout(
            latents=latents,
            attention=attention,
            by_layer=tuple(layer[:, : layer.shape[1] - following] for layer in by_layer),
            answer_hidden=out.hidden[:, -self.length :],
            question_state=question_state,
            state=out.state.window(0, stop + 1, after_end),
            latent_state=out.state.window(stop - latents.shape[1], stop, before_end),
        )


@dataclass(frozen=True)
class _Blocks:
    """The blocks of one rollout."""

    backbone: Backbone
    injection: LatentInjection
    memory: Memory | None
    detach: bool
    layers: tuple[int, ...]
    replace: Callable[[Tensor], Tensor] | None

    def run(self, out: Extension, question_state: State, ending: _Ending) -> Rollout:
        """Make and run block after block, the last one together with the end marker."""
        count, dtype = self.injection.latents_per_block, out.hidden.dtype
        hidden = out.hidden[:, -count:]
        latents, looks, tops = [], [], []
        for block in range(self.injection.num_blocks):
            z, look = self.injection(hidden.detach() if self.detach else hidden, self.memory, block)
            z = z if self.replace is None else self.replace(z)
            fed, advances_position = z.to(dtype), self.injection.advances_position(*z.shape[:2])
            if block == self.injection.num_blocks - 1:
                fed = torch.cat((fed, ending.embeds), 1)
                advances_position = torch.cat((advances_position, ending.advances_position), 1)
            out = self.backbone.extend(
                fed, out.state, layers=self.layers, advances_position=advances_position
            )
            hidden = out.hidden[:, :count]
            latents.append(z)
            looks.append(look)
            tops.append(out.by_layer)
        seen = [look for look in looks if look is not None]
        return ending.rollout(
            out,
            torch.cat(latents, 1),
            torch.cat(seen, 1) if seen else None,
            tuple(torch.cat(layer, 1) for layer in zip(*tops, strict=True)),
            question_state,
        )
