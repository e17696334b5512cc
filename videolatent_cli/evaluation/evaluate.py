"""Answers of a model to the questions of a split, with and without its latents."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from videolatent_cli.evaluation.ablation import Ablation, other_rows, replacement
from videolatent_cli.evaluation.scorers import is_right
from videolatent_cli.evaluation.statistics import Accuracy
from videolatent_cli.model.batch import Prompter
from videolatent_cli.model.generate import Generated, generate
from videolatent_cli.training.feed import Group, collate_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from videolatent_cli.data.triplets import Triplet
    from videolatent_cli.model.batch import Batch
    from videolatent_cli.model.source import VideoSource
    from videolatent_cli.model.videolatent import VideoLatent

_VIDEOS_AT_ONCE = 8


@dataclass(frozen=True)
class Judged:
    """One question with the answer that was given."""

    triplet: Triplet
    answer: str
    right: bool


def evaluate(
    model: VideoLatent,
    source: VideoSource,
    groups: Sequence[Group],
    ablations: Sequence[Ablation] = ("on",),
    progress: Callable[[int, int], None] = lambda *_: None,
) -> dict[Ablation, list[Judged]]:
    """Return the judged answers of each ablation, in the order of the groups.

    Args:
        model: In evaluation mode.
        source: Of the groups' videos.
        groups: Questions by clip.
        ablations: `on` is the model as it is.
        progress: Called with (groups done, groups in all).
    """
    prompter = Prompter(model.backbone)
    judged: dict[Ablation, list[Judged]] = {name: [] for name in ablations}
    replaced = any(name not in ("on", "off") for name in ablations)
    mean = _mean_latents(model, source, groups, prompter) if replaced else None
    for start in range(0, len(groups), _VIDEOS_AT_ONCE):
        part = list(groups[start : start + _VIDEOS_AT_ONCE])
        triplets = [triplet for group in part for triplet in group.triplets]
        batch = collate_groups(part, source, prompter).to(model.backbone.device)
        own = generate(model, batch, prompter.end_of_turn)
        for name in ablations:
            out = (
                own if name == "on" else _ablated(model, batch, prompter, name, own, mean, triplets)
            )
            for triplet, ids in zip(triplets, out.token_ids, strict=True):
                answer = prompter.decode(ids)
                judged[name].append(Judged(triplet, answer, is_right(triplet, answer)))
        progress(min(start + _VIDEOS_AT_ONCE, len(groups)), len(groups))
    return judged


def _ablated(
    model: VideoLatent,
    batch: Batch,
    prompter: Prompter,
    name: Ablation,
    own: Generated,
    mean: Tensor | None,
    triplets: Sequence[Triplet],
) -> Generated:
    """Return the answers of a batch under an ablation."""
    if name == "off" or own.rollout is None:
        return generate(model, batch, prompter.end_of_turn, latents="off")
    assert mean is not None
    others = other_rows([t.answer for t in triplets], batch.video_index.tolist(), seed=0)
    replace = replacement(name, own.rollout.latents, mean, others, seed=0)
    return generate(model, batch, prompter.end_of_turn, replace=replace)


@torch.no_grad()
def _mean_latents(
    model: VideoLatent, source: VideoSource, groups: Sequence[Group], prompter: Prompter
) -> Tensor | None:
    """Return the mean latents over all questions, (latent, dim); None without blocks."""
    if model.injection is None or not model.injection.num_blocks:
        return None
    total, count = None, 0
    for start in range(0, len(groups), _VIDEOS_AT_ONCE):
        part = list(groups[start : start + _VIDEOS_AT_ONCE])
        batch = collate_groups(part, source, prompter).to(model.backbone.device)
        latents = model.think(model.open(batch)).latents
        total = latents.sum(0) if total is None else total + latents.sum(0)
        count += len(latents)
    return total / count if total is not None else None


def accuracy(judged: Sequence[Judged]) -> Accuracy:
    """Return the share of right answers."""
    return Accuracy(sum(j.right for j in judged), len(judged))


def accuracy_by_category(judged: Sequence[Judged]) -> dict[str, Accuracy]:
    """Return accuracy for each category name that occurs, such as `direction` or `hops=3`."""
    found: dict[str, list[Judged]] = defaultdict(list)
    for one in judged:
        for name in one.triplet.category:
            found[name].append(one)
    return {name: accuracy(found[name]) for name in sorted(found)}
