"""Optimizer, sampler, schedule, metrics, loop: identities, and learning on tiny data."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.factories import make_batch, make_recipe, one_row, small_backbone
from videolatent_cli.data.dataset import Dataset
from videolatent_cli.data.triplets import Triplet
from videolatent_cli.errors import DataError, ResourceError
from videolatent_cli.model.batch import Batch
from videolatent_cli.model.load import build_model
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.recipe import Recipe
from videolatent_cli.training.feed import StreamFeed
from videolatent_cli.training.groups import make_groups
from videolatent_cli.training.loop import StepResult, train_steps
from videolatent_cli.training.metrics import latent_diagnostics
from videolatent_cli.training.optimizer import (
    load_optimizer_tensors,
    make_optimizer,
    make_schedule,
    optimizer_tensors,
    set_rate,
)
from videolatent_cli.training.sampler import BudgetSampler, GroupSampler
from videolatent_cli.training.step import SelfForcing


class OneBatch:
    """A feed that always gives the same batch."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def batch(self, index: int) -> Batch:
        del index
        return self._batch


def run(recipe: Recipe, steps: int) -> tuple[SelfForcing, list[StepResult]]:
    model = build_model(recipe)
    module = SelfForcing(model, recipe)
    optimizer = make_optimizer(module, recipe.training)
    schedule = make_schedule(recipe.training, steps)
    feed = OneBatch(make_batch(model))
    results = train_steps(
        module, optimizer, schedule, feed, recipe.training, first_step=0, total_steps=steps
    )
    return module, list(results)


# --- sampler


@given(st.integers(1, 50), st.integers(1, 9), st.integers(0, 3))
def test_every_group_is_seen_in_each_pass(groups: int, per_batch: int, seed: int) -> None:
    sampler = GroupSampler(groups, per_batch, seed)
    for epoch in range(2):
        start = epoch * sampler.batches_per_epoch
        batches = [sampler.indices(start + i) for i in range(sampler.batches_per_epoch)]
        assert {g for batch in batches for g in batch} == set(range(groups))
        assert all(len(batch) == min(per_batch, groups) == len(set(batch)) for batch in batches)


def test_sampler_seeks_and_shuffles() -> None:
    sampler = GroupSampler(40, 4, 0)
    assert sampler.indices(57) == GroupSampler(40, 4, 0).indices(57)
    assert sampler.indices(0) != sampler.indices(10)
    assert sampler.indices(0) != GroupSampler(40, 4, 1).indices(0)
    with pytest.raises(ValueError, match="needs at least one group, got 0"):
        GroupSampler(0, 4, 0)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=200), st.integers(0, 3))
def test_a_budget_holds_and_every_group_is_seen_once(lengths: list[int], seed: int) -> None:
    sampler = BudgetSampler(lengths, 100, seed)
    for epoch in range(2):
        start = epoch * sampler.batches_per_epoch
        batches = [sampler.indices(start + i) for i in range(sampler.batches_per_epoch)]
        assert sorted(g for batch in batches for g in batch) == list(range(len(lengths)))
        assert all(len(b) * max(lengths[g] for g in b) <= 100 for b in batches)
    assert BudgetSampler(lengths, 100, seed).indices(start) == batches[0]


def test_a_budget_leaves_little_padding_and_shuffles() -> None:
    lengths = [int(n) for n in np.random.default_rng(0).integers(100, 4000, 2000)]
    sampler = BudgetSampler(lengths, 16_000, 0)
    batches = [sampler.indices(i) for i in range(sampler.batches_per_epoch)]
    padded = sum(len(b) * max(lengths[g] for g in b) for b in batches)
    assert padded < 1.1 * sum(lengths)
    later = [sampler.indices(sampler.batches_per_epoch + i) for i in range(len(batches))]
    assert {frozenset(b) for b in later} != {frozenset(b) for b in batches}
    for wrong in ([], [101]):
        with pytest.raises(ValueError, match="needs groups of 1 to 100 tokens, got"):
            BudgetSampler(wrong, 100, 0)


class Parts:
    """A feed of given micro batches."""

    def __init__(self, *batches: Batch) -> None:
        self._batches = batches

    def batch(self, index: int) -> Batch:
        return self._batches[index % len(self._batches)]


