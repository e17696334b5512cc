"""Weights shared out among two processes: the gradients of one, for every family."""

import os
from pathlib import Path

import pytest
import torch
from torch import distributed
from torch import multiprocessing as mp

from tests.factories import LATENT, make_recipe
from tests.families import FAMILIES, family_batch, load_family, write_family
from videolatent_cli.model.batch import Batch
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.training.loop import Processes
from videolatent_cli.training.sharding import (
    clip_gradients,
    full_tensor,
    is_sharded,
    shard_backbone,
    shard_like,
)
from videolatent_cli.training.step import SelfForcing

MOST = 0.1


def make_module(folder: Path, train: str, **changes: str) -> tuple[SelfForcing, Batch]:
    """A module of one family, and the batch that it learns from."""
    recipe = make_recipe(folder, [f"{key}={value}" for key, value in changes.items()])
    backbone = load_family(folder, train)
    torch.manual_seed(1)
    model = VideoLatent(backbone, LATENT if recipe.latent is not None else None)
    module = SelfForcing(model, recipe).train()
    return module, family_batch(backbone)


def learn(module: SelfForcing, batch: Batch, times: int) -> None:
    """Add up the gradients of a batch, several times."""
    for _ in range(times):
        module(batch, module.weights_at(9, 10)).total.backward()


def in_two(rank: int, folder: Path) -> None:
    """Compare this process's part of sharded modules with whole ones."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    for family in FAMILIES:
        compare(rank, folder / family, "lora")
    for changes in (
        {},
        {"latent": "null"},
        {"loss.bottleneck_view": "latents"},
        {"training.recompute_prefix": "true"},
    ):
        compare(rank, folder / "qwen2_5_vl", "full", **changes)
    distributed.barrier()
    os._exit(0)  # torch 2.13 now and then aborts a process that ends after many sharded modules


def compare(rank: int, folder: Path, train: str, **changes: str) -> None:
    """Compare the gradients of two micro batches in each process with those of four in one."""
    about = f"{folder.name} {train} {changes}"
    alone, batch = make_module(folder, train, **changes)
    learn(alone, batch, times=4)
    wanted = {n: p.grad for n, p in alone.named_parameters() if p.grad is not None}
    module, _ = make_module(folder, train, **changes)
    backbone = list(module.model.backbone.parameters())
    shard_backbone(module)
    shared = [p for p in module.parameters() if is_sharded(p)]
    assert len(shared) == len(backbone), about
    assert sum(p.to_local().numel() for p in shared) < 0.6 * sum(p.numel() for p in backbone)
    learn(module, batch, times=2)
    trained = [p for p in module.parameters() if p.requires_grad]
    Processes(rank, 2).sum_gradients(trained)
    found = {n: full_tensor(p.grad) for n, p in module.named_parameters() if p.grad is not None}
    assert found.keys() == wanted.keys(), about
    for name, gradient in wanted.items():
        assert torch.allclose(found[name], gradient, rtol=1e-4, atol=1e-6), f"{about}: {name}"
    norm = clip_gradients(trained, MOST)
    alone_norm = float(torch.nn.utils.clip_grad_norm_(alone.parameters(), MOST))
    assert norm == pytest.approx(alone_norm, rel=1e-5)
    assert norm > MOST
    for name, parameter in module.named_parameters():
        if parameter.grad is not None:
            clipped = full_tensor(parameter.grad)
            assert torch.allclose(clipped, wanted[name], rtol=1e-4, atol=1e-7), f"{about}: {name}"


@pytest.mark.slow
def test_gradients_of_two_processes_are_those_of_one(tmp_path: Path) -> None:
    for family in FAMILIES:
        write_family(tmp_path / family, family)
    mp.spawn(in_two, (tmp_path,), nprocs=2)


def test_alone_nothing_is_shared_and_clipping_is_torchs(tmp_path: Path) -> None:
    module, batch = make_module(write_family(tmp_path, "internvl"), "full")
    learn(module, batch, times=1)
    gradients = {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}
    norm = clip_gradients(module.parameters(), MOST)
    clipped = {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}
    for name, parameter in module.named_parameters():
        parameter.grad = gradients.get(name)
    assert norm == float(torch.nn.utils.clip_grad_norm_(module.parameters(), MOST))
    assert all(
        torch.equal(p.grad, clipped[n]) for n, p in module.named_parameters() if p.grad is not None
    )
    weight = next(module.parameters())
    assert full_tensor(weight) is weight
    assert shard_like(weight, weight) is weight
