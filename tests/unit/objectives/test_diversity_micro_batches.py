"""The diversity loss of a step is the same, however the step is divided into micro batches."""

import pytest
import torch
from torch import Tensor

from videolatent_cli.objectives import Diversity, instance_loss

ROWS, LATENTS, DIM = 64, 4, 32


def latents_with(deviation: float, rows: int = ROWS) -> Tensor:
    """Latents of triplets that share most of their value."""
    torch.manual_seed(0)
    return torch.randn(1, LATENTS, DIM) + deviation * torch.randn(rows, LATENTS, DIM)


def after_some_steps(z: Tensor) -> Diversity:
    diversity = Diversity(LATENTS, DIM, similarity=0.2, deviation=0.5, queue=256, momentum=0.99)
    for step in range(5):
        diversity.remember(z.roll(step, 0) + 0.01 * torch.randn_like(z))
    return diversity


@pytest.mark.parametrize("deviation", [0.05, 0.3])
def test_value_and_gradient_do_not_depend_on_the_micro_batch(deviation: float) -> None:
    z = latents_with(deviation)
    diversity = after_some_steps(z)
    found = []
    for size in (1, 2, 8, 32, 64):
        leaf, total = z.clone().requires_grad_(), 0.0
        for part in leaf.split(size):
            loss = diversity(part) * len(part) / ROWS
            loss.backward()
            total += float(loss.detach())
        found.append((total, leaf.grad))
    whole_value, whole_gradient = found[-1]
    assert float(whole_gradient.norm()) > 0
    for value, gradient in found[:-1]:
        assert value == pytest.approx(whole_value, rel=1e-5)
        torch.testing.assert_close(gradient, whole_gradient, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("deviation", [0.05, 0.3])
def test_a_batch_against_itself_has_value_and_gradient_of_the_plain_loss(deviation: float) -> None:
    z = latents_with(deviation).requires_grad_()
    rms = z.detach().square().mean().sqrt()
    spread = (z.var(0, correction=0) + 1e-4 * rms.square()).sqrt()
    plain = (0.5 - spread / rms).clamp(min=0).mean()
    ours = instance_loss(z, z, 0.5)
    assert float(ours.detach()) == pytest.approx(float(plain.detach()), rel=1e-5)
    (wanted,) = torch.autograd.grad(plain, z)
    (found,) = torch.autograd.grad(ours, z)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-9)


def test_a_long_queue_does_not_weaken_the_gradient() -> None:
    """One triplet of 257 is pulled as hard as one of two."""
    z = latents_with(0.05, 512)
    norms = []
    for rows in (64, 512):
        leaf = z[:8].clone().requires_grad_()
        instance_loss(leaf, z[:rows], 0.5).backward()
        norms.append(float(leaf.grad.norm()))
    assert norms[0] == pytest.approx(norms[1], rel=0.1)


def test_latents_that_were_all_the_same_have_a_bounded_gradient() -> None:
    same = torch.ones(16, LATENTS, DIM)
    leaf = latents_with(1.0, 16).requires_grad_()
    instance_loss(leaf, same, 0.5).backward()
    normal = latents_with(0.3, 16).requires_grad_()
    instance_loss(normal, normal, 0.5).backward()
    assert float(leaf.grad.norm()) < 200 * float(normal.grad.norm())


def test_it_needs_an_earlier_step_and_says_so() -> None:
    diversity = Diversity(LATENTS, DIM, similarity=0.2, deviation=0.5, queue=8, momentum=0.99)
    assert not diversity.ready
    diversity.remember(latents_with(0.3, 4))
    assert diversity.ready
    assert float(instance_loss(latents_with(0.3, 4), diversity.queue[:1], 0.5)) == 0.0
