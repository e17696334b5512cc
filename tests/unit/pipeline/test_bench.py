"""The cost comparison on a small model: counts that follow from the shapes."""

import json
from pathlib import Path

import pytest

from tests.factories import make_recipe
from videolatent_cli.errors import RecipeError
from videolatent_cli.pipeline.bench import BenchRequest, bench_recipe
from videolatent_cli.runtime.machine import Machine


def test_costs_follow_from_the_shapes(small_folder: Path) -> None:
    recipe = make_recipe(small_folder)
    request = BenchRequest(
        recipe, trace_tokens=24, question_tokens=10, answer_tokens=2, sampled_traces=3, rounds=1
    )
    report = bench_recipe(request, Machine(device="cpu"))
    steps = {name: cost.sequential_steps for name, cost in report.answers.items()}
    assert steps == {"direct": 2, "latents": 4, "chain of thought": 26}
    adds = {name: cost.multiply_adds for name, cost in report.answers.items()}
    assert adds["direct"] < adds["latents"] < adds["chain of thought"]
    cost = {name: step.multiply_adds for name, step in report.steps.items()}
    assert cost["plain SFT"] < cost["latents, full objective"] < cost["GRPO-style"]
    assert cost["plain SFT"] < cost["chain-of-thought SFT"] < cost["GRPO-style"]
    assert all(cost.seconds > 0 for cost in report.answers.values())
    assert all(cost.peak_memory_bytes is None for cost in report.steps.values())
    document = json.loads(json.dumps(report.document()))
    assert document["trace_tokens"] == 24
    assert document["answers"]["latents"]["sequential_steps"] == 4


def test_nothing_to_compare_without_latents(small_folder: Path) -> None:
    recipe = make_recipe(small_folder, latent="null")
    with pytest.raises(RecipeError, match="latent: has no blocks of latents to compare"):
        bench_recipe(BenchRequest(recipe), Machine(device="cpu"))
