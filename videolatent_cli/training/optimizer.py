"""What is trained, how fast, and the state of the optimizer as named tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from transformers import get_scheduler

from videolatent_cli.training.muon import MuonAdamW
from videolatent_cli.training.sharding import gathered, shared_like

if TYPE_CHECKING:
    from collections.abc import Callable

    from videolatent_cli.recipe.schema import Training


_BETAS = (0.9, 0.95)


def make_optimizer(
    step_module: nn.Module, training: Training, num_processes: int = 1
) -> torch.optim.Optimizer:
    """Return AdamW or Muon over everything trainable, the backbone slower than what is new.

    Choice: weight decay on matrices only, not on gains, biases, markers and scalars; embeddings
    never go by Muon. Several processes share the state out: each steps its part of the parameters
    and sends it to the others (ZeRO stage 1, Rajbhandari et al. 2020), unless the parameters are
    shared out themselves.
    """
    groups: dict[tuple[float, float, bool, bool], list[nn.Parameter]] = {}
    for name, parameter in step_module.named_parameters():
        if not parameter.requires_grad:
            continue
        matrix = parameter.ndim >= 2 and name.endswith("weight")
        muon = training.optimizer == "muon" and parameter.ndim == 2 and matrix
        muon = muon and "embed" not in name
        backbone = ".backbone." in f".{name}"
        rate = training.learning_rate if backbone else training.latent_learning_rate
        rate = training.muon_learning_rate if muon else rate
        decay = training.weight_decay if matrix else 0.0
        groups.setdefault((rate, decay, muon, backbone), []).append(parameter)
    make = MuonAdamW if training.optimizer == "muon" else torch.optim.AdamW
    found = [
        {"params": parameters, "lr": rate, "peak_lr": rate, "weight_decay": decay, "muon": muon}
        for (rate, decay, muon, _), parameters in groups.items()
    ]
    if num_processes > 1 and not training.shard_weights:
        # Its package compiles scripts when imported, with warnings, which one process is spared.
        from torch.distributed.optim import ZeroRedundancyOptimizer

        return ZeroRedundancyOptimizer(found, optimizer_class=make, betas=_BETAS)
    return make(found, betas=_BETAS)


def make_schedule(training: Training, total_steps: int) -> Callable[[int], float]:
    """Return the factor of the learning rate as a function of the steps done before."""
    name = "constant_with_warmup" if training.schedule == "constant" else training.schedule
    warmup = round(total_steps * training.warmup_fraction)
    unused = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=1.0)
    factor = get_scheduler(name, unused, warmup, total_steps).lr_lambdas[0]
    # Middle of the step: neither the first nor the last step has a rate of 0.
    return lambda step: float(factor(step + 0.5))


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set the learning rates to their peaks times a factor."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor


def optimizer_tensors(optimizer: torch.optim.Optimizer, *, first: bool = True) -> dict[str, Tensor]:
    """Return the optimizer's state as `INDEX.KEY` tensors, in the order of its parameters.

    All processes call it, the first one gets it.
    """
    if hasattr(optimizer, "consolidate_state_dict"):
        optimizer.consolidate_state_dict(to=0)
        if not first:
            return {}
    state = optimizer.state_dict()["state"]
    tensors = {
        f"{index}.{key}": torch.as_tensor(value)
        for index, values in state.items()
        for key, value in values.items()
    }
    return gathered(tensors, first=first)


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put a state back that `optimizer_tensors` returned."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split(".", 1)
        like = parameters[int(index)]
        moment = value.shape == like.shape
        state.setdefault(int(index), {})[key] = shared_like(value, like) if moment else value
    # Of the base class, since shared-out state need not be gathered to be replaced.
    groups = torch.optim.Optimizer.state_dict(optimizer)["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
