"""What latents hold and do: the measurements behind the diagnostics F1 to F12."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from videolatent_cli.evaluation.diagnostics import Diagnostic, diagnose
from videolatent_cli.evaluation.evaluate import (
    Judged,
    accuracy,
    batches,
    evaluate,
    possible_ablations,
)
from videolatent_cli.model.backbones.features import VideoFeatures, only_visible
from videolatent_cli.model.batch import Prompter
from videolatent_cli.model.teacher import TeacherWeights
from videolatent_cli.model.videolatent import latent_states
from videolatent_cli.objectives import answer_losses
from videolatent_cli.training.groups import Group
from videolatent_cli.training.metrics import latent_diagnostics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from videolatent_cli.data.triplets import Triplet
    from videolatent_cli.evaluation.ablation import Ablation
    from videolatent_cli.model.batch import Batch
    from videolatent_cli.model.rollout import Rollout
    from videolatent_cli.model.source import VideoSource
    from videolatent_cli.model.videolatent import VideoLatent

_WORDS = 5
_LOOKS = 3
_PERTURBATION = 0.5
"""Noise on the visual features, relative to their RMS, for the lost-state check."""


@dataclass(frozen=True)
class Look:
    """One question, where its latents looked and what they would say."""

    triplet: Triplet
    attention: list[list[float]]
    """Share of each frame group, by latent; empty without a re-look."""
    words: list[list[str]]
    """Most likely words at each latent's position, the likeliest first."""


@dataclass(frozen=True)
class Probe:
    """Everything that was measured on one model."""

    measured: dict[str, float]
    judged: dict[Ablation, list[Judged]]
    words: list[list[str]]
    """Most likely words at each latent's position, on average over questions."""
    looks: list[Look]

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """The failure modes F1 to F12."""
        return diagnose(self.measured)


