"""Samplers: choose the groups of triplets of each micro batch from seed and index alone."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

_BATCHES_PER_BUCKET = 16
"""Full batches per bucket. Groups are shuffled only within a bucket, so lengths stay similar."""


def _epoch_random(seed: int, epoch: int) -> np.random.Generator:
    """Return the random generator of one pass."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch])))


class GroupSampler:
    """Shuffled passes over groups, a fixed number per micro batch.

    Any micro batch is found directly, without iterating over earlier ones. Every pass contains
    each group. A short last micro batch is filled up with groups from the start of the same pass.
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
        epoch, batch = divmod(batch_index, self.batches_per_epoch)
        order = _epoch_random(self._seed, epoch).permutation(self.num_groups)
        start = batch * self.groups_per_batch
        return [
            int(order[(start + i) % self.num_groups])
            for i in range(min(self.groups_per_batch, self.num_groups))
        ]


class BudgetSampler:
    """Shuffled passes over groups; each micro batch takes as many as fit into a token budget.

    Choice: groups are sorted by length once and cut into buckets. A micro batch takes groups of
    one bucket, as many as fit if all were as long as the longest. Each pass shuffles the groups
    within each bucket, and then the batches. The number of batches per pass is fixed, so that any
    micro batch is found directly.
    """

    def __init__(self, lengths: Sequence[int], budget: int, seed: int) -> None:
        """Cut the groups into buckets.

        Args:
            lengths: Number of positions of each group.
            budget: Maximum number of positions per micro batch, padding included.
            seed: Seed of the order.

        Raises:
            ValueError: If there are no groups, or if one alone is longer than the budget.
        """
        if not lengths or max(lengths) > budget:
            longest = max(lengths, default=0)
            raise ValueError(f"BudgetSampler needs groups of 1 to {budget} tokens, got {longest}")
        order = sorted(range(len(lengths)), key=lambda i: -lengths[i])  # longest first
        self._buckets: list[tuple[list[int], int]] = []  # groups, and the number per micro batch
        while order:
            size = budget // lengths[order[0]]  # the first one is the longest of the bucket
            bucket, order = order[: size * _BATCHES_PER_BUCKET], order[size * _BATCHES_PER_BUCKET :]
            self._buckets.append((bucket, size))
        self._seed = seed
        self.batches_per_epoch = sum(math.ceil(len(b) / size) for b, size in self._buckets)
        # The order of a pass is made once, not once per micro batch.
        self._batches = lru_cache(maxsize=2)(self._make_batches)

    def indices(self, batch_index: int) -> list[int]:
        """Return the groups of micro batch `batch_index`, counted over all passes."""
        epoch, batch = divmod(batch_index, self.batches_per_epoch)
        return self._batches(epoch)[batch]

    def _make_batches(self, epoch: int) -> list[list[int]]:
        """Return the micro batches of one pass in random order."""
        random = _epoch_random(self._seed, epoch)
        batches = []
        for bucket, size in self._buckets:
            shuffled = [bucket[i] for i in random.permutation(len(bucket))]
            batches += [shuffled[start : start + size] for start in range(0, len(shuffled), size)]
        return [batches[i] for i in random.permutation(len(batches))]
