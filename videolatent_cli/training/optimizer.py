"""Optimizer and schedule: parameter groups, learning rates, and the state as named tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from transformers import get_scheduler

from videolatent_cli.training.muon import MuonAdamW
from videolatent_cli.training.sharding import gather_on_first, shard_like

if TYPE_CHECKING:
    from collections.abc import Callable

    from videolatent_cli.recipe.schema import Training


_BETAS = (0.9, 0.95)


def make_optimizer(
    step_module: nn.Module, training: Training, num_processes: int = 1
) -> torch.optim.Optimizer:
    """Return AdamW or Muon over all trained parameters.

    The backbone has its own learning rate, by default lower than that of the new modules.

    Choice: weight decay applies to matrices only, not to gains, biases, markers and scalars. Muon
    never trains embeddings. Several processes shard the optimizer's state: each updates its share
    of the parameters and sends it to the others (ZeRO stage 1, Rajbhandari et al. 2020), unless
    the parameters themselves are sharded.
    """
    # Named parameters by (learning rate, weight decay, trained by Muon, part of the backbone).
    groups: dict[tuple[float, float, bool, bool], dict[str, nn.Parameter]] = {}
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
        groups.setdefault((rate, decay, muon, backbone), {})[name] = parameter
    make = MuonAdamW if training.optimizer == "muon" else torch.optim.AdamW
    param_groups = [
        {
            "params": list(named.values()),
            "names": list(named),
            "lr": rate,
            "peak_lr": rate,
            "weight_decay": decay,
            "muon": muon,
        }
        for (rate, decay, muon, _), named in groups.items()
    ]
    if num_processes > 1 and not training.shard_weights:
        # Imported here: its package compiles scripts on import, with warnings, and a single process
        # does not need it.
        from torch.distributed.optim import ZeroRedundancyOptimizer

        return ZeroRedundancyOptimizer(param_groups, optimizer_class=make, betas=_BETAS)
    return make(param_groups, betas=_BETAS)


def make_schedule(training: Training, total_steps: int) -> Callable[[int], float]:
    """Return a function from the number of steps done to the factor of the learning rates."""
    name = "constant_with_warmup" if training.schedule == "constant" else training.schedule
    warmup = round(total_steps * training.warmup_fraction)
    # transformers gives its schedules only with an optimizer; this one is never used.
    unused = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=1.0)
    factor = get_scheduler(name, unused, warmup, total_steps).lr_lambdas[0]
    # The middle of the step: neither the first nor the last step has a rate of 0.
    return lambda step: float(factor(step + 0.5))


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set the learning rate of each group to its peak times a factor."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor


def optimizer_tensors(optimizer: torch.optim.Optimizer, *, first: bool = True) -> dict[str, Tensor]:
    """Return the optimizer's state as tensors named `PARAMETER.KEY`.

    All processes must call this; the state is returned to the first one only.
    """
    if hasattr(optimizer, "consolidate_state_dict"):
        optimizer.consolidate_state_dict(to=0)
        if not first:
            return {}
    names = _parameter_names(optimizer)
    state = optimizer.state_dict()["state"]
    tensors = {
        f"{names[index]}.{key}": torch.as_tensor(value)
        for index, values in state.items()
        for key, value in values.items()
    }
    return gather_on_first(tensors, first=first)


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Restore a state that `optimizer_tensors` returned, also of an earlier version."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    names = _parameter_names(optimizer)
    indices = {name: index for index, name in enumerate(names)}
    earlier_names = _earlier_names(names)
    state: dict[int, dict[str, Tensor]] = {}
    for full_name, value in tensors.items():
        name, key = full_name.rsplit(".", 1)
        if name.isdecimal():
            name = earlier_names[int(name)]
            if name == _EARLIER_PARAMETER:
                continue
        index = indices[name]
        like = parameters[index]
        is_moment = value.shape == like.shape  # other values, such as the step count, are scalars
        state.setdefault(index, {})[key] = shard_like(value, like) if is_moment else value
    # The base class's method: ZeroRedundancyOptimizer's own would require gathering the old state.
    groups = torch.optim.Optimizer.state_dict(optimizer)["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _parameter_names(optimizer: torch.optim.Optimizer) -> list[str]:
    """Return the names of all parameters, in the order in which the optimizer numbers them."""
    return [name for group in optimizer.param_groups for name in group["names"]]


_EARLIER_PARAMETER = "model.injection.scale"
"""Parameter that the optimizer trained in version 0.1, and that is a constant now."""


def _earlier_names(names: list[str]) -> list[str]:
    """Return the names of the parameters by their numbers in version 0.1.

    Its checkpoints name the state of the optimizer by the numbers of the parameters.
    """
    before = "model.injection.identity"  # declared just before it, with the same rate and decay
    place = names.index(before) + 1 if before in names else len(names)
    return [*names[:place], _EARLIER_PARAMETER, *names[place:]]
