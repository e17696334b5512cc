"""The loss of a step: its parts and their weights."""

import math
from pathlib import Path

import pytest
import torch

from tests.factories import make_batch, make_recipe
from tests.runs import run_steps
from videolatent_cli.model.load import build_model
from videolatent_cli.training.step import SelfForcing


def test_each_weight_0_turns_its_part_off(small_folder: Path) -> None:
    loss = "{alignment_weight: 0, diversity_weight: 0, bottleneck_weight: 0}"
    module, results = run_steps(make_recipe(small_folder, loss=loss), 2)
    assert results[0].parts.keys() == {"answer"}
    assert module.alignment is None
    assert module.diversity is None
    _, plain = run_steps(make_recipe(small_folder, latent="null"), 1)
    assert plain[0].parts.keys() == {"answer"}
    assert plain[0].latents == {}
    assert plain[0].latent_grad_norm is None


def test_full_objective_logs_its_parts_and_diagnostics(small_folder: Path) -> None:
    _, results = run_steps(make_recipe(small_folder, loss="{bottleneck_full_fraction: 1}"), 3)
    assert results[2].parts.keys() == {"answer", "alignment", "diversity", "bottleneck"}
    assert {"scale", "effective_rank", "similarity_within"} <= results[2].latents.keys()
    assert "alignment" not in results[0].parts  # its weight starts at 0
    assert results[0].num_triplets == 4
    assert results[0].num_tokens > 70
    assert results[0].latent_grad_norm is not None


def test_bottleneck_coin_depends_on_seed_and_step_only(small_folder: Path) -> None:
    recipe = make_recipe(small_folder)
    module = SelfForcing(build_model(recipe), recipe)
    coins = [module.weights_at(step, 200).bottleneck > 0 for step in range(200)]
    assert all(coins[:61])
    assert 5 < sum(coins[150:]) < 30
    assert coins == [module.weights_at(step, 200).bottleneck > 0 for step in range(200)]


@pytest.mark.parametrize("teacher", ["current", "base", "ema"])
def test_teachers_train(small_folder: Path, teacher: str) -> None:
    _, results = run_steps(make_recipe(small_folder, loss=f"{{teacher: {teacher}}}"), 3)
    assert math.isfinite(results[-1].parts["alignment"])


def test_accumulation_equals_one_large_batch(small_folder: Path) -> None:
    recipe = make_recipe(small_folder, latent="null")
    model = build_model(recipe)
    module = SelfForcing(model, recipe)
    batch = make_batch(model)
    weights = module.weights_at(0, 1)
    module(batch, weights).total.backward()
    whole = {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}
    module.zero_grad()
    for _ in range(2):
        (module(batch, weights).total / 2).backward()
    for name, parameter in module.named_parameters():
        if name in whole:
            assert torch.allclose(whole[name], parameter.grad, atol=1e-6)
