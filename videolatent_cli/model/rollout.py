"""Rollout: the model makes its own latents, in training exactly as in inference (self-forcing)."""

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
    """Latents of a batch, and the key-value states from which other passes continue."""

    latents: Float[Tensor, "batch latent dim"]
    """Latents z in float32, block by block; without blocks, the latent axis has length 0."""
    attention: Float[Tensor, "batch latent group"] | None
    """Re-look attention of each latent over frame groups; each row sums to 1."""
    by_layer: tuple[Float[Tensor, "batch position dim"], ...]
    """Hidden states at the latents and the end marker, one entry per requested layer."""
    answer_hidden: Float[Tensor, "batch answer dim"]
    """Last-layer hidden states at the end marker and at the tokens that follow it in one call.

    The one at the end marker predicts the answer's first token.
    """
    question_state: State
    """State after the question, before the markers."""
    state: State
    """State after the end marker."""
    latent_state: State
    """State of the latent positions alone; the next token to run on it is the end marker."""

    @property
    def end_hidden(self) -> Float[Tensor, "batch 1 dim"]:
        """Last-layer hidden state at the end marker."""
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
    """Run the question, the start marker, the slots, all latent blocks and the end marker.

    Source: self-forcing, the model trains on its own rollout (abstract). Choice: B blocks of b
    parallel latents. The last block runs in one call with the end marker, so that B sequential
    steps follow the prefill.

    Args:
        backbone: Language model.
        injection: Latent injection module.
        question: Embedded question tokens.
        mask: False at padding of the question.
        state: State after the video.
        memory: Video memory of the re-look.
        detach_blocks: Whether to stop the gradient between blocks.
        layers: Layers to return hidden states of.
        replace: Function for controls that changes each block of latents, (batch, latent, dim),
            before it enters the model.
        following: Embedded tokens to run in one call with the end marker. In training these are
            the answer's tokens, which saves a pass over all keys and values.
    """
    rows = len(question)
    ending = _Ending.of(injection, question[:, :0] if following is None else following)
    markers = torch.cat((injection.start, injection.slots)).to(question.dtype)  # (1 + slots, dim)
    embeds = [question, markers.expand(rows, -1, -1)]
    advances_position = [mask, injection.advances_position(rows, len(markers))]
    if not injection.num_blocks:
        # Without latents nothing has to wait for the slots: everything runs in one call.
        embeds.append(ending.embeds)
        advances_position.append(ending.advances_position)
    # Markers are never padding, and causal attention hides right padding of following tokens.
    not_padding = torch.ones_like(torch.cat(advances_position[1:], 1))
    out = backbone.extend(
        # (batch, seq + 1 + slots, dim); without blocks, 1 + following more tokens.
        torch.cat(embeds, 1),
        state,
        torch.cat((mask, not_padding), 1),
        layers,
        torch.cat(advances_position, 1),
    )
    # Without markers and slots: the teacher reads its hint directly after the question.
    after_question = state.length + question.shape[1]
    question_state = out.state.window(0, after_question, state.next_position + mask.sum(1))
    if injection.num_blocks:
        blocks = _Blocks(backbone, injection, memory, detach_blocks, layers, replace)
        return blocks.run(out, question_state, ending)
    no_latents = out.hidden.new_zeros(rows, 0, backbone.dim, dtype=torch.float32)
    by_layer = tuple(hidden[:, -ending.length :] for hidden in out.by_layer)
    return ending.rollout(out, no_latents, None, by_layer, question_state)


