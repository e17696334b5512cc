"""What is trained goes to disk and comes back."""

from pathlib import Path

import pytest
import torch

from tests.factories import make_batch, make_recipe
from tests.runs import OneBatch
from videolatent_cli.errors import IncompatibleError
from videolatent_cli.model.checkpoint import find_checkpoint
from videolatent_cli.model.load import build_model
from videolatent_cli.recipe import Recipe
from videolatent_cli.recipe.schema import Training
from videolatent_cli.training.processes import Processes
from videolatent_cli.training.trainer import Trainer


class Feed(OneBatch):
    """One batch, for as many steps as the recipe names."""

    fingerprint = "f"

    def num_steps(self, training: Training) -> int:
        assert training.max_steps is not None
        return training.max_steps


def make_trainer(recipe: Recipe) -> Trainer:
    """A trainer of a model as it is at the start."""
    torch.manual_seed(0)
    model = build_model(recipe)
    return Trainer(recipe, model, Feed(make_batch(model)), Processes())  # type: ignore[arg-type]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_restored_trainer_takes_the_steps_of_the_first(
    small_folder: Path, tmp_path: Path, optimizer: str
) -> None:
    changes = (f"training.optimizer={optimizer}", "loss.teacher=ema", "training.max_steps=6")
    recipe = make_recipe(small_folder, changes)
    first = make_trainer(recipe)
    assert first.total_steps == 6
    straight = []
    for result in first.steps(0):
        straight.append(result.loss)
        if result.step == 3:
            first.save(tmp_path / "checkpoints", result.step)
    second = make_trainer(recipe)
    checkpoint = find_checkpoint(tmp_path)
    assert checkpoint is not None
    assert second.restore(checkpoint) == 3
    assert [result.loss for result in second.steps(3)] == straight[3:]
    weights = dict(first.module.named_parameters())
    assert all(torch.equal(w, weights[name]) for name, w in second.module.named_parameters())


def test_a_checkpoint_of_another_backbone_is_refused(small_folder: Path, tmp_path: Path) -> None:
    backbone = f"{{model: '{small_folder}', train: lora, lora: {{rank: 2}}}}"
    recipe = make_recipe(small_folder, backbone=backbone)
    first = make_trainer(recipe)
    first.save(tmp_path / "checkpoints", 1)
    checkpoint = find_checkpoint(tmp_path)
    assert checkpoint is not None
    model = build_model(recipe)
    with torch.no_grad():
        next(iter(model.backbone.vision_parameters()))[1].add_(1)
    second = Trainer(recipe, model, Feed(make_batch(model)), Processes())  # type: ignore[arg-type]
    with pytest.raises(IncompatibleError, match="was trained on backbone weights"):
        second.restore(checkpoint)
