"""Which groups of triplets form each micro batch: a pure function of seed and position."""

import math

import numpy as np


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
        key = np.random.SeedSequence([self._seed, epoch])
        order = np.random.Generator(np.random.Philox(key)).permutation(self.num_groups)
        start = place * self.groups_per_batch
        return [
            int(order[(start + i) % self.num_groups])
            for i in range(min(self.groups_per_batch, self.num_groups))
        ]
