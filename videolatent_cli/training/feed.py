"""Sources of micro batches: a stream of rendered worlds, or triplets with their videos."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from videolatent_cli.data.dataset import TRAIN
from videolatent_cli.data.eventworld import FPS, SPEC_VERSION, render
from videolatent_cli.data.eventworld.triplets import eventworld_triplets
from videolatent_cli.errors import RecipeError
from videolatent_cli.model.batch import Prompter
from videolatent_cli.recipe import digest
from videolatent_cli.training.groups import (
    Lengths,
    as_example,
    collate_groups,
    group_lengths,
    make_groups,
)
from videolatent_cli.training.sampler import BudgetSampler, GroupSampler
from videolatent_cli.video.frames import FrameBatch

if TYPE_CHECKING:
    from videolatent_cli.data.dataset import Dataset
    from videolatent_cli.data.eventworld import World
    from videolatent_cli.model.backbones.base import Backbone
    from videolatent_cli.model.batch import Batch
    from videolatent_cli.model.source import VideoSource
    from videolatent_cli.recipe.data_schema import EventWorldStreamData
    from videolatent_cli.recipe.schema import Training


def world_frames(world: World) -> FrameBatch:
    """Return the rendered frames of a world with their times."""
    frames = render(world)
    return FrameBatch(frames, np.arange(len(frames)) / FPS, len(frames) / FPS)


class StreamFeed:
    """Endless stream of EventWorld micro batches; each contains videos that no other contains.

    Choice: answers are balanced within each micro batch, so that any micro batch can be made alone.
    """

    def __init__(
        self, data: EventWorldStreamData, videos_per_batch: int, backbone: Backbone
    ) -> None:
        self._data = data
        self._count = videos_per_batch
        self._prompter = Prompter(backbone)
        self.fingerprint = digest(["eventworld_stream", SPEC_VERSION, data.model_dump()])

    def num_steps(self, training: Training) -> int:
        """Return the number of optimizer steps of a training."""
        assert training.max_steps is not None, "a stream has no end, so the recipe sets max_steps"
        return training.max_steps

    def batch(self, index: int) -> Batch:
        """Return micro batch `index`."""
        first = self._data.first_index + index * self._count
        pairs = eventworld_triplets(
            self._data.split,
            range(first, first + self._count),
            self._data.families,
            self._data.questions_per_video,
            self._data.options_fraction,
            self._data.forms_fraction,
        )
        # The balance may refuse all questions of a world; its video then has no row in the batch.
        pairs = [(world, triplets) for world, triplets in pairs if triplets]
        frames = [world_frames(world) for world, _ in pairs]
        examples = [[as_example(t) for t in triplets] for _, triplets in pairs]
        return self._prompter.collate(frames, examples)


class TripletFeed:
    """Micro batches of a data set's training triplets, with their videos from a `VideoSource`."""

    def __init__(
        self,
        dataset: Dataset,
        source: VideoSource,
        training: Training,
        *,
        live_frames: bool,
        lengths: Lengths | None = None,
    ) -> None:
        """Group the triplets by video and fix the order of micro batches.

        Args:
            dataset: Data set with the training triplets.
            source: Source of the videos' features and frames.
            training: Section of the recipe that sets size and order of micro batches.
            live_frames: Whether batches contain frames instead of features, for training the
                vision tower.
            lengths: Numbers of positions; required if `training.tokens_per_batch` is set.

        Raises:
            RecipeError: If the triplets of one video alone exceed `training.tokens_per_batch`.
        """
        self._groups = make_groups(dataset, TRAIN, training.triplets_per_video)
        self._source = source
        self._live_frames = live_frames
        self._prompter = Prompter(source.backbone)
        self._sampler = self._make_sampler(training, lengths)
        self.fingerprint = dataset.fingerprint

    def _make_sampler(
        self, training: Training, lengths: Lengths | None
    ) -> GroupSampler | BudgetSampler:
        """Return the sampler that chooses the groups of each micro batch."""
        budget = training.tokens_per_batch
        if budget is None:
            return GroupSampler(len(self._groups), training.videos_per_batch, training.seed)
        assert lengths is not None, "a budget needs lengths"
        sizes = group_lengths(self._groups, lengths, self._prompter)
        largest = max(range(len(sizes)), key=sizes.__getitem__)
        if sizes[largest] > budget:
            raise RecipeError(
                f"training.tokens_per_batch: must be at least {sizes[largest]}, the positions of "
                f"the triplets of {self._groups[largest].clip.path}, got {budget}; raise it, or "
                "lower video.max_frames or training.triplets_per_video"
            )
        return BudgetSampler(sizes, budget, training.seed)

    def num_steps(self, training: Training) -> int:
        """Return the number of optimizer steps of a training."""
        if training.max_steps is not None:
            return training.max_steps
        batches = self._sampler.batches_per_epoch * training.epochs
        return max(1, math.ceil(batches / training.gradient_accumulation_steps))

    def batch(self, index: int) -> Batch:
        """Return micro batch `index`."""
        groups = [self._groups[i] for i in self._sampler.indices(index)]
        if not self._live_frames:
            return collate_groups(groups, self._source, self._prompter)
        frames = self._source.frames([group.clip for group in groups])
        examples = [[as_example(t) for t in group.triplets] for group in groups]
        return self._prompter.collate(frames, examples)
