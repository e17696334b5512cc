"""The training loop: identities, errors, and learning on tiny data."""

import math
from pathlib import Path

import pytest
import torch

from tests.factories import make_batch, make_recipe, one_row
from tests.runs import OneBatch, run_steps
from videolatent_cli.errors import DataError, ResourceError
from videolatent_cli.model.batch import Batch
from videolatent_cli.model.load import build_model
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.training.loop import train_steps
from videolatent_cli.training.optimizer import make_optimizer, make_schedule
from videolatent_cli.training.step import SelfForcing


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


@pytest.mark.parametrize("train", ["full", "lora", "frozen"])
def test_only_what_the_recipe_names_changes(small_folder: Path, train: str) -> None:
    backbone = f"{{model: '{small_folder}', train: {train}, lora: {{rank: 2}}}}"
    recipe = make_recipe(small_folder, backbone=backbone)
    before = {n: p.detach().clone() for n, p in build_model(recipe).named_parameters()}
    module, _ = run_steps(recipe, 2)
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


def test_bfloat16_trains_with_latents_in_float32(small_folder: Path) -> None:
    backbone = f"{{model: '{small_folder}', train: full, dtype: bfloat16}}"
    module, results = run_steps(make_recipe(small_folder, backbone=backbone), 2)
    assert math.isfinite(results[-1].loss)
    assert module.model.injection is not None
    assert module.model.injection.slots.dtype == torch.float32
    assert module.model.backbone.dtype == torch.bfloat16


def test_overfits_a_few_triplets(small_folder: Path) -> None:
    training = (
        "{max_steps: 80, videos_per_batch: 2, triplets_per_video: 2, learning_rate: 1e-2, "
        "latent_learning_rate: 1e-2, gradient_accumulation_steps: 1}"
    )
    _, results = run_steps(make_recipe(small_folder, training=training), 80)
    assert results[-1].parts["answer"] < 0.1 < results[0].parts["answer"]


def test_alignment_and_bottleneck_fall_when_trained(small_folder: Path) -> None:
    training = (
        "{max_steps: 60, videos_per_batch: 2, triplets_per_video: 2, learning_rate: 5e-3, "
        "latent_learning_rate: 5e-3, gradient_accumulation_steps: 1}"
    )
    loss = "{alignment_warmup_fraction: 0, bottleneck_full_fraction: 1, diversity_weight: 0}"
    _, results = run_steps(make_recipe(small_folder, training=training, loss=loss), 60)
    assert "alignment" not in results[0].parts  # the first step measures the moments for it
    assert results[-1].parts["alignment"] < 0.8 * results[1].parts["alignment"]
    assert results[-1].parts["bottleneck"] < 0.3 * results[0].parts["bottleneck"]


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
