"""How long an optimizer step takes on this machine."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from videolatent_cli.model.quantization import num_parameters
from videolatent_cli.training.optimizer import make_optimizer
from videolatent_cli.training.step import SelfForcing

if TYPE_CHECKING:
    from videolatent_cli.model.batch import Batch
    from videolatent_cli.model.videolatent import VideoLatent
    from videolatent_cli.recipe import Recipe

_STEPS = 2


def measured_seconds(model: VideoLatent, recipe: Recipe, batch: Batch) -> float:
    """Return the time (s) of a step with all objectives on a micro batch; it changes the model."""
    module = SelfForcing(model, recipe).train()
    optimizer = make_optimizer(module, recipe.training)
    bottleneck = recipe.loss.bottleneck_weight if module.uses_bottleneck else 0.0
    weights = replace(module.weights_at(1, 2), bottleneck=bottleneck)
    started = 0.0
    for step in range(1 + _STEPS):
        if step == 1:  # the first one warms up
            started = time.perf_counter()
        losses = module(batch, weights)
        losses.total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        float(losses.total.detach())  # reading a number waits for the device
    return (time.perf_counter() - started) / _STEPS


def reckoned_seconds(model: VideoLatent, positions: float) -> float:
    """Return a rough time (s) of a step of so many positions: its operations over a measured rate.

    Latents, objectives and the optimizer are left out.
    """
    device, dtype = model.backbone.device, model.backbone.dtype
    side = 8192 if device.type == "cuda" else 512
    a = torch.randn(side, side, device=device, dtype=dtype)
    float((a @ a).sum())  # reading a number waits for the device
    started = time.perf_counter()
    for _ in range(8):
        last = a @ a
    float(last.sum())
    rate = 8 * 2 * side**3 / (time.perf_counter() - started)
    parameters = num_parameters(model.backbone.language_model)
    return float(6 * parameters * positions / rate)
