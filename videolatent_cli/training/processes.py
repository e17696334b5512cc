"""Several processes that train one model, each on its share of a step's micro batches."""

from __future__ import annotations

import gc
import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import distributed

from videolatent_cli.errors import RecipeError
from videolatent_cli.training.sharding import is_sharded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import nn

T = TypeVar("T")
_PATIENCE = timedelta(days=1)
"""How long the others wait for the first process, which fills the cache."""


@dataclass(frozen=True)
class Processes:
    """This process among those of a training; by default it is alone.

    Choice: gradients are summed once a step, after all micro batches, instead of by hooks during
    the backward pass: the rollout runs the same layers several times, and what is trained is small
    with LoRA. The sum over micro batches does not depend on who ran which, so any number of
    processes trains the same model as one.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def share(self, micro_batches: int) -> range:
        """Return which micro batches of a step this process runs.

        Raises:
            RecipeError: Where they cannot be shared out evenly.
        """
        if micro_batches % self.count:
            raise RecipeError(
                f"training.gradient_accumulation_steps: must be a multiple of the {self.count} "
                f"processes, got {micro_batches}; set it to "
                f"{-(-micro_batches // self.count) * self.count}"
            )
        return range(self.rank, micro_batches, self.count)

    def gather(self, mine: list[T]) -> list[T]:
        """Return what all processes have, in the order of the micro batches."""
        if self.count == 1:
            return mine
        found: list[list[T]] = [[] for _ in range(self.count)]
        distributed.all_gather_object(found, mine)
        return [one for together in zip(*found, strict=True) for one in together]

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up the gradients of all processes, but for those that come as shared sums."""
        if self.count == 1:
            return
        waiting = [
            distributed.all_reduce(p.grad, async_op=True)
            for p in parameters
            if p.grad is not None and not is_sharded(p)
        ]
        for one in waiting:
            one.wait()

    def first_then_others(self, work: Callable[[], T]) -> T:
        """Return what `work` gives, which the first process does before the others."""
        if not self.first:
            distributed.barrier()
        found = work()
        if self.first and self.count > 1:
            distributed.barrier()
        return found


@contextmanager
def joined_processes(device: str) -> Iterator[Processes]:
    """Join the processes that torchrun started, if it did; leave them at the end.

    Args:
        device: Kind of device that is trained on; a GPU is picked by the process's number.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    cuda = torch.device(device).type == "cuda"
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    distributed.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield Processes(distributed.get_rank(), count)
    finally:
        gc.collect()  # sharded modules hold on to the group, whose threads must end first
        distributed.destroy_process_group()
