"""`vl export`: folders that transformers or this program read back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText

from tests.factories import make_recipe
from tests.runs import fit
from videolatent_cli.errors import UsageError
from videolatent_cli.model.checkpoint import find_checkpoint, read_checkpoint
from videolatent_cli.model.load import restore_model
from videolatent_cli.pipeline.ask import AskRequest, ask
from videolatent_cli.pipeline.export import ExportRequest, export_run
from videolatent_cli.pipeline.train import TrainReport
from videolatent_cli.runtime.machine import Machine


@pytest.mark.parametrize("train_part", ["full", "lora"])
def test_export_is_a_plain_hugging_face_folder(
    small_folder: Path, cache_dir: Path, tmp_path: Path, train_part: str
) -> None:
    backbone = f"{{model: '{small_folder}', train: {train_part}, lora: {{rank: 2}}}}"
    report = fit(make_recipe(small_folder, backbone=backbone), tmp_path / "run", cache_dir)
    files = export_run(ExportRequest(report.run_dir, tmp_path / "out"))
    assert {"config.json", "model.safetensors", "latent.safetensors", "tokenizer.json"} <= {
        p.name for p in files
    }
    plain = AutoModelForImageTextToText.from_pretrained(tmp_path / "out").eval()
    checkpoint = find_checkpoint(report.run_dir)
    assert checkpoint is not None
    ours = restore_model(checkpoint).backbone
    ids = torch.tensor([[10, 11, 12]])
    assert np.allclose(
        plain(input_ids=ids).logits.detach().numpy(),
        ours.core(input_ids=ids).logits.detach().numpy(),
        atol=1e-5,
    )
    video = cache_dir / "eventworld-v1/test_iid/000000.mp4"
    question = AskRequest(video, "Which color moved first?", choices=("red", "blue"))
    before = ask(replace(question, run=report.run_dir), Machine(tmp_path)).answer
    after = ask(replace(question, run=tmp_path / "out"), Machine(tmp_path)).answer
    assert after.answer == before.answer
    assert after.choice_probs == pytest.approx(before.choice_probs, abs=1e-5)
    with pytest.raises(UsageError, match="out exists; choose another folder"):
        export_run(ExportRequest(report.run_dir, tmp_path / "out"))


def test_export_of_a_checkpoint_answers_alike(trained: TrainReport, tmp_path: Path) -> None:
    export_run(ExportRequest(trained.run_dir, tmp_path / "out", "checkpoint", half=True))
    small = read_checkpoint(tmp_path / "out")
    whole = find_checkpoint(trained.run_dir)
    assert whole is not None
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "checkpoint.json",
        "model.safetensors",
    }
    first, second = restore_model(small), restore_model(whole)
    for name, parameter in first.named_parameters():
        assert torch.allclose(parameter, dict(second.named_parameters())[name], atol=1e-3)
