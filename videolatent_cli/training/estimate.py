"""Estimate the peak memory and the time of a training step."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import torch
from torch.autograd.graph import saved_tensors_hooks

from videolatent_cli.model.backbones.quantization import num_parameters
from videolatent_cli.model.backbones.recompute import PART
from videolatent_cli.training.optimizer import make_optimizer
from videolatent_cli.training.step import SelfForcing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, UntypedStorage

    from videolatent_cli.model.backbones.base import Backbone
    from videolatent_cli.model.batch import Batch
    from videolatent_cli.model.videolatent import VideoLatent
    from videolatent_cli.recipe import Recipe

TRANSIENT_FACTOR = 1.1
"""What activations take, over what is kept of them. Choice: a tenth for what lives only within
operations (tests/unit/test_footprint.py compares with real steps)."""


def step_bytes(
    model: VideoLatent, recipe: Recipe, make_batch: Callable[[int], Batch], groups: int
) -> int:
    """Return what a step allocates besides the weights, at the worst moment.

    Choice: gradients, the optimizer's state and all activations at once.

    Args:
        model: With gradients on for what is trained.
        recipe: Objectives and optimizer.
        make_batch: Returns a micro batch whose videos have a number of frame groups.
        groups: Frame groups of the longest video.
    """
    one, two = make_batch(1), make_batch(2)
    kept = _activation_bytes(model, recipe, one, two, groups)
    if not recipe.training.recompute_prefix:
        return _trained_bytes(model, recipe) + round(TRANSIENT_FACTOR * kept)
    training = recipe.training.model_copy(update={"recompute_prefix": False})
    plain = recipe.model_copy(update={"training": training})
    prefix = _activation_bytes(model, plain, one, two, groups) - kept
    short, long = one.video_prompt.ids.shape[1], two.video_prompt.ids.shape[1]
    length = short + (groups - 1) * (long - short)
    videos = _state_bytes(model.backbone, len(one.video_prompt.ids), length)
    questions = _state_bytes(model.backbone, len(one.video_index), length)
    text = model.backbone.config.get_text_config()
    copies = int(text.num_attention_heads // text.num_key_value_heads)
    # Either all but the prefix, with gradients of its keys and values for each head and added up,
    # or then one of its parts.
    peak = max(kept + (copies + 1) * questions, 2 * videos + min(1.0, PART / length) * prefix)
    return _trained_bytes(model, recipe) + round(peak)


def _state_bytes(backbone: Backbone, rows: int, length: int) -> int:
    """Return the size of the keys and values of some rows."""
    keys = backbone.empty_state(rows).layers[0][0]
    heads, size = keys.shape[1], keys.shape[3]
    return 2 * backbone.num_layers * rows * heads * length * size * keys.element_size()


def _activation_bytes(
    model: VideoLatent, recipe: Recipe, one: Batch, two: Batch, groups: int
) -> float:
    """Return what a forward pass keeps for the backward pass, with videos of so many groups.

    Choice: it grows in proportion to the layers and to the length of the videos, so it is measured
    for one and two of each.
    """
    first, longer = _kept_bytes(model, recipe, one, 1), _kept_bytes(model, recipe, two, 1)
    deeper, both = _kept_bytes(model, recipe, one, 2), _kept_bytes(model, recipe, two, 2)
    layers, length = model.backbone.num_layers - 1, groups - 1
    return (
        first
        + layers * (deeper - first)
        + length * (longer - first)
        + layers * length * (both - deeper - longer + first)
    )


def _trained_bytes(model: VideoLatent, recipe: Recipe) -> int:
    """Return the size of gradients, of the optimizer's state and of a teacher's own weights."""
    module = SelfForcing(model, recipe)
    total = sum(kept.nbytes for kept in module.teacher.weights.values())
    for group in make_optimizer(module, recipe.training).param_groups:
        copies = 2 if group["muon"] else 3  # a gradient, and one or two moments
        total += copies * sum(parameter.nbytes for parameter in group["params"])
    return total


def _kept_bytes(model: VideoLatent, recipe: Recipe, batch: Batch, layers: int) -> int:
    """Return what a forward pass of the first layers keeps for the backward pass."""
    # Weak, since parts of the graph that no loss needs are dropped at once.
    kept: WeakValueDictionary[int, UntypedStorage] = WeakValueDictionary()

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage
        return tensor.detach()  # a tensor that knows its graph would keep it

    with _shallow(model.backbone, layers):
        module = SelfForcing(model, recipe)
        weights = replace(module.weights_at(0, 1), alignment=0.0)  # a teacher keeps nothing
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            losses = module(batch, weights)
        own = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
        total = sum(storage.nbytes() for place, storage in kept.items() if place not in own)
        del losses
    return total


@contextmanager
def _shallow(backbone: Backbone, layers: int) -> Iterator[None]:
    """Leave the decoder its first layers only."""
    decoder, config = backbone.language_model, backbone.config.get_text_config()
    deep, count = decoder.layers, config.num_hidden_layers
    decoder.layers, config.num_hidden_layers = deep[:layers], layers
    try:
        yield
    finally:
        decoder.layers, config.num_hidden_layers = deep, count


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
