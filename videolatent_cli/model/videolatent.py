"""VideoLatent: a backbone with latent injection, and the one forward of training."""

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


@dataclass(frozen=True)
class PrefilledQuestions:
    """A batch of questions on their videos, ready for the rollout."""

    embeds: Float[Tensor, "batch seq dim"]
    mask: Bool[Tensor, "batch seq"]
    state: State
    """State after the video, one row a question."""
    memory: Memory | None


@dataclass(frozen=True)
class ForwardOutput:
    """All tensors that the objectives of one micro batch need."""

    answer_logits: Float[Tensor, "batch answer vocab"]
    rollout: Rollout | None = None
    teacher_by_layer: tuple[Float[Tensor, "batch position dim"], ...] = ()
    bottleneck_logits: Float[Tensor, "batch answer vocab"] | None = None


class VideoLatent(nn.Module):
    """A multimodal language model that thinks in latents before it answers.

    Without an injection module it is the plain backbone, fine-tuned and asked in the same way.
    """

    def __init__(self, backbone: Backbone, latent: Latent | None) -> None:
        super().__init__()
        self.backbone = backbone
        self.latent = latent
        self.recompute_prefix = False
        """Whether the backward pass computes the prefix again, part by part."""
        self.injection: LatentInjection | None = None
        if latent is not None:
            last = Prompter(backbone).questions([""])[0][-1]
            prompt_end = backbone.core.get_input_embeddings().weight[last]
            injection = LatentInjection(latent, prompt_end, self.embedding_rms())
            self.injection = injection.to(backbone.device)

    @property
    def num_blocks(self) -> int:
        """Blocks of latents; 0 for markers or pause tokens alone, and for the plain backbone."""
        return self.injection.num_blocks if self.injection is not None else 0

    def embedding_rms(self) -> float:
        """Return the RMS of the backbone's token embeddings, the scale that latents start at."""
        table: Tensor = self.backbone.core.get_input_embeddings().weight
        return float(table.detach().float().square().mean().sqrt())

    def layers_at(self, depths: list[float]) -> tuple[int, ...]:
        """Return the layers at fractions of the depth, such as (2, 3, 4) of 4."""
        return tuple(math.ceil(depth * self.backbone.num_layers) for depth in depths)

    def prefill(self, batch: Batch) -> PrefilledQuestions:
        """Return the questions of a batch with the state and the memory of their videos."""
        features = self.features(batch.videos)
        prefill = self.backbone.prefill_videos
        state = prefill(
            batch.video_prompt.ids,
            batch.video_prompt.mask,
            features,
            recompute=self.recompute_prefix,
        )
        memory = make_memory(features, self.latent.relook) if self.latent is not None else None
        return PrefilledQuestions(
            self.backbone.embed(batch.question.ids),
            batch.question.mask,
            state.rows(batch.video_index),
            memory.rows(batch.video_index) if memory is not None else None,
        )

    def features(
        self, videos: tuple[VideoFeatures, ...] | tuple[FrameBatch, ...]
    ) -> list[VideoFeatures]:
        """Return features of videos; frames are encoded, with gradient where the tower learns."""
        frames = [video for video in videos if isinstance(video, FrameBatch)]
        if frames:
            return self.backbone.encode_videos(frames)
        return [video for video in videos if not isinstance(video, FrameBatch)]

    def roll_out(
        self,
        question: PrefilledQuestions,
        layers: tuple[int, ...] = (),
        replace: Callable[[Tensor], Tensor] | None = None,
        following: Float[Tensor, "batch following dim"] | None = None,
    ) -> Rollout:
        """Return the rollout of a batch of questions; arguments as those of `roll_out`."""
        if self.injection is None or self.latent is None:
            raise ValueError("VideoLatent.roll_out: this model has no latents")
        return roll_out(
            self.backbone,
            self.injection,
            question.embeds,
            question.mask,
            question.state,
            question.memory,
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
        """Return everything that the objectives need of one micro batch.

        Args:
            batch: On the model's device.
            teacher: Whose weights the hindsight teacher has; None: no teacher.
            layers: Layers at which student and teacher are compared.
            bottleneck: Also answer without the video, from latents alone or question and latents.
        """
        question = self.prefill(batch)
        if self.injection is None:
            return ForwardOutput(self._plain_logits(question, batch))
        answers = self.backbone.embed(batch.answer.ids)
        compared = layers if teacher is not None else ()
        rollout = self.roll_out(question, compared, following=answers[:, :-1])
        logits = self.backbone.logits(rollout.answer_hidden)
        seen: tuple[Tensor, ...] = ()
        if teacher is not None:
            seen = latent_states(self.teacher_pass(batch, rollout, teacher, layers), rollout)
        blind = None
        if bottleneck is not None:
            state = rollout.latent_state
            if bottleneck == "question":
                state = self._question_alone(batch, rollout).joined(state)
            blind = self._bottleneck_logits(batch, state, answers)
        return ForwardOutput(logits, rollout, seen, blind)

    def _plain_logits(
        self, question: PrefilledQuestions, batch: Batch
    ) -> Float[Tensor, "batch answer vocab"]:
        """Return the logits of the answer without latents, question and answer in one call."""
        answers = self.backbone.embed(batch.answer.ids[:, :-1])
        text = torch.cat((question.embeds, answers), 1)
        mask = torch.cat((question.mask, batch.answer.mask[:, :-1]), 1)
        out = self.backbone.extend(text, question.state, mask)
        return self.backbone.logits(out.hidden[:, question.embeds.shape[1] - 1 :])

    def answer_logits(
        self,
        end_hidden: Float[Tensor, "batch 1 dim"],
        answers: Float[Tensor, "batch answer dim"],
        state: State,
    ) -> Float[Tensor, "batch answer vocab"]:
        """Return the logits of all answer tokens; the first comes from the end marker.

        Answers are padded right, so a causal pass needs no mask for them.
        """
        hidden = end_hidden
        if answers.shape[1] > 1:
            out = self.backbone.extend(answers[:, :-1], state)
            hidden = torch.cat((end_hidden, out.hidden), 1)
        return self.backbone.logits(hidden)

    def _question_alone(self, batch: Batch, rollout: Rollout) -> State:
        """Return the state of the questions without their videos.

        Choice: they stand at the positions that they have in the full prompt, so that the latents'
        keys keep their distances.
        """
        embeds = self.backbone.embed(batch.question.ids)
        start = rollout.question_state.next_position - batch.question.mask.sum(1)
        empty = replace(self.backbone.empty_state(len(embeds)), next_position=start)
        return self.backbone.extend(embeds, empty, batch.question.mask).state

    def _bottleneck_logits(
        self, batch: Batch, state: State, answers: Float[Tensor, "batch answer dim"]
    ) -> Float[Tensor, "batch answer vocab"]:
        """Return answer logits on a state that knows the video only by the latents."""
        assert self.injection is not None
        rows = len(answers)
        end = self.injection.end.to(answers.dtype).expand(rows, 1, -1)
        advances_position = torch.cat(
            (self.injection.advances_position(rows, 1), batch.answer.mask[:, :-1]), 1
        )
        out = self.backbone.extend(
            torch.cat((end, answers[:, :-1]), 1), state, advances_position=advances_position
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
        """Return the teacher's pass: the answer as a hint, then the student's own latents.

        Choice: only the teacher's context differs. With its own weights it recomputes the prefix.
        """
        assert self.injection is not None
        with teacher.applied():
            if teacher.kind == "current":
                state = rollout.question_state.detach()
            else:
                question = self.prefill(batch)
                state = self.backbone.extend(question.embeds, question.state, question.mask).state
            hint = self.backbone.embed(batch.teacher_hint.ids)
            own = torch.cat((self.injection.start, self.injection.slots)).to(hint.dtype)
            rows = len(hint)
            rest = [
                own.expand(rows, -1, -1),
                rollout.latents.detach().to(hint.dtype),
                self.injection.end.to(hint.dtype).expand(rows, 1, -1),
            ]
            embeds = torch.cat((hint, *rest), 1)
            added = embeds.shape[1] - hint.shape[1]
            ones = torch.ones(rows, added, dtype=torch.bool, device=hint.device)
            mask = torch.cat((batch.teacher_hint.mask, ones), 1)
            advances_position = torch.cat(
                (batch.teacher_hint.mask, self.injection.advances_position(rows, added)), 1
            )
            return self.backbone.extend(embeds, state, mask, layers, advances_position)


def latent_states(
    out: Extension, rollout: Rollout
) -> tuple[Float[Tensor, "batch position dim"], ...]:
    """Return a teacher's hidden states at the latents and the end marker, layer by layer."""
    count = rollout.latents.shape[1] + 1
    return tuple(states[:, -count:] for states in out.by_layer)
