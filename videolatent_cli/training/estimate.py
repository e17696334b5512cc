"""Estimates of the peak memory and the time of a training step."""

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
"""Ratio of the peak memory of activations to the memory of those kept for the backward pass.
Choice: a tenth more for tensors that exist only within an operation; a test compares the estimate
with real steps."""


def step_bytes(
    model: VideoLatent, recipe: Recipe, make_batch: Callable[[int], Batch], groups: int
) -> int:
    """Return the bytes that a training step allocates besides the weights, at its peak.

    Choice: gradients, the optimizer's state and all activations are added up, as if the peak of
    each came at the same moment.

    Args:
        model: Model whose trained parameters require a gradient.
        recipe: Recipe with the objectives and the optimizer.
        make_batch: Function from a number of frame groups to a micro batch of such videos.
        groups: Frame groups of the longest video.
    """
    short, longer = make_batch(1), make_batch(2)  # videos of one and of two frame groups
    kept = _activation_bytes(model, recipe, short, longer, groups)
    if not recipe.training.recompute_prefix:
        return _trained_bytes(model, recipe) + round(TRANSIENT_FACTOR * kept)
    # `kept` excludes the activations of the prefix, which the backward pass computes again. Their
    # size is the difference to the same step without recomputation.
    training = recipe.training.model_copy(update={"recompute_prefix": False})
    without_recompute = recipe.model_copy(update={"training": training})
    prefix = _activation_bytes(model, without_recompute, short, longer, groups) - kept
    # Each further frame group adds the same number of positions to the video prompt.
    short_length, longer_length = short.video_prompt.ids.shape[1], longer.video_prompt.ids.shape[1]
    length = short_length + (groups - 1) * (longer_length - short_length)
    # Keys and values of the prefix: one row per video, repeated to one row per question.
    video_state = _state_bytes(model.backbone, len(short.video_prompt.ids), length)
    question_state = _state_bytes(model.backbone, len(short.video_index), length)
    text = model.backbone.config.get_text_config()
    queries_per_key = int(text.num_attention_heads // text.num_key_value_heads)
    # The backward pass has two phases; the larger one is the peak.
    # 1. Everything after the prefix. The gradient of the prefix's keys and values exists once per
    #    query head that shares a key head, and once more as their sum.
    after_prefix = kept + (queries_per_key + 1) * question_state
    # 2. The prefix: its keys and values, their gradients, and the activations of one part of it.
    one_part = 2 * video_state + min(1.0, PART / length) * prefix
    return _trained_bytes(model, recipe) + round(max(after_prefix, one_part))


def _state_bytes(backbone: Backbone, rows: int, length: int) -> int:
    """Return the bytes of the keys and values of `rows` sequences with `length` positions each."""
    keys = backbone.empty_state(rows).layers[0][0]  # (batch, head, 0, headdim)
    heads, head_dim = keys.shape[1], keys.shape[3]
    # The factor 2 is for keys and values, in every layer.
    return 2 * backbone.num_layers * rows * heads * length * head_dim * keys.element_size()


def _activation_bytes(
    model: VideoLatent, recipe: Recipe, short: Batch, longer: Batch, groups: int
) -> float:
    """Return the bytes that a forward pass keeps for the backward pass.

    Choice: the bytes grow linearly with the number of layers and with the number of frame groups.
    They are measured for one and two layers and for one and two frame groups, and extrapolated.

    Args:
        model: The whole model.
        recipe: Recipe with the objectives.
        short: Micro batch whose videos have one frame group.
        longer: The same micro batch with two frame groups per video.
        groups: Frame groups to extrapolate to.
    """
    base = _kept_bytes(model, recipe, short, layers=1)
    with_group = _kept_bytes(model, recipe, longer, layers=1)
    with_layer = _kept_bytes(model, recipe, short, layers=2)
    with_both = _kept_bytes(model, recipe, longer, layers=2)
    more_layers, more_groups = model.backbone.num_layers - 1, groups - 1
    # f(layers, groups) is linear in each of its two arguments, and base is f(1, 1). The last term
    # is for the activations of each further group in each further layer.
    return (
        base
        + more_layers * (with_layer - base)
        + more_groups * (with_group - base)
        + more_layers * more_groups * (with_both - with_layer - with_group + base)
    )


def _trained_bytes(model: VideoLatent, recipe: Recipe) -> int:
    """Return the bytes of gradients, of the optimizer's state and of the teacher's own weights."""
    module = SelfForcing(model, recipe)
    total = sum(weight.nbytes for weight in module.teacher.weights.values())
    for group in make_optimizer(module, recipe.training).param_groups:
        # The gradient, and Muon's momentum or AdamW's two moments; all have the parameter's size.
        copies = 2 if group["muon"] else 3
        total += copies * sum(parameter.nbytes for parameter in group["params"])
    return total


def _kept_bytes(model: VideoLatent, recipe: Recipe, batch: Batch, layers: int) -> int:
    """Return the bytes that a forward pass of the first layers keeps for the backward pass."""
    # Storage by its address. Weak: parts of the graph that no loss needs are freed at once, and
    # must not be counted.
    kept: WeakValueDictionary[int, UntypedStorage] = WeakValueDictionary()

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage
        return tensor.detach()  # a tensor with its graph would keep the whole graph alive

    with _shallow(model.backbone, layers):
        module = SelfForcing(model, recipe)
        # The teacher runs without gradient, so it keeps nothing.
        weights = replace(module.weights_at(0, 1), alignment=0.0)
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            losses = module(batch, weights)
        # Parameters are saved for the backward pass too, but the step does not allocate them.
        own = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
        total = sum(storage.nbytes() for address, storage in kept.items() if address not in own)
        del losses
    return total


@contextmanager
def _shallow(backbone: Backbone, layers: int) -> Iterator[None]:
    """Cut the decoder to its first layers inside the context; restore it afterwards."""
    decoder, config = backbone.language_model, backbone.config.get_text_config()
    all_layers, count = decoder.layers, config.num_hidden_layers
    decoder.layers, config.num_hidden_layers = all_layers[:layers], layers
    try:
        yield
    finally:
        decoder.layers, config.num_hidden_layers = all_layers, count


_TIMED_STEPS = 2
_TIMED_PRODUCTS = 8


def measured_seconds(model: VideoLatent, recipe: Recipe, batch: Batch) -> float:
    """Return the measured time (s) of a step with all objectives on a micro batch.

    The measurement runs real optimizer steps, so it changes the weights of the model.
    """
    module = SelfForcing(model, recipe).train()
    optimizer = make_optimizer(module, recipe.training)
    bottleneck = recipe.loss.bottleneck_weight if module.uses_bottleneck else 0.0
    # Weights halfway through a training, when alignment has a weight. The bottleneck is applied to
    # a random share of the steps; here it is always on.
    weights = replace(module.weights_at(1, 2), bottleneck=bottleneck)
    started = 0.0
    for step in range(1 + _TIMED_STEPS):
        if step == 1:  # the first step warms up and is not timed
            started = time.perf_counter()
        losses = module(batch, weights)
        losses.total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        float(losses.total.detach())  # reading the value waits for the device
    return (time.perf_counter() - started) / _TIMED_STEPS


def estimated_seconds(model: VideoLatent, positions: float) -> float:
    """Return a rough time (s) of a step: its operations over the measured speed of the device.

    The estimate leaves out latents, objectives and the optimizer.

    Args:
        model: Model to be trained; nothing of it is run.
        positions: Positions of the whole step.
    """
    device, dtype = model.backbone.device, model.backbone.dtype
    side = 8192 if device.type == "cuda" else 512  # large enough for the device's full speed
    matrix = torch.randn(side, side, device=device, dtype=dtype)
    float((matrix @ matrix).sum())  # warms up; reading the value waits for the device
    started = time.perf_counter()
    for _ in range(_TIMED_PRODUCTS):
        product = matrix @ matrix
    float(product.sum())
    # A product of two matrices with n rows and columns takes n^3 multiplications and additions.
    operations = _TIMED_PRODUCTS * 2 * side**3
    rate = operations / (time.perf_counter() - started)
    parameters = num_parameters(model.backbone.language_model)
    # Each parameter takes 2 operations per position in the forward pass and 4 in the backward pass.
    return float(6 * parameters * positions / rate)