@dataclass(frozen=True)
class _Ending:
    """The end marker and the tokens that run in one call with it."""

    embeds: Float[Tensor, "batch token dim"]
    advances_position: Bool[Tensor, "batch token"]
    """Whether each token takes a new position id."""

    @classmethod
    def of(cls, injection: LatentInjection, following: Tensor) -> _Ending:
        """Return the end marker with the embedded tokens `following`, which may be none."""
        rows, count = following.shape[:2]
        end = injection.end.to(following.dtype).expand(rows, 1, -1)
        advances_position = torch.ones(rows, count, dtype=torch.bool, device=following.device)
        return cls(
            torch.cat((end, following), 1),  # (batch, 1 + following, dim)
            torch.cat((injection.advances_position(rows, 1), advances_position), 1),
        )

    @property
    def length(self) -> int:
        """Number of tokens, 1 + following."""
        return self.advances_position.shape[1]

    def rollout(
        self,
        out: Extension,
        latents: Tensor,
        attention: Tensor | None,
        by_layer: tuple[Tensor, ...],
        question_state: State,
    ) -> Rollout:
        """Return the finished rollout.

        Args:
            out: Result of the last call, which ended with these tokens.
            latents: All latents.
            attention: Re-look attention of all latents.
            by_layer: Hidden states at all latents and at these tokens, one entry per layer.
            question_state: State after the question.
        """
        following = self.length - 1
        # The state ends with: latents | end marker | following tokens.
        end = out.state.length - self.length  # index of the end marker
        before_end = out.state.next_position - self.advances_position.sum(1)
        after_end = before_end + self.advances_position[:, 0].long()
        return Rollout(
            latents=latents,
            attention=attention,
            # (batch, latent + 1 + following, dim) -> (batch, latent + 1, dim)
            by_layer=tuple(layer[:, : layer.shape[1] - following] for layer in by_layer),
            answer_hidden=out.hidden[:, -self.length :],  # (batch, 1 + following, dim)
            question_state=question_state,
            state=out.state.window(0, end + 1, after_end),
            latent_state=out.state.window(end - latents.shape[1], end, before_end),
        )


@dataclass(frozen=True)
class _Blocks:
    """The part of one rollout that makes and runs the latent blocks."""

    backbone: Backbone
    injection: LatentInjection
    memory: Memory | None
    detach: bool
    layers: tuple[int, ...]
    replace: Callable[[Tensor], Tensor] | None

    def run(self, out: Extension, question_state: State, ending: _Ending) -> Rollout:
        """Make and run one block after another, the last one together with the ending.

        Args:
            out: Result of the call that ended with the slots.
            question_state: State after the question.
            ending: End marker and the tokens after it.
        """
        per_block, dtype = self.injection.latents_per_block, out.hidden.dtype
        hidden = out.hidden[:, -per_block:]  # at the slots: (batch, b, dim)
        latents, attentions, states_by_block = [], [], []
        for block in range(self.injection.num_blocks):
            z, attention = self.injection(
                hidden.detach() if self.detach else hidden, self.memory, block
            )  # (batch, b, dim), (batch, b, group)
            z = z if self.replace is None else self.replace(z)
            embeds, advances_position = z.to(dtype), self.injection.advances_position(*z.shape[:2])
            if block == self.injection.num_blocks - 1:
                # The end marker needs no hidden states of this block, only its keys and values,
                # which causal attention sees within one call. That saves a sequential step.
                embeds = torch.cat((embeds, ending.embeds), 1)  # (batch, b + 1 + following, dim)
                advances_position = torch.cat((advances_position, ending.advances_position), 1)
            out = self.backbone.extend(
                embeds, out.state, layers=self.layers, advances_position=advances_position
            )
            hidden = out.hidden[:, :per_block]  # (batch, b, dim)
            latents.append(z)
            attentions.append(attention)
            states_by_block.append(out.by_layer)
        relooks = [attention for attention in attentions if attention is not None]
        return ending.rollout(
            out,
            torch.cat(latents, 1),  # (batch, K, dim)
            torch.cat(relooks, 1) if relooks else None,  # (batch, K, group)
            # One (batch, K + 1 + following, dim) per layer, joined over the blocks.
            tuple(torch.cat(layer, 1) for layer in zip(*states_by_block, strict=True)),
            question_state,
        )
