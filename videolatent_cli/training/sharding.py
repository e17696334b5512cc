"""Weights and gradients of the backbone shared out among processes (FSDP2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, distributed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import nn

    from videolatent_cli.training.step import SelfForcing


def shard_backbone(module: SelfForcing) -> None:
    """Leave each process its part of the backbone's weights; layers are gathered as they run.

    Gradients are summed over the processes. What is not of the backbone stays whole everywhere.

    Choice: the last layer belongs to the root, which stays gathered through the backward pass. Of
    a prefix only keys and values are used, so nothing announces its last layer's backward pass.
    """
    # Slow to import, and only needed here.
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    backbone = module.model.backbone
    own = set(module.parameters()) - set(backbone.parameters())
    mesh = init_device_mesh(backbone.device.type, (distributed.get_world_size(),))
    for layer in list(backbone.language_model.layers)[:-1]:
        fully_shard(layer, mesh=mesh)
    fully_shard(module, mesh=mesh, ignored_params=own, reshard_after_forward=False)
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.set_gradient_divide_factor(1.0)
            part.set_force_sum_reduction_for_comms(True)  # gloo knows no other sum


def is_sharded(tensor: Tensor) -> bool:
    """Whether this process holds only a part of a tensor."""
    return hasattr(tensor, "full_tensor")


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor with the parts of all processes, which all call this; others as they are."""
    full: Tensor = tensor.full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]
    return full


def gathered(tensors: Mapping[str, Tensor], *, first: bool) -> dict[str, Tensor]:
    """Return whole tensors in main memory, one after the other, in the first process alone."""
    found = {}
    for name, tensor in tensors.items():
        full = whole(tensor)
        if first:
            found[name] = full.detach().to("cpu", copy=True)
    return found


def shared_like(value: Tensor, like: Tensor) -> Tensor:
    """Return this process's part of a whole tensor where it has only a part of another one.

    Every process has the whole tensor, so nothing is sent.
    """
    if not is_sharded(like):
        return value
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(like, DTensor)
    mesh, placements = like.device_mesh, like.placements
    return distribute_tensor(value.to(like.device), mesh, placements, src_data_rank=None)


def clip_gradients(parameters: Iterable[nn.Parameter], most: float) -> float:
    """Scale gradients down to a norm if theirs is larger; return the norm before.

    Works as torch's `clip_grad_norm_` does, which cannot take whole and shared tensors together.
    """
    kinds: dict[bool, list[nn.Parameter]] = {}
    for parameter in parameters:
        if parameter.grad is not None:
            kinds.setdefault(is_sharded(parameter), []).append(parameter)
    norms = [
        whole(torch.nn.utils.get_total_norm([p.grad for p in some if p.grad is not None]))
        for some in kinds.values()
    ]
    total = torch.linalg.vector_norm(torch.stack(norms))
    for some in kinds.values():
        torch.nn.utils.clip_grads_with_norm_(some, most, total)
    return float(total)
