"""Processes that train one model together, each on its share of a step's micro batches."""

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
_TIMEOUT = timedelta(days=1)
"""Maximum time that processes wait for each other; the first one may have to fill the cache."""


@dataclass(frozen=True)
class Processes:
    """Rank of this process and number of processes of a training; by default a single process.

    Choice: gradients are summed once per step, after all micro batches, instead of by hooks during
    the backward pass. The rollout runs the same layers several times, and with LoRA the trained
    part is small. The sum does not depend on which process ran which micro batch, so any number
    of processes trains the same model as one.
    """

    rank: int = 0
    """Number of this process, from 0."""
    count: int = 1
    """Number of processes."""

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files and logs."""
        return self.rank == 0

    def share(self, micro_batches: int) -> range:
        """Return the micro batches of a step that this process runs.

        Raises:
            RecipeError: If their number is not a multiple of the number of processes.
        """
        if micro_batches % self.count:
            raise RecipeError(
                f"training.gradient_accumulation_steps: must be a multiple of the {self.count} "
                f"processes, got {micro_batches}; set it to "
                f"{-(-micro_batches // self.count) * self.count}"
            )
        return range(self.rank, micro_batches, self.count)

    def gather(self, mine: list[T]) -> list[T]:
        """Return the results of all processes, in the order of the micro batches."""
        if self.count == 1:
            return mine
        by_rank: list[list[T]] = [[] for _ in range(self.count)]
        distributed.all_gather_object(by_rank, mine)
        # `share` deals micro batches out in turns, so the ranks' lists are interleaved again.
        return [result for turn in zip(*by_rank, strict=True) for result in turn]

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum the gradients over all processes, except sharded ones, which FSDP has summed."""
        if self.count == 1:
            return
        # Asynchronous, so that the transfers overlap; then wait for all of them.
        transfers = [
            distributed.all_reduce(p.grad, async_op=True)
            for p in parameters
            if p.grad is not None and not is_sharded(p)
        ]
        for transfer in transfers:
            transfer.wait()

    def first_then_others(self, work: Callable[[], T]) -> T:
        """Call `work` in the first process, then in all others; return its value.

        The others then find what the first one has written, such as a filled cache.
        """
        if not self.first:
            distributed.barrier()
        value = work()
        if self.first and self.count > 1:
            distributed.barrier()
        return value


@contextmanager
def joined_processes(device: str) -> Iterator[Processes]:
    """Join the process group of torchrun inside the context; leave it at the end.

    Without torchrun, yield a single process.

    Args:
        device: Device that is trained on. Each process takes the GPU of its local rank.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    cuda = torch.device(device).type == "cuda"
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # With GPUs, NCCL sums gradients, and Gloo exchanges step results, which are on the CPU.
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    distributed.init_process_group(backend, timeout=_TIMEOUT)
    try:
        yield Processes(distributed.get_rank(), count)
    finally:
        gc.collect()  # sharded modules refer to the group, and its threads must end first
        distributed.destroy_process_group()
