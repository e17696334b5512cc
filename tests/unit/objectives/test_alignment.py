"""Alignment: zero for a perfect predictor, and learnable."""

import pytest
import torch

from videolatent_cli.objectives import Alignment, moments_of
from videolatent_cli.objectives.moments import RunningMoments


def test_alignment_is_0_for_a_perfect_predictor_and_trains_only_the_student() -> None:
    alignment = Alignment(1, 8, momentum=0.0)
    teacher = torch.randn(6, 3, 8, requires_grad=True)
    student = torch.randn(6, 3, 8, requires_grad=True)
    alignment.predictors[0] = torch.nn.Identity()
    assert not alignment.ready
    alignment.remember(moments_of((teacher,)))
    assert alignment.ready
    (running,) = alignment.moments
    assert isinstance(running, RunningMoments)
    perfect = running.standardise(teacher.detach())
    assert float(alignment((perfect,), (teacher,))) == pytest.approx(0.0, abs=1e-5)
    alignment((student,), (teacher,)).backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert float(student.grad.norm()) > 0


def test_alignment_learns_a_linear_relation() -> None:
    alignment = Alignment(1, 16, momentum=0.5)
    mix = torch.randn(16, 16)
    optimizer = torch.optim.Adam(alignment.parameters(), 1e-2)
    losses = []
    for _ in range(150):
        student = torch.randn(32, 2, 16)
        alignment.remember(moments_of((student @ mix,)))
        loss = alignment((student,), (student @ mix,))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.75 * losses[0]
