"""Checkpoints: only the newest is kept, and what is wrong is named."""

import json
from pathlib import Path

import pytest
import torch

from tests.factories import make_recipe
from videolatent_cli.errors import IncompatibleError
from videolatent_cli.model.checkpoint import (
    describe_checkpoint,
    find_checkpoint,
    load_tensors,
    read_checkpoint,
    save_checkpoint,
    trained_tensors,
)
from videolatent_cli.model.load import build_model, restore_model, sampling_of


def test_checkpoint_keeps_only_the_newest_and_says_what_is_wrong(
    small_folder: Path, tmp_path: Path
) -> None:
    recipe = make_recipe(small_folder)
    model = build_model(recipe)
    for step in (1, 2):
        about = describe_checkpoint(step, 2, recipe, sampling_of(recipe, model), "other")
        folder = save_checkpoint(tmp_path / "checkpoints", about, trained_tensors(model), {})
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-0000002"]
    checkpoint = find_checkpoint(tmp_path)
    assert checkpoint is not None
    with pytest.raises(IncompatibleError, match="was trained on backbone weights other"):
        restore_model(checkpoint)
    with pytest.raises(IncompatibleError, match=r"missing \['backbone.*unexpected \['strange'\]"):
        load_tensors(model, {"strange": torch.ones(1)}, folder)
    name, tensor = next(iter(trained_tensors(model).items()))
    with pytest.raises(IncompatibleError, match="must have shape"):
        load_tensors(model, trained_tensors(model) | {name: torch.ones(1, 1, 1)}, folder)
    assert tensor.ndim
    about = json.loads((folder / "checkpoint.json").read_text())
    (folder / "checkpoint.json").write_text(json.dumps(about | {"schema": "vl.checkpoint/0"}))
    with pytest.raises(
        IncompatibleError, match=r"schema must be vl\.checkpoint/1, got vl\.checkpoint/0"
    ):
        read_checkpoint(folder)
    (folder / "checkpoint.json").write_text("{")
    with pytest.raises(IncompatibleError, match="not a checkpoint"):
        read_checkpoint(folder)
    (folder / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(IncompatibleError, match="cannot be read"):
        checkpoint.model_tensors()
