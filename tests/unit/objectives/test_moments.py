"""Running moments by hand."""

import pytest
import torch

from videolatent_cli.objectives.moments import Moments, RunningMoments


def test_moments_first_batch_sets_them_then_momentum() -> None:
    moments = RunningMoments((1,), 0.9)
    moments.update(Moments.of(torch.tensor([[0.0], [2.0]])))
    assert float(moments.mean) == 1.0
    assert float(moments.variance) == 1.0
    moments.update(Moments.of(torch.tensor([[11.0], [11.0]])))
    assert float(moments.mean) == pytest.approx(2.0)
    assert float(moments.variance) == pytest.approx(0.9)
    assert float(moments.standardise(torch.tensor([[2.0]]))) == pytest.approx(0.0)
