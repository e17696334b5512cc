"""Sharding of the backbone's weights and gradients over processes (FSDP2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, distributed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import nn

    from videolatent_cli.training.step import SelfForcing


def shard_backbone(module: SelfForcing) -> None:
    """Shard the backbone's weights over the processes; each layer is gathered when it runs.

    Gradients are summed over the processes. Parameters outside the backbone stay whole in every
    process.

    Choice: the last decoder layer stays unsharded during a step. Only the keys and values of the
    video prefix contribute to the loss, so the backward pass enters this layer without passing the
    output that triggers FSDP's gather.
    """
    # Imported here: both modules are slow to import, and only sharded trainings need them.
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    backbone = module.model.backbone
    not_sharded = set(module.parameters()) - set(backbone.parameters())
    mesh = init_device_mesh(backbone.device.type, (distributed.get_world_size(),))
    # The last layer is left to the root group below, which is not resharded after the forward pass.
    for layer in list(backbone.language_model.layers)[:-1]:
        fully_shard(layer, mesh=mesh)
    fully_shard(module, mesh=mesh, ignored_params=not_sharded, reshard_after_forward=False)
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.set_gradient_divide_factor(1.0)  # the loop divides by the number of triplets
            part.set_force_sum_reduction_for_comms(True)  # gloo supports only plain sums


def is_sharded(tensor: Tensor) -> bool:
    """Whether this process holds only a shard of a tensor."""
    return hasattr(tensor, "full_tensor")


def full_tensor(tensor: Tensor) -> Tensor:
    """Return the full tensor of a shard; return any other tensor as it is.

    All processes must call this for a sharded tensor.
    """
    full: Tensor = tensor.full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]
    return full


def gather_on_first(tensors: Mapping[str, Tensor], *, first: bool) -> dict[str, Tensor]:
    """Return copies of the full tensors on the CPU in the first process, nothing in the others.

    Tensors are gathered one by one, so that a GPU holds only one full tensor at a time.
    """
    copies = {}
    for name, tensor in tensors.items():
        full = full_tensor(tensor)
        if first:
            copies[name] = full.detach().to("cpu", copy=True)
    return copies


def shard_like(value: Tensor, like: Tensor) -> Tensor:
    """Return this process's shard of a full tensor if `like` is sharded, else the full tensor.

    Every process passes the full tensor, so nothing is sent.
    """
    if not is_sharded(like):
        return value
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(like, DTensor)
    mesh, placements = like.device_mesh, like.placements
    return distribute_tensor(value.to(like.device), mesh, placements, src_data_rank=None)


def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float) -> float:
    """Scale gradients down to a total norm of at most `max_norm`; return the norm before.

    Equal to torch's `clip_grad_norm_`, which does not accept sharded and other tensors together.
    """
    by_kind: dict[bool, list[nn.Parameter]] = {}  # sharded, and not sharded
    for parameter in parameters:
        if parameter.grad is not None:
            by_kind.setdefault(is_sharded(parameter), []).append(parameter)
    norms = [
        full_tensor(torch.nn.utils.get_total_norm([p.grad for p in group if p.grad is not None]))
        for group in by_kind.values()
    ]
    total = torch.linalg.vector_norm(torch.stack(norms))
    for group in by_kind.values():
        torch.nn.utils.clip_grads_with_norm_(group, max_norm, total)
    return float(total)
