"""Diversity by hand, and its pull."""

import pytest
import torch

from videolatent_cli.objectives import Diversity, instance_loss, slot_loss


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
