"""Moments of micro batches, merged, are those of the whole step."""

import pytest
import torch

from videolatent_cli.objectives import Alignment, Moments, moments_of
from videolatent_cli.objectives.moments import RunningMoments


@pytest.mark.parametrize("sizes", [[12], [1] * 12, [1, 2, 9], [9, 2, 1]])
def test_merged_moments_are_those_of_all_rows(sizes: list[int]) -> None:
    x = 5 + torch.randn(12, 3, 4) * torch.tensor([0.1, 1.0, 10.0, 100.0])
    whole = Moments.of(x)
    merged = Moments.merged(Moments.of(part) for part in x.split(sizes))
    assert merged.count == whole.count == 12
    torch.testing.assert_close(merged.mean, whole.mean, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(merged.variance, whole.variance, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("micro_batch", [1, 2, 16, 64])
def test_teacher_states_have_their_whole_deviation_for_any_micro_batch(micro_batch: int) -> None:
    """States with an offset of their position, an effect of their triplet, and noise."""
    torch.manual_seed(0)
    positions, dim, triplets = 9, 16, 256
    x = torch.randn(1, positions, dim) + torch.randn(triplets, 1, dim)
    x = x + 0.3 * torch.randn(triplets, positions, dim)
    alignment = Alignment(1, dim, momentum=0.9)
    for step in x.split(64):
        parts = [moments_of((part,)) for part in step.split(micro_batch)]
        alignment.remember((Moments.merged(part[0] for part in parts),))
    (running,) = alignment.moments
    assert isinstance(running, RunningMoments)
    expected = x.flatten(0, 1).std(0).mean()
    assert float(running.variance.sqrt().mean()) == pytest.approx(float(expected), rel=0.1)


def test_momentum_applies_once_per_step() -> None:
    running = RunningMoments((1,), 0.9)
    running.update(Moments.of(torch.zeros(4, 1)))
    parts = [Moments.of(torch.ones(1, 1)) for _ in range(64)]
    running.update(Moments.merged(parts))
    assert float(running.mean) == pytest.approx(0.1)
