"""Trainer: module, optimizer and schedule of one process, and their checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from videolatent_cli.model.checkpoint import (
    describe_checkpoint,
    load_tensors,
    save_checkpoint,
    trained_tensors,
)
from videolatent_cli.model.load import check_backbone, sampling_of, untrained_hash
from videolatent_cli.training.loop import train_steps
from videolatent_cli.training.optimizer import (
    load_optimizer_tensors,
    make_optimizer,
    make_schedule,
    optimizer_tensors,
)
from videolatent_cli.training.sharding import gather_on_first, shard_backbone, shard_like
from videolatent_cli.training.step import SelfForcing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

    from videolatent_cli.model.checkpoint import Checkpoint
    from videolatent_cli.model.videolatent import VideoLatent
    from videolatent_cli.recipe import Recipe
    from videolatent_cli.training.feed import StreamFeed, TripletFeed
    from videolatent_cli.training.loop import StepResult
    from videolatent_cli.training.processes import Processes

_OPTIMIZER, _MODULE, _TEACHER = "optimizer.", "module.", "teacher."
"""Prefixes of the training state's tensors in a checkpoint."""


class Trainer:
    """Module, optimizer and schedule of one process; saves and restores their state."""

    def __init__(
        self,
        recipe: Recipe,
        model: VideoLatent,
        feed: StreamFeed | TripletFeed,
        processes: Processes,
    ) -> None:
        self.recipe = recipe
        self.processes = processes
        self.feed = feed
        self.module = SelfForcing(model, recipe)
        self.sampling = sampling_of(recipe, model)
        self.backbone_hash = untrained_hash(model)
        # Before the optimizer is made, since sharding replaces the parameters.
        if recipe.training.shard_weights and processes.count > 1:
            shard_backbone(self.module)
        self.total_steps = feed.num_steps(recipe.training)
        self.optimizer = make_optimizer(self.module, recipe.training, processes.count)
        self.schedule = make_schedule(recipe.training, self.total_steps)

    def steps(self, first: int) -> Iterator[StepResult]:
        """Yield the results of all remaining steps; `first` steps are done."""
        return train_steps(
            self.module,
            self.optimizer,
            self.schedule,
            self.feed,
            self.recipe.training,
            first_step=first,
            total_steps=self.total_steps,
            processes=self.processes,
        )

    def restore(self, checkpoint: Checkpoint) -> int:
        """Restore the whole state of a checkpoint; return its step.

        Raises:
            IncompatibleError: If the backbone's weights are not those of the checkpoint.
        """
        check_backbone(checkpoint, self.backbone_hash)
        model = self.module.model
        like = dict(model.named_parameters())
        tensors = checkpoint.model_tensors()
        sharded = {n: shard_like(t, like.get(n, t)) for n, t in tensors.items()}
        load_tensors(model, sharded, checkpoint.folder)
        stored = checkpoint.training_tensors()
        load_optimizer_tensors(self.optimizer, _part(stored, _OPTIMIZER))
        objectives = self._objective_state()
        for name, value in _part(stored, _MODULE).items():
            objectives[name].copy_(value)
        for name, value in _part(stored, _TEACHER).items():
            self.module.teacher.weights[name].copy_(value)
        return checkpoint.step

    def save(self, checkpoints: Path, step: int) -> None:
        """Write a checkpoint to a folder; all processes must call this, the first one writes."""
        first = self.processes.first
        # Gathering sharded tensors needs all processes, so the others return only after it.
        optimizer = optimizer_tensors(self.optimizer, first=first)
        weights = gather_on_first(trained_tensors(self.module.model), first=first)
        if not first:
            return
        description = describe_checkpoint(
            step, self.total_steps, self.recipe, self.sampling, self.backbone_hash
        )
        state = {_OPTIMIZER + n: t for n, t in optimizer.items()}
        state |= {_MODULE + n: t for n, t in self._objective_state().items()}
        state |= {_TEACHER + n: t for n, t in self.module.teacher.weights.items()}
        save_checkpoint(checkpoints, description, weights, state)

    def _objective_state(self) -> dict[str, Tensor]:
        """Return the predictors, moments and queue of the objectives by name."""
        return {n: t for n, t in self.module.state_dict().items() if not n.startswith("model.")}


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors with a prefix, named without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
