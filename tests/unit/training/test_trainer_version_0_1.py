"""Runs of version 0.1, which trained the scale of the latents, resume and keep their scale."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.factories import make_batch, make_recipe
from tests.unit.training.test_trainer import make_trainer
from videolatent_cli.model.checkpoint import Checkpoint, find_checkpoint
from videolatent_cli.model.load import build_model, restore_model
from videolatent_cli.pipeline.runs.trained_model import EMBEDDED, open_model
from videolatent_cli.recipe import Recipe
from videolatent_cli.training.optimizer import make_optimizer, optimizer_tensors
from videolatent_cli.training.step import SelfForcing

SCALE = 0.4375


def numbers_of_version_0_1(recipe: Recipe) -> dict[str, int]:
    """The numbers that the optimizer of version 0.1 gave to the parameters."""
    module = SelfForcing(build_model(recipe), recipe)
    injection = module.model.injection
    assert injection is not None
    value = injection.scale
    del injection.scale
    injection.scale = torch.nn.Parameter(value)  # its place was after the identities, as now
    groups = make_optimizer(module, recipe.training).param_groups
    return {name: n for n, name in enumerate(name for group in groups for name in group["names"])}


def as_version_0_1(checkpoint: Checkpoint, recipe: Recipe) -> None:
    """Rewrite the files of a checkpoint as version 0.1 wrote them."""
    weights = load_file(checkpoint.folder / "model.safetensors")
    save_file(
        weights | {"injection.scale": torch.tensor(SCALE)}, checkpoint.folder / "model.safetensors"
    )
    numbers = numbers_of_version_0_1(recipe)
    state: dict[str, Tensor] = {}
    for name, value in load_file(checkpoint.folder / "training.safetensors").items():
        if name.startswith("optimizer."):
            parameter, key = name.removeprefix("optimizer.").rsplit(".", 1)
            state[f"optimizer.{numbers[parameter]}.{key}"] = value
        else:
            state[name] = value
    scale = numbers["model.injection.scale"]
    state |= {f"optimizer.{scale}.{key}": torch.tensor(9.0) for key in ("exp_avg", "exp_avg_sq")}
    state[f"optimizer.{scale}.step"] = torch.tensor(3.0)
    save_file(state, checkpoint.folder / "training.safetensors")


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("train", ["full", "frozen"])
def test_a_run_resumes_with_its_scale(
    small_folder: Path, tmp_path: Path, optimizer: str, train: str
) -> None:
    recipe = make_recipe(
        small_folder,
        (f"training.optimizer={optimizer}", "training.max_steps=4"),
        backbone=f"{{model: '{small_folder}', train: {train}}}",
    )
    first = make_trainer(recipe)
    for result in first.steps(0):
        if result.step == 3:
            first.save(tmp_path / "checkpoints", 3)
            wanted = {n: t.clone() for n, t in optimizer_tensors(first.optimizer).items()}
    checkpoint = find_checkpoint(tmp_path)
    assert checkpoint is not None
    as_version_0_1(checkpoint, recipe)
    second = make_trainer(recipe)
    assert second.restore(checkpoint) == 3
    found = optimizer_tensors(second.optimizer)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], value) for name, value in wanted.items())
    (result,) = second.steps(3)
    assert result.latents["scale"] == pytest.approx(
        SCALE / second.module.model.embedding_rms(), rel=1e-3
    )
    second.save(tmp_path / "checkpoints", 4)
    saved = find_checkpoint(tmp_path)
    assert saved is not None
    model = restore_model(saved)
    assert model.injection is not None
    assert float(model.injection.scale) == SCALE
    with torch.no_grad():
        latents = model.roll_out(model.prefill(make_batch(model))).latents
    assert float(latents.square().mean().sqrt()) == pytest.approx(SCALE, rel=1e-4)


def test_the_scale_of_a_new_run_is_that_of_the_embeddings_and_stays(
    small_folder: Path, tmp_path: Path
) -> None:
    recipe = make_recipe(small_folder, training="{max_steps: 3, gradient_accumulation_steps: 1}")
    trainer = make_trainer(recipe)
    rms = trainer.module.model.embedding_rms()
    list(trainer.steps(0))
    trainer.save(tmp_path / "checkpoints", 3)
    checkpoint = find_checkpoint(tmp_path)
    assert checkpoint is not None
    assert float(checkpoint.model_tensors()["injection.scale"]) == pytest.approx(rms)
    assert not any("scale" in name for name in optimizer_tensors(trainer.optimizer))


def test_the_embedded_model_keeps_the_scale_that_it_was_trained_to() -> None:
    model = open_model(EMBEDDED, "cpu").model
    assert model.injection is not None
    stored = load_file(EMBEDDED / "model.safetensors")["injection.scale"]
    assert float(model.injection.scale) == float(stored) == 0.05517578125
