"""Evaluation of a model on the questions of a split, with and without its latents."""

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

_VIDEOS_PER_BATCH = 8


@dataclass(frozen=True)
class Judged:
    """Question with the answer of a model and the verdict on it."""

    triplet: Triplet
    answer: str
    """Text of the answer; empty if the video cannot be read."""
    verdict: Verdict
    strict: bool
    """Whether the whole answer equals a right one, with nothing around it."""
    answer_kl: float = 0.0
    """KL divergence (nats) of the first answer token, from the unchanged model to this ablation."""

    @property
    def right(self) -> bool:
        """Whether the answer is right, with any text around it."""
        return self.verdict == "right"


def unanswered(triplet: Triplet) -> Judged:
    """Return a question about a video that cannot be read, which counts as not right."""
    return Judged(triplet, "", "failed", strict=False)


def batches(
    groups: Sequence[Group], source: VideoSource, prompter: Prompter
) -> Iterator[tuple[Batch, list[Triplet]]]:
    """Yield batches of questions about a few videos each, on the model's device."""
    for start in range(0, len(groups), _VIDEOS_PER_BATCH):
        chunk = list(groups[start : start + _VIDEOS_PER_BATCH])
        batch = collate_groups(chunk, source, prompter).to(source.backbone.device)
        yield batch, [triplet for group in chunk for triplet in group.triplets]


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
        model: Model in evaluation mode.
        source: Source of the groups' videos.
        groups: Questions by clip.
        ablations: Ablations to run; `on` is the unchanged model.
        progress: Function called with (questions done, total number of questions).
        max_new_tokens: Maximum number of tokens per answer.

    Raises:
        UsageError: If an ablation replaces latents that the model does not have.
    """
    check_ablations(model, ablations)
    prompter = Prompter(model.backbone)
    replaces = any(name in REPLACING for name in ablations)
    mean = mean_latents(model, source, groups, prompter) if replaces else None
    judged: dict[Ablation, list[Judged]] = {name: [] for name in ablations}
    done, total = 0, sum(len(group.triplets) for group in groups)
    for batch, triplets in batches(groups, source, prompter):
        ask = partial(generate, model, batch, prompter.end_of_turn, max_new_tokens=max_new_tokens)
        own = ask()  # the unchanged model: its latents and its first-token distribution
        for name in ablations:
            out = own if name == "on" else _ablated(ask, name, own, mean, batch, triplets)
            judged[name] += _judged(prompter, triplets, own, out)
        done += len(triplets)
        progress(done, total)
    return judged


def possible_ablations(model: VideoLatent) -> list[Ablation]:
    """Return the ablations that a model allows, given its latents and markers."""
    if model.injection is None:
        return ["on"]
    return [name for name in ABLATIONS if model.num_blocks or name not in REPLACING]


def check_ablations(model: VideoLatent, ablations: Sequence[Ablation]) -> None:
    """Check that a model has the latents or markers that the ablations remove.

    Raises:
        UsageError: If it has not.
    """
    impossible = [name for name in ablations if name not in possible_ablations(model)]
    if impossible:
        raise UsageError(
            f"--ablate: the model has no latents to replace, got {impossible}; leave it out"
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
    """Return the answers of a batch with their verdicts and divergences."""
    before = own.first_logits.float().log_softmax(-1)  # (batch, vocab)
    after = out.first_logits.float().log_softmax(-1)
    # F.kl_div takes the approximation first: this is KL(before || after).
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
    """Return the accuracy of judged answers."""
    return Accuracy(sum(j.right for j in judged), len(judged))


def by_category(judged: Sequence[Judged]) -> dict[str, list[int]]:
    """Return the indices of the questions of each category that occurs, in `category_order`."""
    indices: dict[str, list[int]] = defaultdict(list)
    for index, answer in enumerate(judged):
        for name in answer.triplet.category:
            indices[name].append(index)
    return {name: indices[name] for name in sorted(indices, key=category_order)}


def category_order(name: str) -> tuple[bool, str]:
    """Return the sort key of a category name: names such as `hops=3` come before `direction`."""
    return "=" not in name, name


def difference(a: Sequence[Judged], b: Sequence[Judged]) -> Difference:
    """Return the accuracy of A minus that of B, on the same questions in the same order."""
    videos = [answer.triplet.video for answer in a]
    return paired_difference([j.right for j in a], [j.right for j in b], videos)


def accuracy_by_category(judged: Sequence[Judged]) -> dict[str, Accuracy]:
    """Return the accuracy of each category that occurs, in `category_order`."""
    categories = by_category(judged)
    return {name: accuracy([judged[i] for i in indices]) for name, indices in categories.items()}
