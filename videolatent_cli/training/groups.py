"""Triplets about one clip, grouped so that they share its visual prefix."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from videolatent_cli.data.triplets import question_text
from videolatent_cli.model.batch import Example, Prompter
from videolatent_cli.video.clip import Clip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from videolatent_cli.data.dataset import Dataset
    from videolatent_cli.data.triplets import Triplet
    from videolatent_cli.model.batch import Batch
    from videolatent_cli.model.source import VideoSource


def as_example(triplet: Triplet) -> Example:
    """Return a triplet as the model sees it."""
    return Example(question_text(triplet), triplet.answer, triplet.id)


@dataclass(frozen=True)
class Group:
    """Some triplets about one clip."""

    clip: Clip
    triplets: tuple[Triplet, ...]


def make_groups(
    dataset: Dataset, split: str, triplets_per_video: int, limit: int | None = None
) -> list[Group]:
    """Return the triplets of a split, those about one clip together, in a fixed order.

    Args:
        dataset: Where they come from.
        split: Name of the split.
        triplets_per_video: Most triplets of a group; a clip with more makes several.
        limit: Most clips; None: all.
    """
    by_clip: dict[Clip, list[Triplet]] = {}
    for triplet in dataset.splits[split]:
        clip = Clip(dataset.path(triplet), triplet.window)
        by_clip.setdefault(clip, []).append(triplet)
    size = triplets_per_video
    return [
        Group(clip, tuple(found[start : start + size]))
        for clip, found in islice(by_clip.items(), limit)
        for start in range(0, len(found), size)
    ]


def collate_groups(groups: list[Group], source: VideoSource, prompter: Prompter) -> Batch:
    """Return groups as one batch with the features of their videos."""
    features = source.features([group.clip for group in groups])
    examples = [[as_example(t) for t in group.triplets] for group in groups]
    return prompter.collate(features, examples)


@dataclass(frozen=True)
class Lengths:
    """Positions that do not depend on a question."""

    head: Mapping[Clip, int]
    """Of the prompt up to and with the video."""
    latents: int
    """Of markers, slots and latents of a triplet."""


def group_lengths(groups: Sequence[Group], lengths: Lengths, prompter: Prompter) -> list[int]:
    """Return the positions of each group: its video once, each triplet as long as the longest."""
    asked = prompter.questions([question_text(t) for group in groups for t in group.triplets])
    answers = prompter.answers([t.answer for group in groups for t in group.triplets])
    texts = iter([len(q) + len(a) for q, a in zip(asked, answers, strict=True)])
    found = []
    for group in groups:
        longest = max(islice(texts, len(group.triplets)))
        found.append(lengths.head[group.clip] + len(group.triplets) * (longest + lengths.latents))
    return found
