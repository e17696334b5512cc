"""Groups of triplets about one clip, which share its visual prefix in a batch."""

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
    """Return a triplet as the texts that the model reads."""
    return Example(question_text(triplet), triplet.answer, triplet.id)


@dataclass(frozen=True)
class Group:
    """Triplets about one clip that are run together."""

    clip: Clip
    triplets: tuple[Triplet, ...]


def make_groups(
    dataset: Dataset, split: str, triplets_per_video: int, limit: int | None = None
) -> list[Group]:
    """Return the triplets of a split grouped by clip, in a fixed order.

    Args:
        dataset: Data set with the triplets.
        split: Name of the split.
        triplets_per_video: Maximum number of triplets per group; a clip with more triplets is
            split into several groups.
        limit: Maximum number of clips; None: all.
    """
    by_clip: dict[Clip, list[Triplet]] = {}
    for triplet in dataset.splits[split]:
        clip = Clip(dataset.path(triplet), triplet.window)
        by_clip.setdefault(clip, []).append(triplet)
    size = triplets_per_video
    return [
        Group(clip, tuple(triplets[start : start + size]))
        for clip, triplets in islice(by_clip.items(), limit)
        for start in range(0, len(triplets), size)
    ]


def collate_groups(groups: list[Group], source: VideoSource, prompter: Prompter) -> Batch:
    """Return one batch of several groups, with the features of their videos."""
    features = source.features([group.clip for group in groups])
    examples = [[as_example(t) for t in group.triplets] for group in groups]
    return prompter.collate(features, examples)


@dataclass(frozen=True)
class Lengths:
    """Numbers of positions that do not depend on a question."""

    video_prompts: Mapping[Clip, int]
    """Positions of the prompt up to the end of the video, for each clip."""
    latents: int
    """Positions of the markers, slots and latents of one triplet."""


def group_lengths(groups: Sequence[Group], lengths: Lengths, prompter: Prompter) -> list[int]:
    """Return the number of positions of each group, with padding.

    The video counts once per group. Each triplet counts as many positions as the longest one of
    its group, since a batch pads the shorter ones.
    """
    # All texts are tokenized in one call each, which is much faster than one call per text.
    questions = prompter.questions([question_text(t) for group in groups for t in group.triplets])
    answers = prompter.answers([t.answer for group in groups for t in group.triplets])
    text_lengths = iter([len(q) + len(a) for q, a in zip(questions, answers, strict=True)])
    sizes = []
    for group in groups:
        longest = max(islice(text_lengths, len(group.triplets)))
        sizes.append(
            lengths.video_prompts[group.clip] + len(group.triplets) * (longest + lengths.latents)
        )
    return sizes
