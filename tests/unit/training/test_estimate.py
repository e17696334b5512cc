"""What `vl plan` says of memory, against the tensors that are alive in a real step."""

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.factories import make_recipe
from tests.families import FAMILIES, write_family
from videolatent_cli.model.backbones import recompute
from videolatent_cli.model.batch import Batch, Example, Prompter
from videolatent_cli.model.load import build_model
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.recipe import Recipe
from videolatent_cli.training import estimate
from videolatent_cli.training.estimate import step_bytes
from videolatent_cli.training.optimizer import make_optimizer
from videolatent_cli.training.step import SelfForcing
from videolatent_cli.video.frames import FrameBatch

VIDEO = "{fps: 4, min_frames: 2, max_frames: 64, min_pixels: 4096, max_pixels: 4096}"


class Alive(TorchDispatchMode):
    """Counts the bytes of all tensors that operations made and that still exist."""

    def __init__(self, known: set[int]) -> None:
        super().__init__()
        self.known, self.sizes, self.peak = known, dict[int, int](), 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self.add(tensor.untyped_storage())
        self.peak = max(self.peak, sum(self.sizes.values()))
        return out

    def add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self.sizes and storage.data_ptr() not in self.known:
            self.sizes[key] = storage.nbytes()
            weakref.finalize(storage, self.sizes.pop, key, None)


def batches(model: VideoLatent) -> Callable[[int], Batch]:
    """Two questions about each of two videos with a number of frame groups."""

    def of_groups(groups: int) -> Batch:
        count = groups * model.backbone.geometry.frames_per_group
        width, height = model.backbone.geometry.frame_size_px or (64, 64)
        black = np.zeros((count, height, width, 3), dtype=np.uint8)
        with torch.no_grad():
            video = model.backbone.encode_video(FrameBatch(black, np.arange(count) / 4))
        example = Example("Where did the cup go after that?", "left")
        return Prompter(model.backbone).collate([video] * 2, [[example] * 2] * 2)

    return of_groups


def measured(model: VideoLatent, recipe: Recipe, batch: Batch) -> int:
    """Peak of the second step of a training, without the weights."""
    module = SelfForcing(model, recipe).train()
    optimizer = make_optimizer(module, recipe.training)
    known = {p.untyped_storage().data_ptr() for p in module.parameters()}
    with Alive(known) as alive:
        for step in range(2):
            module(batch, module.weights_at(step, 2)).total.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    return alive.peak


@pytest.mark.parametrize("family", FAMILIES)
def test_two_groups_foretell_many(family: str, tmp_path: Path) -> None:
    recipe = make_recipe(write_family(tmp_path, family), video=VIDEO)
    model = build_model(recipe)
    make = batches(model)
    foretold = step_bytes(model, recipe, make, 8)
    assert foretold == pytest.approx(measured(model, recipe, make(8)), rel=0.15)


@pytest.mark.parametrize("part", [128, 512])
def test_a_prefix_that_is_computed_again_takes_less_and_is_foretold(
    monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    for module in (recompute, estimate):
        monkeypatch.setattr(module, "PART", part)
    peaks = {}
    for again in ("false", "true"):
        override = (f"training.recompute_prefix={again}",)
        recipe = make_recipe("tiny", override, video=VIDEO, backbone="{model: tiny, train: lora}")
        model = build_model(recipe)
        make = batches(model)
        peaks[again] = measured(model, recipe, make(32))
        foretold = step_bytes(model, recipe, make, groups=32)
        assert foretold == pytest.approx(peaks[again], rel=0.15)
    assert peaks["true"] < 0.7 * peaks["false"]


@pytest.mark.parametrize("train", ["full", "lora"])
@pytest.mark.parametrize("latent", ["{}", "null"])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_two_layers_foretell_all(train: str, latent: str, optimizer: str) -> None:
    recipe = make_recipe(
        "tiny",
        (f"training.optimizer={optimizer}",),
        video=VIDEO,
        backbone=f"{{model: tiny, train: {train}}}",
        latent=latent,
    )
    model = build_model(recipe)
    layers = model.backbone.num_layers
    make = batches(model)
    foretold = step_bytes(model, recipe, make, groups=16)
    assert model.backbone.num_layers == len(model.backbone.language_model.layers) == layers > 2
    assert foretold == pytest.approx(measured(model, recipe, make(16)), rel=0.15)