def test_every_triplet_counts_the_same_in_micro_batches_of_any_size(small_folder: Path) -> None:
    recipe = make_recipe(small_folder, latent="null")
    whole = make_batch(build_model(recipe), (0, 1))
    cut = [one_row(whole, row) for row in range(4)]
    found = []
    for feed, count in ((Parts(whole), 1), (Parts(*cut), 4), (Parts(whole, cut[0]), 2)):
        training = recipe.training.model_copy(update={"gradient_accumulation_steps": count})
        model = build_model(recipe)
        model.backbone.make_trainable(recipe.backbone)
        module = SelfForcing(model, recipe)
        steps = train_steps(
            module,
            make_optimizer(module, training),
            make_schedule(training, 1),
            feed,
            training,
            first_step=0,
            total_steps=1,
        )
        found += [(one.loss, one.grad_norm) for one in steps]
    assert found[0] == pytest.approx(found[1], rel=1e-4)
    module = SelfForcing(build_model(recipe), recipe)
    first = float(module(cut[0], module.weights_at(0, 1)).parts["answer"])
    assert found[2][0] == pytest.approx((4 * found[0][0] + first) / 5, rel=1e-4)


# --- optimizer


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
        return torch.optim.AdamW([{"params": weights, "peak_lr": 1.0}], lr=0.1)

    first = make()
    sum(w.square().sum() for w in weights).backward()
    first.step()
    second = make()
    load_optimizer_tensors(second, optimizer_tensors(first))
    for name, value in optimizer_tensors(first).items():
        assert torch.equal(optimizer_tensors(second)[name], value)
    assert len(optimizer_tensors(first)) == 6


# --- diagnostics


def test_diagnostics_by_hand() -> None:
    same = torch.ones(5, 4, 8)
    same[:, 2:] = -1.0
    found = latent_diagnostics(same, num_blocks=2, embedding_rms=0.5)
    assert found["scale"] == pytest.approx(2.0)
    assert found["similarity_between_block_1"] == pytest.approx(1.0)
    assert found["effective_rank"] == pytest.approx(1.0, abs=1e-3)
    free = latent_diagnostics(torch.randn(64, 4, 64), 2, 1.0)
    assert abs(free["similarity_between_block_2"]) < 0.05
    assert abs(free["similarity_within"]) < 0.05
    assert free["effective_rank"] > 40
    assert latent_diagnostics(torch.ones(1, 2, 4), 1, 1.0).keys() == {"scale"}


# --- steps


def test_each_weight_0_turns_its_part_off(small_folder: Path) -> None:
    loss = "{alignment_weight: 0, diversity_weight: 0, bottleneck_weight: 0}"
    module, results = run(make_recipe(small_folder, loss=loss), 2)
    assert results[0].parts.keys() == {"answer"}
    assert module.alignment is None
    assert module.diversity is None
    _, plain = run(make_recipe(small_folder, latent="null"), 1)
    assert plain[0].parts.keys() == {"answer"}
    assert plain[0].latents == {}
    assert plain[0].latent_grad_norm is None


def test_full_objective_logs_its_parts_and_diagnostics(small_folder: Path) -> None:
    _, results = run(make_recipe(small_folder, loss="{bottleneck_full_fraction: 1}"), 3)
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


@pytest.mark.parametrize("train", ["full", "lora", "frozen"])
def test_only_what_the_recipe_names_changes(small_folder: Path, train: str) -> None:
    backbone = f"{{model: '{small_folder}', train: {train}, lora: {{rank: 2}}}}"
    recipe = make_recipe(small_folder, backbone=backbone)
    before = {n: p.detach().clone() for n, p in build_model(recipe).named_parameters()}
    module, _ = run(recipe, 2)
    for name, parameter in module.model.named_parameters():
        changed = not torch.equal(parameter, before[name])
        if "visual" in name:
            assert not changed, name
        elif "injection" in name:
            continue
        else:
            expected = {"full": True, "lora": "lora_" in name, "frozen": False}[train]
            assert changed <= expected, name
    moved = [n for n, p in module.model.named_parameters() if not torch.equal(p, before[n])]
    assert any("injection" in name for name in moved)
    assert any("language_model" in name for name in moved) == (train != "frozen")


@pytest.mark.parametrize("teacher", ["current", "base", "ema"])
def test_teachers_train(small_folder: Path, teacher: str) -> None:
    _, results = run(make_recipe(small_folder, loss=f"{{teacher: {teacher}}}"), 3)
    assert math.isfinite(results[-1].parts["alignment"])


def test_bfloat16_trains_with_latents_in_float32(small_folder: Path) -> None:
    backbone = f"{{model: '{small_folder}', train: full, dtype: bfloat16}}"
    module, results = run(make_recipe(small_folder, backbone=backbone), 2)
    assert math.isfinite(results[-1].loss)
    assert module.model.injection is not None
    assert module.model.injection.slots.dtype == torch.float32
    assert module.model.backbone.dtype == torch.bfloat16


