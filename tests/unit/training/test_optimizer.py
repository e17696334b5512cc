"""Optimizer: rates, decay, schedules, state."""

import math
from pathlib import Path

import pytest
import torch

from tests.factories import make_recipe
from videolatent_cli.model.load import build_model
from videolatent_cli.training.optimizer import (
    load_optimizer_tensors,
    make_optimizer,
    make_schedule,
    optimizer_tensors,
    set_rate,
)
from videolatent_cli.training.step import SelfForcing


def test_groups_have_their_rates_and_decay(small_folder: Path) -> None:
    recipe = make_recipe(small_folder)
    module = SelfForcing(build_model(recipe), recipe)
    optimizer = make_optimizer(module, recipe.training)
    name_of = {id(p): n for n, p in module.named_parameters()}
    seen = set()
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            name = name_of[id(parameter)]
            seen.add(name)
            assert group["peak_lr"] == (1e-3 if "backbone" in name else 5e-4)
            decays = parameter.ndim >= 2 and name.endswith("weight")
            assert group["weight_decay"] == (0.01 if decays else 0.0)
    assert seen == {n for n, p in module.named_parameters() if p.requires_grad}
    assert not any("visual" in name for name in seen)
    set_rate(optimizer, 0.5)
    assert {g["lr"] / g["peak_lr"] for g in optimizer.param_groups} == {0.5}


@pytest.mark.parametrize("name", ["cosine", "linear", "constant"])
def test_schedules_rise_and_fall(small_folder: Path, name: str) -> None:
    training = make_recipe(small_folder).training.model_copy(
        update={"schedule": name, "warmup_fraction": 0.1}
    )
    factor = make_schedule(training, 100)
    assert factor(0) == pytest.approx(0.05)
    assert factor(10) == pytest.approx(1.0, abs=0.01)
    assert factor(99) == pytest.approx(
        {"cosine": 0.0, "linear": 0.005, "constant": 1.0}[name], abs=0.006
    )
    if name == "cosine":
        assert factor(55) == pytest.approx(0.5 * (1 + math.cos(math.pi * 45.5 / 90)))


def test_optimizer_state_round_trip(small_folder: Path) -> None:
    weights = [torch.nn.Parameter(torch.randn(3)), torch.nn.Parameter(torch.randn(2, 2))]

    def make() -> torch.optim.AdamW:
        group = {"params": weights, "names": ["layer.bias", "layer.weight"], "peak_lr": 1.0}
        return torch.optim.AdamW([group], lr=0.1)

    first = make()
    sum(w.square().sum() for w in weights).backward()
    first.step()
    second = make()
    load_optimizer_tensors(second, optimizer_tensors(first))
    for name, value in optimizer_tensors(first).items():
        assert torch.equal(optimizer_tensors(second)[name], value)
    assert len(optimizer_tensors(first)) == 6
    assert "layer.weight.exp_avg" in optimizer_tensors(first)
