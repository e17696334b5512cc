"""Models from recipes and checkpoints."""

from pathlib import Path

import torch

from tests.factories import make_recipe
from videolatent_cli.model.checkpoint import (
    describe_checkpoint,
    find_checkpoint,
    read_checkpoint,
    save_checkpoint,
    trained_tensors,
)
from videolatent_cli.model.load import build_model, restore_model, sampling_of, untrained_hash


def test_checkpoint_round_trip_restores_the_same_answers(
    small_folder: Path, tmp_path: Path
) -> None:
    recipe = make_recipe(
        small_folder, backbone=f"{{model: '{small_folder}', train: lora, lora: {{rank: 2}}}}"
    )
    model = build_model(recipe)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    about = describe_checkpoint(3, 9, recipe, sampling_of(recipe, model), untrained_hash(model))
    folder = save_checkpoint(tmp_path, about, trained_tensors(model), {"x": torch.ones(2)})
    found = find_checkpoint(tmp_path.parent / tmp_path.name) or read_checkpoint(folder)
    assert (found.step, found.total_steps, found.finished) == (3, 9, False)
    assert found.training_tensors()["x"].tolist() == [1.0, 1.0]
    from tests.factories import make_batch

    back = restore_model(found)
    batch = make_batch(back)
    assert torch.equal(back(batch).answer_logits, model.eval()(batch).answer_logits)
