"""Which groups of triplets form each micro batch: a pure function of seed and position."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

_BATCHES_PER_BUCKET = 16
"""Batches whose groups are shuffled among each other: groups of like length."""


def _epoch_order(seed: int, epoch: int) -> np.random.Generator:
    """Return the source of chance of one pass."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch])))


class GroupSampler:
    """Shuffled passes over groups; any micro batch is found without going through earlier ones.

    A group is some triplets of one video. Every pass shows each group once; a pass whose last
    micro batch is short is filled from the start of its own order.
    """

    def __init__(self, num_groups: int, groups_per_batch: int, seed: int) -> None:
        if num_groups < 1:
            raise ValueError(f"GroupSampler needs at least one group, got {num_groups}")
        self.num_groups = num_groups
        self.groups_per_batch = groups_per_batch
        self._seed = seed
        self.batches_per_epoch = math.ceil(num_groups / groups_per_batch)

    def indices(self, batch_index: int) -> list[int]:
        """Return the groups of micro batch `batch_index`, counted over all passes."""
        epoch, place = divmod(batch_index, self.batches_per_epoch)
        order = _epoch_order(self._seed, epoch).permutation(self.num_groups)
        start = place * self.groups_per_batch
        return [
            int(order[(start + i) % self.num_groups])
            for i in range(min(self.groups_per_batch, self.num_groups))
        ]


class BudgetSampler:
    """Shuffled passes over groups, as many to a micro batch as fit into a number of positions.

    Choice: groups are sorted by length once and cut into buckets. A batch takes groups of one
    bucket, as many as the bucket's longest allows; each pass shuffles within the buckets, and then
    the batches. The number of batches of a pass is fixed, so that any one is found directly.
    """

    def __init__(self, lengths: Sequence[int], budget: int, seed: int) -> None:
        """Cut the groups into buckets.

        Args:
            lengths: Positions of each group.
            budget: Most positions of a batch, its padding counted.
            seed: Of the order.

        Raises:
            ValueError: Without groups, or where one alone is longer than the budget.
        """
        if not lengths or max(lengths) > budget:
            longest = max(lengths, default=0)
            raise ValueError(f"BudgetSampler needs groups of 1 to {budget} tokens, got {longest}")
        order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
        self._buckets: list[tuple[list[int], int]] = []
        while order:
            size = budget // lengths[order[0]]
            bucket, order = order[: size * _BATCHES_PER_BUCKET], order[size * _BATCHES_PER_BUCKET :]
            self._buckets.append((bucket, size))
        self._seed = seed
        self.batches_per_epoch = sum(math.ceil(len(b) / size) for b, size in self._buckets)
        self._batches = lru_cache(maxsize=2)(self._make_batches)

    def indices(self, batch_index: int) -> list[int]:
        """Return the groups of micro batch `batch_index`, counted over all passes."""
        epoch, place = divmod(batch_index, self.batches_per_epoch)
        return self._batches(epoch)[place]

    def _make_batches(self, epoch: int) -> list[list[int]]:
        """Return all batches of a pass."""
        random = _epoch_order(self._seed, epoch)
        batches = []
        for bucket, size in self._buckets:
            mixed = [bucket[i] for i in random.permutation(len(bucket))]
            batches += [mixed[start : start + size] for start in range(0, len(mixed), size)]
        return [batches[i] for i in random.permutation(len(batches))]
