"""Measurements of latents and of their effect, for the diagnostics F1 to F12."""

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
"""Number of most likely words per latent."""
_VIEWS = 3
"""Maximum number of questions that are shown in detail."""
_LARGEST = ("path_difference", "path_rounding")
"""Measurements of which the largest value over questions counts, not the mean."""
_PERTURBATION = 0.5
"""Noise on the visual features relative to their RMS, to test whether latents see the video."""


@dataclass(frozen=True)
class LatentView:
    """Latents of one question: their attention over the video and their most likely words."""

    triplet: Triplet
    attention: list[list[float]]
    """Attention of each latent to each frame group; a row sums to 1. Empty without a re-look."""
    words: list[list[str]]
    """Most likely words at the position of each latent, the most likely one first."""


@dataclass(frozen=True)
class ProbeResult:
    """All measurements on one model."""

    measured: dict[str, float]
    """Measurements by the names that the diagnostics use."""
    judged: dict[Ablation, list[Judged]]
    """Judged answers under each ablation."""
    words: list[list[str]]
    """Most likely words at the position of each latent, on average over questions."""
    views: list[LatentView]
    """Latents of a few questions in detail."""

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """Failure modes F1 to F12 with their measurements."""
        return diagnose(self.measured)


def probe_model(
    model: VideoLatent,
    source: VideoSource,
    blind: VideoSource,
    groups: Sequence[Group],
    depths: list[float],
    base: VideoLatent | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> ProbeResult:
    """Measure a model on held-out questions.

    Args:
        model: Model in evaluation mode.
        source: Source of the groups' videos.
        blind: Source of the same videos with all features set to zero.
        groups: Questions by clip.
        depths: Depths at which student and teacher are compared, as in `loss.alignment_depths`.
        base: Backbone before training; None: forgetting (F12) is not measured.
        progress: Function called with (name of the stage, done, total).
    """
    show = partial(progress, "ablations")
    judged = evaluate(model, source, groups, possible_ablations(model), show)
    measured = _accuracies(judged)
    controls = {
        "blind_accuracy": (model, blind, groups),
        "other_accuracy": (model, source, _other_videos(groups)),
        **({"base_accuracy": (base, source, groups)} if base is not None else {}),
    }
    for name, (tested, videos, questions) in controls.items():
        answers = evaluate(tested, videos, questions, progress=partial(progress, name))
        measured[name] = accuracy(answers["on"]).value
    if not model.num_blocks:
        return ProbeResult(measured, judged, [], [])
    statistics = _LatentStatistics(model, depths)
    for batch, triplets in batches(groups, source, statistics.prompter):
        statistics.add(batch, triplets)
        progress("latents", statistics.count, len(judged["on"]))
    return ProbeResult(
        measured | statistics.measured(), judged, statistics.mean_words(), statistics.views
    )


def reasoning(judged: Sequence[Judged]) -> list[int]:
    """Return the indices of questions of 3 hops and more; all indices if there are none."""
    deep = [i for i, answer in enumerate(judged) if int(answer.triplet.meta.get("hops", 0)) >= 3]
    return deep or list(range(len(judged)))


def _accuracies(judged: dict[Ablation, list[Judged]]) -> dict[str, float]:
    """Return the accuracy, and its drop under each ablation on questions that need reasoning."""
    measured = {"accuracy": accuracy(judged["on"]).value}
    deep = reasoning(judged["on"])
    unchanged = accuracy([judged["on"][i] for i in deep]).value
    for name in judged.keys() - {"on"}:
        measured[f"{name}_drop"] = unchanged - accuracy([judged[name][i] for i in deep]).value
    # A model without latents has no `off`: it always answers without them.
    plain = judged.get("off", judged["on"])
    return measured | {"plain_accuracy": accuracy(plain).value}


def _other_videos(groups: Sequence[Group]) -> list[Group]:
    """Return the questions of each group about the next clip instead of their own."""
    clips = list(dict.fromkeys(group.clip for group in groups))
    following = dict(zip(clips, [*clips[1:], clips[0]], strict=True))
    return [Group(following[group.clip], group.triplets) for group in groups]


class _LatentStatistics:
    """Statistics of latents, collected batch by batch.

    Choice: the teacher has the model's current weights, regardless of `loss.teacher`.
    """

    def __init__(self, model: VideoLatent, depths: list[float]) -> None:
        self.model = model
        self.prompter = Prompter(model.backbone)
        self.teacher = TeacherWeights(model.backbone, "current", 0.0)
        self.layers = model.layers_at(depths)
        self.count = 0
        self.views: list[LatentView] = []
        self._latents: list[Tensor] = []
        self._word_probabilities: Tensor | None = None  # (latent, vocab), a sum over questions
        self._targets: list[Tensor] = []
        self._blind_targets: list[Tensor] = []
        self._values: dict[str, list[Tensor]] = {}  # one value per question, by measurement

    @torch.no_grad()
    def add(self, batch: Batch, triplets: list[Triplet]) -> None:
        """Measure one batch of questions."""
        model, answer = self.model, batch.answer
        # The last layer gives the words at the latents; the others are compared with the teacher.
        rollout = model.roll_out(model.prefill(batch), (*self.layers, model.backbone.num_layers))
        last_hidden = rollout.by_layer[-1][:, :-1]  # (batch, latent, dim), without the end marker
        teacher = model.teacher_pass(batch, rollout, self.teacher, self.layers)
        embeds = model.backbone.embed(answer.ids)
        teacher_logits = model.answer_logits(teacher.hidden[:, -1:], embeds, teacher.state)
        teacher_losses = answer_losses(teacher_logits, answer.ids, answer.mask)
        # The losses of the training path, and of the path that answering takes, token by token.
        logits = model(batch).answer_logits
        losses = answer_losses(logits, answer.ids, answer.mask)
        stepwise = answer_losses(_stepwise(model, rollout, embeds), answer.ids, answer.mask)
        student = _stacked(rollout.by_layer[:-1])
        target = _stacked(latent_states(teacher, rollout))
        self._keep("teacher_gain", losses - teacher_losses)
        self._keep("path_difference", (stepwise - losses).abs())
        largest = logits.detach().float().abs().amax((1, 2))  # (batch,)
        self._keep("path_rounding", largest * torch.finfo(logits.dtype).eps)
        self._keep("target_distance", 1 - F.cosine_similarity(target, student, dim=-1).mean((1, 2)))
        self._keep("video_effect", self._video_effect(batch, rollout))
        self._targets.append(target)
        self._blind_targets.append(self._blind_target(batch, rollout))
        self._latents.append(rollout.latents)
        self._read_words(batch, triplets, rollout, last_hidden)
        self.count += len(triplets)

    def _keep(self, name: str, values: Tensor) -> None:
        """Store the values of one measurement, (batch,)."""
        self._values.setdefault(name, []).append(values)

    def _blind_target(self, batch: Batch, rollout: Rollout) -> Tensor:
        """Return the teacher's states without the video; hint and latents stay the same."""
        question = self.model.prefill(_with_videos(batch, lambda f: only_visible(f, "none")))
        after = self.model.backbone.extend(question.embeds, question.state, question.mask).state
        blind = replace(rollout, question_state=after)
        out = self.model.teacher_pass(batch, blind, self.teacher, self.layers)
        return _stacked(latent_states(out, rollout))

    def _video_effect(self, batch: Batch, rollout: Rollout) -> Tensor:
        """Return the change of the first block by noise on the video, relative to its norm."""
        generator = torch.Generator().manual_seed(0)

        def noisy(features: VideoFeatures) -> VideoFeatures:
            embeds = features.embeds
            noise = torch.randn(embeds.shape, generator=generator).to(embeds)
            scale = _PERTURBATION * embeds.float().square().mean().sqrt()
            return replace(features, embeds=embeds + scale.to(embeds) * noise)

        noisy_latents = self.model.roll_out(self.model.prefill(_with_videos(batch, noisy))).latents
        assert self.model.injection is not None
        count = self.model.injection.latents_per_block
        own = rollout.latents[:, :count].flatten(1)
        change = noisy_latents[:, :count].flatten(1) - own
        effect: Tensor = change.norm(dim=1) / own.norm(dim=1)
        return effect

    def _read_words(
        self, batch: Batch, triplets: list[Triplet], rollout: Rollout, hidden: Tensor
    ) -> None:
        """Add up the word probabilities at the latents; store the views of a few questions."""
        probabilities = self.model.backbone.logits(hidden).float().softmax(-1)
        total = probabilities.sum(0)
        previous = self._word_probabilities
        self._word_probabilities = total if previous is None else previous + total
        for row, triplet in enumerate(triplets):
            new_video = all(view.triplet.video != triplet.video for view in self.views)
            if len(self.views) < _VIEWS and new_video and triplet.meta.get("hops", 3) >= 3:
                # The attention of a batch is padded to its longest video.
                groups = _features(batch)[int(batch.video_index[row])].grid[0]
                attention = rollout.attention
                weights = attention[row, :, :groups].tolist() if attention is not None else []
                words = self._top_words(probabilities[row])
                self.views.append(LatentView(triplet, weights, words))

    def _top_words(self, probabilities: Tensor) -> list[list[str]]:
        """Return the most likely words of each row of (latent, vocab)."""
        tokens = probabilities.topk(_WORDS, dim=-1).indices.tolist()
        return [[self.prompter.token_text(token) for token in row] for row in tokens]

    def mean_words(self) -> list[list[str]]:
        """Return the most likely words of each latent over all questions."""
        assert self._word_probabilities is not None
        return self._top_words(self._word_probabilities)

    def measured(self) -> dict[str, float]:
        """Return all measurements by name."""
        model = self.model
        blocks = model.num_blocks
        measured = latent_diagnostics(torch.cat(self._latents), blocks, model.embedding_rms())
        by_block = [measured[f"similarity_between_block_{j}"] for j in range(1, blocks + 1)]
        measured["similarity_between"] = sum(by_block) / blocks
        measured["similarity_rise"] = by_block[-1] - by_block[0]
        seen, blind = torch.cat(self._targets), torch.cat(self._blind_targets)
        # Centred: cosines of raw hidden states are near 1 with any input.
        centre = torch.cat((seen, blind)).mean(0)
        similarity = F.cosine_similarity(seen - centre, blind - centre, dim=-1)
        measured["target_similarity_blind"] = float(similarity.mean())
        for name, parts in self._values.items():
            values = torch.cat(parts)
            measured[name] = float(values.max() if name in _LARGEST else values.mean())
        return measured


def _features(batch: Batch) -> tuple[VideoFeatures, ...]:
    """Return the features of a batch's videos; an evaluation never passes frames."""
    return tuple(video for video in batch.videos if isinstance(video, VideoFeatures))


def _with_videos(batch: Batch, change: Callable[[VideoFeatures], VideoFeatures]) -> Batch:
    """Return a copy of a batch in which each video's features are changed."""
    return replace(batch, videos=tuple(change(video) for video in _features(batch)))


def _stacked(by_layer: Sequence[Tensor]) -> Tensor:
    """Return hidden states of several layers as (batch, layer, position, dim), float32."""
    return torch.stack([layer.float() for layer in by_layer], 1)


def _stepwise(model: VideoLatent, rollout: Rollout, answers: Tensor) -> Tensor:
    """Return the logits of the answers, computed token by token as answering does."""
    hidden, state = [rollout.end_hidden], rollout.state
    for step in range(answers.shape[1] - 1):
        out = model.backbone.extend(answers[:, step : step + 1], state)
        hidden.append(out.hidden)
        state = out.state
    return model.backbone.logits(torch.cat(hidden, 1))
