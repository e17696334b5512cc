"""Objectives against numbers worked out by hand, gradients, and their pull on statistics."""

import math

import pytest
import torch

from videolatent_cli.objectives import (
    Alignment,
    Diversity,
    alignment_ramp,
    answer_loss,
    bottleneck_probability,
    instance_loss,
    moments_of,
    slot_loss,
)
from videolatent_cli.objectives.moments import Moments, RunningMoments


def test_answer_loss_is_the_mean_over_tokens_then_over_triplets() -> None:
    logits = torch.zeros(2, 2, 4)
    logits[0, 0, 1] = math.log(3.0)  # p = 3 / 6
    ids = torch.tensor([[1, 0], [2, 3]])
    mask = torch.tensor([[True, False], [True, True]])
    expected = (math.log(2) + math.log(4)) / 2
    assert float(answer_loss(logits, ids, mask)) == pytest.approx(expected)


def test_answer_loss_ignores_padding() -> None:
    logits = torch.randn(1, 3, 5)
    ids, mask = torch.tensor([[1, 2, 3]]), torch.tensor([[True, True, False]])
    changed = logits.clone()
    changed[:, 2] = 100 * torch.randn(5)
    assert torch.equal(answer_loss(logits, ids, mask), answer_loss(changed, ids, mask))


def test_slot_loss_of_orthogonal_latents_is_0_and_of_equal_ones_by_hand() -> None:
    assert float(slot_loss(torch.eye(4)[None], 0.2)) == 0.0
    equal = torch.ones(1, 3, 8)
    assert float(slot_loss(equal, 0.2)) == pytest.approx(0.8**2)
    assert float(slot_loss(torch.ones(1, 1, 8), 0.2)) == 0.0


def test_instance_loss_of_equal_rows_is_the_floor_and_of_spread_rows_0() -> None:
    same = torch.ones(6, 2, 4)
    # The small term of the deviation takes away 0.01.
    assert float(instance_loss(same, same, 0.5)) == pytest.approx(0.49, abs=1e-3)
    spread = torch.tensor([1.0, -1.0]).view(2, 1, 1).expand(2, 2, 4)
    assert float(instance_loss(spread, spread, 0.5)) == 0.0
    assert float(instance_loss(same[:1], same[:1], 0.5)) == 0.0


def test_diversity_centres_each_latent_so_constants_are_no_diversity() -> None:
    # K constant orthogonal vectors: diverse for one global mean, not for a mean per latent.
    constant = torch.eye(4)[None].expand(8, 4, 4).contiguous()
    diversity = Diversity(4, 4, similarity=0.2, deviation=0.5, queue=0, momentum=0.0)
    assert float(diversity(constant)) > 0.4


def test_diversity_queue_keeps_the_newest_and_counts() -> None:
    diversity = Diversity(1, 2, similarity=0.2, deviation=0.5, queue=3, momentum=0.9)
    for value in (1.0, 2.0):
        diversity.remember(torch.full((2, 1, 2), value))
    assert diversity.queue[:, 0, 0].tolist() == [2.0, 2.0, 1.0]
    assert int(diversity.filled) == 3


def test_diversity_gradient_spreads_rows() -> None:
    latents = (torch.ones(8, 2, 4) + 0.01 * torch.randn(8, 2, 4)).requires_grad_()
    diversity = Diversity(2, 4, similarity=0.2, deviation=0.5, queue=0, momentum=0.0)
    before = float(latents.detach().var(0).mean())
    for _ in range(30):
        (grad,) = torch.autograd.grad(diversity(latents), latents)
        latents = (latents - 5 * grad).detach().requires_grad_()
    assert float(latents.detach().var(0).mean()) > 10 * before


def test_moments_first_batch_sets_them_then_momentum() -> None:
    moments = RunningMoments((1,), 0.9)
    moments.update(Moments.of(torch.tensor([[0.0], [2.0]])))
    assert float(moments.mean) == 1.0
    assert float(moments.variance) == 1.0
    moments.update(Moments.of(torch.tensor([[11.0], [11.0]])))
    assert float(moments.mean) == pytest.approx(2.0)
    assert float(moments.variance) == pytest.approx(0.9)
    assert float(moments.standardise(torch.tensor([[2.0]]))) == pytest.approx(0.0)


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


def test_schedules() -> None:
    assert alignment_ramp(0.0, 0.1) == 0.0
    assert alignment_ramp(0.05, 0.1) == pytest.approx(0.5)
    assert alignment_ramp(0.5, 0.1) == 1.0
    assert alignment_ramp(0.0, 0.0) == 1.0
    assert bottleneck_probability(0.3, 0.3, 0.25) == 1.0
    assert bottleneck_probability(0.65, 0.3, 0.25) == pytest.approx(0.625)
    assert bottleneck_probability(1.0, 0.3, 0.25) == pytest.approx(0.25)
    assert bottleneck_probability(1.0, 1.0, 0.25) == 1.0
