"""VideoLatent: a backbone with latent injection, and the forward pass of training."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from videolatent_cli.model.batch import Prompter
from videolatent_cli.model.injection import LatentInjection, Memory, make_memory
from videolatent_cli.model.rollout import Rollout, roll_out
from videolatent_cli.video.frames import FrameBatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from videolatent_cli.model.backbones.base import Backbone
    from videolatent_cli.model.backbones.features import VideoFeatures
    from videolatent_cli.model.backbones.state import Extension, State
    from videolatent_cli.model.batch import Batch
    from videolatent_cli.model.teacher import TeacherWeights
    from videolatent_cli.recipe.schema import Latent


BottleneckView = Literal["latents", "question"]
"""Context of the bottleneck's answer: the latents alone, or the text of the question too."""


@dataclass(frozen=True)
class PrefilledQuestions:
    """Questions of a batch, with the prefilled state of their videos."""

    embeds: Float[Tensor, "batch seq dim"]
    """Embedded question tokens, padded left; not yet run."""
    mask: Bool[Tensor, "batch seq"]
    """False at padding."""
    state: State
    """State after the video, one row per question."""
    memory: Memory | None
    """Video memory of the re-look, one row per question; None without a re-look."""


@dataclass(frozen=True)
class ForwardOutput:
    """Tensors that the objectives of one micro batch need."""

    answer_logits: Float[Tensor, "batch answer vocab"]
    """Logits of the answer's tokens and the end of turn."""
    rollout: Rollout | None = None
    """Rollout of the student; None for a model without latents."""
    teacher_by_layer: tuple[Float[Tensor, "batch position dim"], ...] = ()
    """Teacher's hidden states at the latents and the end marker; empty without a teacher."""
    bottleneck_logits: Float[Tensor, "batch answer vocab"] | None = None
    """Answer logits of the pass that sees the video only through the latents, if requested."""


