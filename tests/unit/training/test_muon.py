"""Muon: orthogonal steps for matrices, AdamW for the rest, one state."""

from pathlib import Path

import pytest
import torch

from tests.factories import make_recipe
from videolatent_cli.model.load import build_model
from videolatent_cli.training.muon import MuonAdamW, orthogonalized
from videolatent_cli.training.optimizer import (
    load_optimizer_tensors,
    make_optimizer,
    optimizer_tensors,
)
from videolatent_cli.training.step import SelfForcing


@pytest.mark.parametrize("shape", [(24, 60), (60, 24), (32, 32)])
def test_orthogonalized_keeps_directions_and_evens_their_sizes(shape: tuple[int, int]) -> None:
    gradient = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    u, s, vh = torch.linalg.svd(gradient, full_matrices=False)
    s2 = torch.linalg.svdvals(orthogonalized(gradient))
    assert s.max() / s.min() > 2
    assert s2.min() > 0.3
    assert s2.max() < 1.3
    inside = u.T @ orthogonalized(gradient) @ vh.T
    assert torch.allclose(inside, inside.diagonal().diag(), atol=1e-4)


def test_first_step_of_a_matrix_and_of_a_bias() -> None:
    matrix, bias = torch.nn.Parameter(torch.eye(16)), torch.nn.Parameter(torch.zeros(4))
    optimizer = MuonAdamW(
        [
            {"params": [matrix], "lr": 0.5, "weight_decay": 0.1, "muon": True},
            {"params": [bias], "lr": 0.5, "weight_decay": 0.0, "muon": False},
        ]
    )
    gradient = torch.randn(16, 16, generator=torch.Generator().manual_seed(2))
    matrix.grad, bias.grad = gradient.clone(), torch.tensor([1.0, -2.0, 3.0, 0.0])
    optimizer.step()
    # Decay 0.5 x 0.1, then 0.5 x 0.2 sqrt(16) along the orthogonal direction of the gradient.
    expected = 0.95 * torch.eye(16) - 0.4 * orthogonalized(gradient)
    assert torch.allclose(matrix.detach(), expected, atol=1e-3)
    assert torch.allclose(bias.detach(), torch.tensor([-0.5, 0.5, -0.5, 0.0]), atol=1e-4)
    assert matrix.grad is None


def test_only_matrices_of_layers_go_by_muon(small_folder: Path) -> None:
    recipe = make_recipe(small_folder, ("training.optimizer=muon",))
    module = SelfForcing(build_model(recipe), recipe)
    optimizer = make_optimizer(module, recipe.training)
    name_of = {id(p): n for n, p in module.named_parameters()}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            name = name_of[id(parameter)]
            matrix = parameter.ndim == 2 and name.endswith("weight") and "embed" not in name
            assert group["muon"] == matrix, name
            assert not group["muon"] or group["peak_lr"] == recipe.training.muon_learning_rate


def test_state_goes_into_tensors_and_back() -> None:
    def make() -> tuple[torch.nn.Linear, MuonAdamW]:
        torch.manual_seed(0)
        layer = torch.nn.Linear(5, 3)
        groups = [
            {"params": [layer.weight], "names": ["weight"], "lr": 0.1, "muon": True},
            {"params": [layer.bias], "names": ["bias"], "lr": 0.1, "muon": False},
        ]
        return layer, MuonAdamW(groups)

    def step(layer: torch.nn.Linear, optimizer: MuonAdamW) -> None:
        layer(torch.ones(2, 5)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    straight, optimizer = make()
    step(straight, optimizer)
    resumed, other = make()
    resumed.load_state_dict(straight.state_dict())
    load_optimizer_tensors(other, optimizer_tensors(optimizer))
    step(straight, optimizer)
    step(resumed, other)
    assert torch.equal(straight.weight, resumed.weight)
    assert torch.equal(straight.bias, resumed.bias)
