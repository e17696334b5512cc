"""Samplers: every group is seen, and budgets hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videolatent_cli.training.sampler import BudgetSampler, GroupSampler


@given(st.integers(1, 50), st.integers(1, 9), st.integers(0, 3))
def test_every_group_is_seen_in_each_pass(groups: int, per_batch: int, seed: int) -> None:
    sampler = GroupSampler(groups, per_batch, seed)
    for epoch in range(2):
        start = epoch * sampler.batches_per_epoch
        batches = [sampler.indices(start + i) for i in range(sampler.batches_per_epoch)]
        assert {g for batch in batches for g in batch} == set(range(groups))
        assert all(len(batch) == min(per_batch, groups) == len(set(batch)) for batch in batches)


def test_sampler_seeks_and_shuffles() -> None:
    sampler = GroupSampler(40, 4, 0)
    assert sampler.indices(57) == GroupSampler(40, 4, 0).indices(57)
    assert sampler.indices(0) != sampler.indices(10)
    assert sampler.indices(0) != GroupSampler(40, 4, 1).indices(0)
    with pytest.raises(ValueError, match="needs at least one group, got 0"):
        GroupSampler(0, 4, 0)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=200), st.integers(0, 3))
def test_a_budget_holds_and_every_group_is_seen_once(lengths: list[int], seed: int) -> None:
    sampler = BudgetSampler(lengths, 100, seed)
    for epoch in range(2):
        start = epoch * sampler.batches_per_epoch
        batches = [sampler.indices(start + i) for i in range(sampler.batches_per_epoch)]
        assert sorted(g for batch in batches for g in batch) == list(range(len(lengths)))
        assert all(len(b) * max(lengths[g] for g in b) <= 100 for b in batches)
    assert BudgetSampler(lengths, 100, seed).indices(start) == batches[0]


def test_a_budget_leaves_little_padding_and_shuffles() -> None:
    lengths = [int(n) for n in np.random.default_rng(0).integers(100, 4000, 2000)]
    sampler = BudgetSampler(lengths, 16_000, 0)
    batches = [sampler.indices(i) for i in range(sampler.batches_per_epoch)]
    padded = sum(len(b) * max(lengths[g] for g in b) for b in batches)
    assert padded < 1.1 * sum(lengths)
    later = [sampler.indices(sampler.batches_per_epoch + i) for i in range(len(batches))]
    assert {frozenset(b) for b in later} != {frozenset(b) for b in batches}
    for wrong in ([], [101]):
        with pytest.raises(ValueError, match="needs groups of 1 to 100 tokens, got"):
            BudgetSampler(wrong, 100, 0)