def probe_model(
    model: VideoLatent,
    source: VideoSource,
    blind: VideoSource,
    groups: Sequence[Group],
    depths: list[float],
    base: VideoLatent | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Probe:
    """Measure a model on held-out questions.

    Args:
        model: In evaluation mode.
        source: Of the groups' videos.
        blind: The same, showing nothing of them.
        groups: Questions by clip.
        depths: Where student and teacher are compared, as in `loss.alignment_depths`.
        base: The backbone before training; None leaves forgetting (F12) out.
        progress: Called with (what, done, total).
    """
    show = partial(progress, "ablations")
    judged = evaluate(model, source, groups, possible_ablations(model), show)
    measured = _accuracies(judged)
    asked = {
        "blind_accuracy": (model, blind, groups),
        "other_accuracy": (model, source, _other_videos(groups)),
        **({"base_accuracy": (base, source, groups)} if base is not None else {}),
    }
    for name, (who, videos, questions) in asked.items():
        found = evaluate(who, videos, questions, progress=partial(progress, name))
        measured[name] = accuracy(found["on"]).value
    if not model.num_blocks:
        return Probe(measured, judged, [], [])
    statistics = _LatentStatistics(model, depths)
    for batch, triplets in batches(groups, source, statistics.prompter):
        statistics.add(batch, triplets)
        progress("latents", statistics.count, len(judged["on"]))
    return Probe(
        measured | statistics.measured(), judged, statistics.mean_words(), statistics.looks
    )


def reasoning(judged: Sequence[Judged]) -> list[int]:
    """Return the questions that need several steps: 3 hops and more, all where none says so."""
    deep = [i for i, one in enumerate(judged) if int(one.triplet.meta.get("hops", 0)) >= 3]
    return deep or list(range(len(judged)))


def _accuracies(judged: dict[Ablation, list[Judged]]) -> dict[str, float]:
    """Return accuracies, and what each ablation costs where reasoning is needed."""
    found = {"accuracy": accuracy(judged["on"]).value}
    deep = reasoning(judged["on"])
    whole = accuracy([judged["on"][i] for i in deep]).value
    for name in judged.keys() - {"on"}:
        found[f"{name}_drop"] = whole - accuracy([judged[name][i] for i in deep]).value
    # A model without latents answers plainly as it is.
    plain = judged.get("off", judged["on"])
    return found | {"plain_accuracy": accuracy(plain).value}


def _other_videos(groups: Sequence[Group]) -> list[Group]:
    """Return each group's questions on the next group's video that is another one."""
    clips = list(dict.fromkeys(group.clip for group in groups))
    following = dict(zip(clips, [*clips[1:], clips[0]], strict=True))
    return [Group(following[group.clip], group.triplets) for group in groups]


class _LatentStatistics:
    """Collects what the latents of one batch after another show.

    Choice: the teacher has the model's own weights, whatever it had in training.
    """

    def __init__(self, model: VideoLatent, depths: list[float]) -> None:
        self.model = model
        self.prompter = Prompter(model.backbone)
        self.teacher = TeacherWeights(model.backbone, "current", 0.0)
        self.layers = model.layers_at(depths)
        self.count = 0
        self.looks: list[Look] = []
        self._latents: list[Tensor] = []
        self._words: Tensor | None = None
        self._targets: list[Tensor] = []
        self._blind_targets: list[Tensor] = []
        self._values: dict[str, list[Tensor]] = {}

    @torch.no_grad()
    def add(self, batch: Batch, triplets: list[Triplet]) -> None:
        """Measure one batch."""
        model, answer = self.model, batch.answer
        # The last layer is for reading words, the others for comparing with the teacher.
        rollout = model.roll_out(model.prefill(batch), (*self.layers, model.backbone.num_layers))
        words = rollout.by_layer[-1][:, :-1]
        hint = model.teacher_pass(batch, rollout, self.teacher, self.layers)
        embeds = model.backbone.embed(answer.ids)
        told = model.answer_logits(hint.hidden[:, -1:], embeds, hint.state)
        trained = answer_losses(model(batch).answer_logits, answer.ids, answer.mask)
        used = answer_losses(_stepwise(model, rollout, embeds), answer.ids, answer.mask)
        student = _stacked(rollout.by_layer[:-1])
        target = _stacked(latent_states(hint, rollout))
        self._keep("teacher_gain", trained - answer_losses(told, answer.ids, answer.mask))
        self._keep("path_difference", (used - trained).abs())
        self._keep("target_distance", 1 - F.cosine_similarity(target, student, dim=-1).mean((1, 2)))
        self._keep("video_effect", self._video_effect(batch, rollout))
        self._targets.append(target)
        self._blind_targets.append(self._blind_target(batch, rollout))
        self._latents.append(rollout.latents)
        self._probe(batch, triplets, rollout, words)
        self.count += len(triplets)

    def _keep(self, name: str, values: Tensor) -> None:
        self._values.setdefault(name, []).append(values)

    def _blind_target(self, batch: Batch, rollout: Rollout) -> Tensor:
        """Return the teacher's targets where it sees nothing; only its prefix changes."""
        question = self.model.prefill(_with_videos(batch, lambda f: only_visible(f, "none")))
        after = self.model.backbone.extend(question.embeds, question.state, question.mask).state
        blind = replace(rollout, question_state=after)
        out = self.model.teacher_pass(batch, blind, self.teacher, self.layers)
        return _stacked(latent_states(out, rollout))

    def _video_effect(self, batch: Batch, rollout: Rollout) -> Tensor:
        """Return how far noise on the picture moves the first block, relative to its size."""
        generator = torch.Generator().manual_seed(0)

        def noisy(features: VideoFeatures) -> VideoFeatures:
            embeds = features.embeds
            noise = torch.randn(embeds.shape, generator=generator).to(embeds)
            scale = _PERTURBATION * embeds.float().square().mean().sqrt()
            return replace(features, embeds=embeds + scale.to(embeds) * noise)

        other = self.model.roll_out(self.model.prefill(_with_videos(batch, noisy))).latents
        assert self.model.injection is not None
        first = self.model.injection.latents_per_block
        own = rollout.latents[:, :first].flatten(1)
        effect: Tensor = (other[:, :first].flatten(1) - own).norm(dim=1) / own.norm(dim=1)
        return effect

    def _probe(
        self, batch: Batch, triplets: list[Triplet], rollout: Rollout, hidden: Tensor
    ) -> None:
        """Read the words at the latents, and keep a few questions whole."""
        chances = self.model.backbone.logits(hidden).float().softmax(-1)
        total = chances.sum(0)
        self._words = total if self._words is None else self._words + total
        for row, triplet in enumerate(triplets):
            new_video = all(look.triplet.video != triplet.video for look in self.looks)
            if len(self.looks) < _LOOKS and new_video and triplet.meta.get("hops", 3) >= 3:
                groups = _features(batch)[int(batch.video_index[row])].grid[0]
                looked = rollout.attention
                weights = looked[row, :, :groups].tolist() if looked is not None else []
                self.looks.append(Look(triplet, weights, self._top_words(chances[row])))

    def _top_words(self, chances: Tensor) -> list[list[str]]:
        """Return the likeliest words of each row."""
        tokens = chances.topk(_WORDS, dim=-1).indices.tolist()
        return [[self.prompter.token_text(token) for token in row] for row in tokens]

    def mean_words(self) -> list[list[str]]:
        """Return the likeliest words of each latent over all questions."""
        assert self._words is not None
        return self._top_words(self._words)

    def measured(self) -> dict[str, float]:
        """Return every number."""
        model = self.model
        blocks = model.num_blocks
        found = latent_diagnostics(torch.cat(self._latents), blocks, model.embedding_rms())
        by_block = [found[f"similarity_between_block_{j}"] for j in range(1, blocks + 1)]
        found["similarity_between"] = sum(by_block) / blocks
        found["similarity_rise"] = by_block[-1] - by_block[0]
        seen, blind = torch.cat(self._targets), torch.cat(self._blind_targets)
        centre = torch.cat((seen, blind)).mean(0)
        same = F.cosine_similarity(seen - centre, blind - centre, dim=-1)
        found["target_similarity_blind"] = float(same.mean())
        for name, parts in self._values.items():
            values = torch.cat(parts)
            found[name] = float(values.max() if name == "path_difference" else values.mean())
        return found


def _features(batch: Batch) -> tuple[VideoFeatures, ...]:
    """Return the videos of a batch, which an evaluation gives as features."""
    return tuple(video for video in batch.videos if isinstance(video, VideoFeatures))


def _with_videos(batch: Batch, change: Callable[[VideoFeatures], VideoFeatures]) -> Batch:
    """Return a batch whose videos' features are changed."""
    return replace(batch, videos=tuple(change(video) for video in _features(batch)))


def _stacked(by_layer: Sequence[Tensor]) -> Tensor:
    """Return hidden states as (batch, layer, position, dim), float32."""
    return torch.stack([layer.float() for layer in by_layer], 1)


def _stepwise(model: VideoLatent, rollout: Rollout, answers: Tensor) -> Tensor:
    """Return the logits of the answers one token at a time, as answering computes them."""
    hidden, state = [rollout.end_hidden], rollout.state
    for step in range(answers.shape[1] - 1):
        out = model.backbone.extend(answers[:, step : step + 1], state)
        hidden.append(out.hidden)
        state = out.state
    return model.backbone.logits(torch.cat(hidden, 1))