def test_overfits_a_few_triplets(small_folder: Path) -> None:
    training = (
        "{max_steps: 80, videos_per_batch: 2, triplets_per_video: 2, learning_rate: 1e-2, "
        "latent_learning_rate: 1e-2, gradient_accumulation_steps: 1}"
    )
    _, results = run(make_recipe(small_folder, training=training), 80)
    assert results[-1].parts["answer"] < 0.1 < results[0].parts["answer"]


def test_alignment_and_bottleneck_fall_when_trained(small_folder: Path) -> None:
    training = (
        "{max_steps: 60, videos_per_batch: 2, triplets_per_video: 2, learning_rate: 5e-3, "
        "latent_learning_rate: 5e-3, gradient_accumulation_steps: 1}"
    )
    loss = "{alignment_warmup_fraction: 0, bottleneck_full_fraction: 1, diversity_weight: 0}"
    _, results = run(make_recipe(small_folder, training=training, loss=loss), 60)
    assert "alignment" not in results[0].parts  # the first step measures the moments for it
    assert results[-1].parts["alignment"] < 0.8 * results[1].parts["alignment"]
    assert results[-1].parts["bottleneck"] < 0.3 * results[0].parts["bottleneck"]


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


def test_a_loss_that_is_not_finite_stops(small_folder: Path) -> None:
    recipe = make_recipe(small_folder, latent="null")
    model = build_model(recipe)
    module = SelfForcing(model, recipe)
    with torch.no_grad():
        model.backbone.core.model.language_model.norm.weight.fill_(math.nan)
    steps = train_steps(
        module,
        make_optimizer(module, recipe.training),
        make_schedule(recipe.training, 2),
        OneBatch(make_batch(model)),
        recipe.training,
        first_step=0,
        total_steps=2,
    )
    with pytest.raises(
        DataError, match=r"step 1: .*not finite, got nan with triplet t0, t1, t2; lower"
    ):
        next(steps)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (
            (VideoLatent, "forward"),
            r"out of GPU memory with 4 triplets of .*, the largest 't1' with 55; lower .*videos_per_"
            r"batch or .*, lower video.max_pixels or .*, or set training.recompute_prefix$",
        ),
        ((torch.optim.AdamW, "step"), r"out of GPU memory in the optimizer's update; train adap"),
    ],
)
def test_out_of_memory_says_what_to_change(
    small_folder: Path, monkeypatch: pytest.MonkeyPatch, where: tuple[type, str], message: str
) -> None:
    recipe = make_recipe(small_folder, latent="null")
    model = build_model(recipe)
    module = SelfForcing(model, recipe)
    batch = make_batch(model)

    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(*where, full)
    steps = train_steps(
        module,
        make_optimizer(module, recipe.training),
        make_schedule(recipe.training, 2),
        OneBatch(batch),
        recipe.training,
        first_step=0,
        total_steps=2,
    )
    with pytest.raises(ResourceError, match=f"step 1: {message}"):
        next(steps)


def test_stream_feed_shows_new_videos_and_can_seek(small_folder: Path) -> None:
    recipe = make_recipe(
        small_folder,
        data="{type: eventworld_stream, questions_per_video: 2}",
        cache="{tier: none}",
    )
    backbone = small_backbone(small_folder)
    feed = StreamFeed(recipe.data, 2, backbone)
    assert torch.equal(feed.batch(3).answer.ids, feed.batch(3).answer.ids)
    assert not torch.equal(
        feed.batch(3).videos[0].data.sum() * torch.ones(1),
        feed.batch(4).videos[0].data.sum() * torch.ones(1),
    )
    assert feed.num_steps(recipe.training) == 4


def test_groups_hold_some_triplets_of_one_clip_and_a_limit_counts_clips(tmp_path: Path) -> None:
    triplets = [
        Triplet(video=f"{v}.mp4", question=str(q), answer="a") for v in "abc" for q in "123"
    ]
    dataset = Dataset({"s": triplets}, tmp_path)
    found = [[t.video[0] + t.question for t in g.triplets] for g in make_groups(dataset, "s", 2)]
    assert found == [["a1", "a2"], ["a3"], ["b1", "b2"], ["b3"], ["c1", "c2"], ["c3"]]
    assert [len(g.triplets) for g in make_groups(dataset, "s", 2, limit=2)] == [2, 1, 2, 1]


def test_peak_memory_is_that_of_the_process_alone() -> None:
    held = np.ones(10**9 // 8)
    program = (
        "import torch; from videolatent_cli.training.metrics import peak_memory_bytes as peak; "
        "print(peak(torch.device('cpu')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert held.nbytes == 10**9
    assert 10**8 < int(done.stdout) < 9 * 10**8