class VideoLatent(nn.Module):
    """Multimodal language model that generates latents of its own before it answers.

    With `latent=None` it is the plain backbone, trained and used through the same methods.
    """

    def __init__(self, backbone: Backbone, latent: Latent | None) -> None:
        super().__init__()
        self.backbone = backbone
        self.latent = latent
        self.recompute_prefix = False
        """Whether the backward pass recomputes the video prefix in parts, which saves memory."""
        self.injection: LatentInjection | None = None
        if latent is not None:
            last_token = Prompter(backbone).questions([""])[0][-1]
            prompt_end = backbone.core.get_input_embeddings().weight[last_token]
            injection = LatentInjection(latent, prompt_end, self.embedding_rms())
            self.injection = injection.to(backbone.device)

    @property
    def num_blocks(self) -> int:
        """Number of latent blocks B; 0 with markers or slots alone, and for the plain backbone."""
        return self.injection.num_blocks if self.injection is not None else 0

    def embedding_rms(self) -> float:
        """Return the RMS of the backbone's token embeddings, the initial RMS of the latents."""
        table: Tensor = self.backbone.core.get_input_embeddings().weight
        return float(table.detach().float().square().mean().sqrt())

    def layers_at(self, depths: list[float]) -> tuple[int, ...]:
        """Return layers, counted from 1, at fractions of the depth: 0.5 of 4 layers is layer 2."""
        return tuple(math.ceil(depth * self.backbone.num_layers) for depth in depths)

    def prefill(self, batch: Batch) -> PrefilledQuestions:
        """Run the video prompts of a batch; return its questions with their state and memory."""
        features = self.features(batch.videos)
        state = self.backbone.prefill_videos(
            batch.video_prompt.ids,
            batch.video_prompt.mask,
            features,
            recompute=self.recompute_prefix,
        )
        memory = make_memory(features, self.latent.relook) if self.latent is not None else None
        # One row per video becomes one row per question.
        return PrefilledQuestions(
            self.backbone.embed(batch.question.ids),
            batch.question.mask,
            state.rows(batch.video_index),
            memory.rows(batch.video_index) if memory is not None else None,
        )

    def features(
        self, videos: tuple[VideoFeatures, ...] | tuple[FrameBatch, ...]
    ) -> list[VideoFeatures]:
        """Return the features of videos; frames are encoded, with gradient if enabled."""
        frames = [video for video in videos if isinstance(video, FrameBatch)]
        if frames:
            return self.backbone.encode_videos(frames)
        return [video for video in videos if not isinstance(video, FrameBatch)]

    def roll_out(
        self,
        prefilled: PrefilledQuestions,
        layers: tuple[int, ...] = (),
        replace: Callable[[Tensor], Tensor] | None = None,
        following: Float[Tensor, "batch following dim"] | None = None,
    ) -> Rollout:
        """Return the rollout of prefilled questions; see `rollout.roll_out` for the arguments."""
        if self.injection is None or self.latent is None:
            raise ValueError("VideoLatent.roll_out: this model has no latents")
        return roll_out(
            self.backbone,
            self.injection,
            prefilled.embeds,
            prefilled.mask,
            prefilled.state,
            prefilled.memory,
            detach_blocks=self.latent.rollout_gradient == "detach_blocks",
            layers=layers,
            replace=replace,
            following=following,
        )

    def forward(
        self,
        batch: Batch,
        teacher: TeacherWeights | None = None,
        layers: tuple[int, ...] = (),
        bottleneck: BottleneckView | None = None,
    ) -> ForwardOutput:
        """Return the tensors that the objectives of one micro batch need.

        Args:
            batch: Micro batch on the model's device.
            teacher: Weights of the hindsight teacher; None skips the teacher.
            layers: Layers at which student and teacher are compared.
            bottleneck: Context of an additional answer without the video; None skips it.
        """
        prefilled = self.prefill(batch)
        if self.injection is None:
            return ForwardOutput(self._plain_logits(prefilled, batch))
        answers = self.backbone.embed(batch.answer.ids)
        compared = layers if teacher is not None else ()
        # Inputs: end marker, answer without its last token. Targets: the answer.
        rollout = self.roll_out(prefilled, compared, following=answers[:, :-1])
        logits = self.backbone.logits(rollout.answer_hidden)
        targets: tuple[Tensor, ...] = ()
        if teacher is not None:
            targets = latent_states(self.teacher_pass(batch, rollout, teacher, layers), rollout)
        without_video = None
        if bottleneck is not None:
            # Keys and values are cut and joined instead of masked, so that any attention kernel
            # serves; gradients flow through the latents' keys and values.
            state = rollout.latent_state
            if bottleneck == "question":
                state = self._question_alone(batch, rollout).joined(state)
            without_video = self._bottleneck_logits(batch, state, answers)
        return ForwardOutput(logits, rollout, targets, without_video)

    def _plain_logits(
        self, prefilled: PrefilledQuestions, batch: Batch
    ) -> Float[Tensor, "batch answer vocab"]:
        """Return the answer logits without latents; question and answer run in one call."""
        answers = self.backbone.embed(batch.answer.ids[:, :-1])
        text = torch.cat((prefilled.embeds, answers), 1)  # (batch, seq + answer - 1, dim)
        mask = torch.cat((prefilled.mask, batch.answer.mask[:, :-1]), 1)
        out = self.backbone.extend(text, prefilled.state, mask)
        # The question's last token predicts the answer's first one.
        return self.backbone.logits(out.hidden[:, prefilled.embeds.shape[1] - 1 :])

    def answer_logits(
        self,
        end_hidden: Float[Tensor, "batch 1 dim"],
        answers: Float[Tensor, "batch answer dim"],
        state: State,
    ) -> Float[Tensor, "batch answer vocab"]:
        """Return the logits of all answer tokens, in a call of its own after the end marker.

        Answers are padded right, so a causal pass needs no mask for them.

        Args:
            end_hidden: Hidden state at the end marker, which predicts the first answer token.
            answers: Embedded answer tokens.
            state: State after the end marker.
        """
        hidden = end_hidden
        if answers.shape[1] > 1:
            out = self.backbone.extend(answers[:, :-1], state)
            hidden = torch.cat((end_hidden, out.hidden), 1)  # (batch, answer, dim)
        return self.backbone.logits(hidden)

    def _question_alone(self, batch: Batch, rollout: Rollout) -> State:
        """Return the state of the questions, run without their videos.

        Choice: question tokens keep the position ids of the full prompt, so that their distances to
        the latents' keys stay the same.
        """
        embeds = self.backbone.embed(batch.question.ids)
        start = rollout.question_state.next_position - batch.question.mask.sum(1)
        empty = replace(self.backbone.empty_state(len(embeds)), next_position=start)
        return self.backbone.extend(embeds, empty, batch.question.mask).state

    def _bottleneck_logits(
        self, batch: Batch, state: State, answers: Float[Tensor, "batch answer dim"]
    ) -> Float[Tensor, "batch answer vocab"]:
        """Return the answer logits on a state that knows the video only through the latents."""
        assert self.injection is not None
        rows = len(answers)
        end = self.injection.end.to(answers.dtype).expand(rows, 1, -1)
        advances_position = torch.cat(
            (self.injection.advances_position(rows, 1), batch.answer.mask[:, :-1]), 1
        )
        out = self.backbone.extend(
            torch.cat((end, answers[:, :-1]), 1),  # (batch, answer, dim)
            state,
            advances_position=advances_position,
        )
        return self.backbone.logits(out.hidden)

    @torch.no_grad()
    def teacher_pass(
        self,
        batch: Batch,
        rollout: Rollout,
        teacher: TeacherWeights,
        layers: tuple[int, ...] = (),
    ) -> Extension:
        """Run the hindsight teacher, which reads a hint with the answer and the student's latents.

        Choice: only the context differs from the student's, the latents are the same. With
        `current` weights the student's prefix is reused; other weights run the prefix again.

        Args:
            batch: Micro batch with the teacher's hints.
            rollout: Rollout of the student.
            teacher: Weights of the teacher.
            layers: Layers to return hidden states of.

        Returns:
            Hidden states and state of: hint, start marker, slots, latents, end marker.
        """
        assert self.injection is not None
        with teacher.applied():
            if teacher.kind == "current":
                state = rollout.question_state.detach()
            else:
                prefilled = self.prefill(batch)
                state = self.backbone.extend(
                    prefilled.embeds, prefilled.state, prefilled.mask
                ).state
            hint = self.backbone.embed(batch.teacher_hint.ids)
            markers = torch.cat((self.injection.start, self.injection.slots)).to(hint.dtype)
            rows = len(hint)
            after_hint = [
                markers.expand(rows, -1, -1),
                rollout.latents.detach().to(hint.dtype),
                self.injection.end.to(hint.dtype).expand(rows, 1, -1),
            ]
            # All latents are known, so one call runs them: (batch, hint + 1 + slots + K + 1, dim).
            embeds = torch.cat((hint, *after_hint), 1)
            count = embeds.shape[1] - hint.shape[1]
            not_padding = torch.ones(rows, count, dtype=torch.bool, device=hint.device)
            mask = torch.cat((batch.teacher_hint.mask, not_padding), 1)
            advances_position = torch.cat(
                (batch.teacher_hint.mask, self.injection.advances_position(rows, count)), 1
            )
            return self.backbone.extend(embeds, state, mask, layers, advances_position)


def latent_states(
    out: Extension, rollout: Rollout
) -> tuple[Float[Tensor, "batch position dim"], ...]:
    """Return the teacher's hidden states at the latents and the end marker, one per layer.

    Args:
        out: Result of `VideoLatent.teacher_pass`.
        rollout: Rollout of the student, which sets the number of latents.
    """
    count = rollout.latents.shape[1] + 1
    return tuple(states[:, -count:] for states in out.by_layer)
