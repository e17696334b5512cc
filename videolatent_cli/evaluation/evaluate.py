"""Answers of a model to the questions of a split, with and without its latents."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from videolatent_cli.errors import UsageError
from videolatent_cli.evaluation.ablation import (
    ABLATIONS,
    REPLACING,
    Ablation,
    other_rows,
    replacement,
)
from videolatent_cli.evaluation.scorers import Verdict, is_strictly_right, judge
from videolatent_cli.evaluation.statistics import Accuracy, Difference, paired_difference
from videolatent_cli.model.batch import Prompter
from videolatent_cli.model.generate import Generated, generate
from videolatent_cli.training.groups import Group, collate_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

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
    verdict: Verdict
    strict: bool
    """Whether the answer is right word for word."""
    answer_kl: float = 0.0
    """KL divergence (nats) of the first answer token, from the model as it is to this ablation."""

    @property
    def right(self) -> bool:
        """Whether the answer is right, whatever stands around it."""
        return self.verdict == "right"


def batches(
    groups: Sequence[Group], source: VideoSource, prompter: Prompter
) -> Iterator[tuple[Batch, list[Triplet]]]:
    """Yield the questions of a few videos at a time, on the model's device."""
    for start in range(0, len(groups), _VIDEOS_AT_ONCE):
        part = list(groups[start : start + _VIDEOS_AT_ONCE])
        batch = collate_groups(part, source, prompter).to(source.backbone.device)
        yield batch, [triplet for group in part for triplet in group.triplets]


def evaluate(
    model: VideoLatent,
    source: VideoSource,
    groups: Sequence[Group],
    ablations: Sequence[Ablation] = ("on",),
    progress: Callable[[int, int], None] = lambda *_: None,
    *,
    max_new_tokens: int = 32,
) -> dict[Ablation, list[Judged]]:
    """Return the judged answers of each ablation, in the order of the groups.

    Args:
        model: In evaluation mode.
        source: Of the groups' videos.
        groups: Questions by clip.
        ablations: `on` is the model as it is.
        progress: Called with (questions done, questions in all).
        max_new_tokens: Longest answer.

    Raises:
        UsageError: For an ablation of latents that the model does not have.
    """
    check_ablations(model, ablations)
    prompter = Prompter(model.backbone)
    replaced = any(name in REPLACING for name in ablations)
    mean = mean_latents(model, source, groups, prompter) if replaced else None
    judged: dict[Ablation, list[Judged]] = {name: [] for name in ablations}
    done, total = 0, sum(len(group.triplets) for group in groups)
    for batch, triplets in batches(groups, source, prompter):
        ask = partial(generate, model, batch, prompter.end_of_turn, max_new_tokens=max_new_tokens)
        own = ask()
        for name in ablations:
            out = own if name == "on" else _ablated(ask, name, own, mean, batch, triplets)
            judged[name] += _judged(prompter, triplets, own, out)
        done += len(triplets)
        progress(done, total)
    return judged


def possible_ablations(model: VideoLatent) -> list[Ablation]:
    """Return the ablations that take away something that a model has."""
    if model.injection is None:
        return ["on"]
    return [name for name in ABLATIONS if model.num_blocks or name not in REPLACING]


def check_ablations(model: VideoLatent, ablations: Sequence[Ablation]) -> None:
    """Check that a model has what the ablations take away.

    Raises:
        UsageError: Where it has not.
    """
    missing = [name for name in ablations if name not in possible_ablations(model)]
    if missing:
        raise UsageError(
            f"--ablate: the model has no latents to replace, got {missing}; leave it out"
        )


def _ablated(
    ask: Callable[..., Generated],
    name: Ablation,
    own: Generated,
    mean: Tensor | None,
    batch: Batch,
    triplets: Sequence[Triplet],
) -> Generated:
    """Return the answers of a batch under an ablation."""
    if name in ("off", "markers"):
        return ask(latents=name)
    assert mean is not None
    assert own.rollout is not None
    others = other_rows([t.answer for t in triplets], batch.video_index.tolist(), seed=0)
    return ask(replace=replacement(name, own.rollout.latents, mean, others, seed=0))


def _judged(
    prompter: Prompter, triplets: Sequence[Triplet], own: Generated, out: Generated
) -> list[Judged]:
    """Return the answers of a batch with verdicts and divergences."""
    before = own.first_logits.float().log_softmax(-1)
    after = out.first_logits.float().log_softmax(-1)
    divergence = F.kl_div(after, before, reduction="none", log_target=True).sum(-1)
    answers = [prompter.decode(ids) for ids in out.token_ids]
    return [
        Judged(t, answer, judge(t, answer), is_strictly_right(t, answer), max(0.0, kl))
        for t, answer, kl in zip(triplets, answers, divergence.tolist(), strict=True)
    ]


@torch.no_grad()
def mean_latents(
    model: VideoLatent, source: VideoSource, groups: Sequence[Group], prompter: Prompter
) -> Tensor:
    """Return the mean latents over all questions, (latent, dim)."""
    total, count = torch.zeros((), device=model.backbone.device), 0
    for batch, _ in batches(groups, source, prompter):
        latents = model.roll_out(model.prefill(batch)).latents
        total = total + latents.sum(0)
        count += len(latents)
    return total / count


def accuracy(judged: Sequence[Judged]) -> Accuracy:
    """Return the share of right answers."""
    return Accuracy(sum(j.right for j in judged), len(judged))


def by_category(judged: Sequence[Judged]) -> dict[str, list[int]]:
    """Return the questions of each category name that occurs: `hops=3` first, then `direction`."""
    found: dict[str, list[int]] = defaultdict(list)
    for index, one in enumerate(judged):
        for name in one.triplet.category:
            found[name].append(index)
    return {name: found[name] for name in sorted(found, key=category_order)}


def category_order(name: str) -> tuple[bool, str]:
    """Return what sorts category names: `hops=3` before `direction`."""
    return "=" not in name, name


def difference(a: Sequence[Judged], b: Sequence[Judged]) -> Difference:
    """Return how much more of the same questions A answers rightly than B."""
    videos = [one.triplet.video for one in a]
    return paired_difference([j.right for j in a], [j.right for j in b], videos)


def accuracy_by_category(judged: Sequence[Judged]) -> dict[str, Accuracy]:
    """Return the accuracy of each category name that occurs."""
    groups = by_category(judged)
    return {name: accuracy([judged[i] for i in found]) for name, found in groups.items()}
