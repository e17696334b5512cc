"""A decoder in 4 bits: nothing else has them, it learns, answers and leaves as what it was."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageTextToText

from tests import families
from tests.factories import make_recipe, make_video, write_jsonl
from tests.families import QUESTIONS, family_batch, write_family
from videolatent_cli.errors import SetupError
from videolatent_cli.model.backbones import quantization
from videolatent_cli.model.backbones.base import Backbone
from videolatent_cli.model.backbones.load import load_backbone
from videolatent_cli.model.backbones.quantization import is_quantized, num_parameters
from videolatent_cli.model.checkpoint import find_checkpoint
from videolatent_cli.model.load import restore_model
from videolatent_cli.model.source import features_fingerprint
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.objectives import answer_loss
from videolatent_cli.pipeline.export import ExportRequest, export_run
from videolatent_cli.pipeline.runs.run_dir import RunDir
from videolatent_cli.pipeline.train import TrainRequest, train
from videolatent_cli.recipe.schema import Backbone as BackboneRecipe
from videolatent_cli.recipe.schema import Latent
from videolatent_cli.runtime.machine import Machine


@pytest.fixture(autouse=True)
def whole_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models whose rows are whole blocks of 64 weights."""
    monkeypatch.setattr(families, "DIM", 64)
    wide = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4}
    for name, value in wide.items():
        monkeypatch.setitem(families.TEXT, name, value)


def load(folder: Path, quantization: str, *, unpacked: bool = False) -> Backbone:
    recipe = BackboneRecipe(model=str(folder), quantization=quantization, train="lora")
    backbone = load_backbone(recipe, unpacked=unpacked)
    torch.manual_seed(0)
    backbone.make_trainable(recipe)
    return backbone.eval()


@pytest.mark.parametrize("family", families.FAMILIES)
def test_the_layers_of_the_decoder_alone_have_4_bits(family: str, tmp_path: Path) -> None:
    folder = write_family(tmp_path, family)
    packed, whole = load(folder, "nf4"), load(folder, "none")
    values: dict[str, Any] = dict(packed.core.named_parameters())
    four = {name for name, value in values.items() if is_quantized(value)}
    assert any("self_attn.q_proj" in name for name in four)
    assert all(f".{packed.decoder}.layers." in name for name in four)
    assert num_parameters(packed) == sum(p.numel() for p in whole.parameters())
    assert features_fingerprint(packed) == features_fingerprint(whole)
    unpacked = dict(load(folder, "nf4", unpacked=True).core.named_parameters())
    for name, value in whole.core.named_parameters():
        if name in four:
            lost = (unpacked[name] - value).pow(2).mean() / value.pow(2).mean()
            assert 0.07 < lost.sqrt() < 0.12  # NF4 loses about a tenth of normal weights
        else:
            assert torch.equal(unpacked[name], value)


def test_packed_weights_compute_as_those_that_they_stand_for(tmp_path: Path) -> None:
    folder = write_family(tmp_path, "qwen2_5_vl")
    found = []
    for unpacked in (False, True):
        backbone = load(folder, "nf4", unpacked=unpacked)
        for part in (backbone, backbone.train()):
            torch.manual_seed(0)
            model = VideoLatent(part, Latent(num_blocks=2, latents_per_block=2, relook_heads=2))
            batch = family_batch(part)
            logits = model(batch).answer_logits
            answer_loss(logits, batch.answer.ids, batch.answer.mask).backward()
            found.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert any("lora_B" in name for name in found[0])
    for other in found[1:]:
        torch.testing.assert_close(other, found[0])


def test_a_run_is_trained_saved_and_exported(tmp_path: Path) -> None:
    folder = write_family(tmp_path / "model", "qwen2_5_vl")
    make_video(tmp_path / "a.mp4", 12, 4)
    rows = [{"video": "a.mp4", "question": q, "answer": a} for q, a in QUESTIONS]
    write_jsonl(tmp_path / "t.jsonl", rows)
    recipe = make_recipe(
        folder,
        data="{type: triplets, path: t.jsonl}",
        video="{fps: 2, min_frames: 2, max_frames: 4, min_pixels: 1024, max_pixels: 2048}",
        backbone=f"{{model: '{folder}', quantization: nf4, lora: {{rank: 2, alpha: 4}}}}",
        training="{max_steps: 8, gradient_accumulation_steps: 1, learning_rate: 0.01}",
    )
    run = tmp_path / "run"
    request = TrainRequest(recipe, "", run, tmp_path)
    machine = Machine(tmp_path / "cache")
    assert "would train" in str(train(replace(request, dry_run=True), machine).dry_run)
    assert train(request, machine).steps == 8
    losses = [line["loss"] for line in RunDir(run).read_log()]
    assert losses[-1] < 0.8 * losses[0]
    export_run(ExportRequest(run, tmp_path / "out"))
    logits = []
    for folder in (run, tmp_path / "out"):
        checkpoint = find_checkpoint(folder)
        assert checkpoint is not None
        model = restore_model(checkpoint)
        logits.append(model(family_batch(model.backbone)).answer_logits.detach())
    torch.testing.assert_close(logits[0], logits[1], rtol=1e-3, atol=1e-4)
    plain = AutoModelForImageTextToText.from_pretrained(tmp_path / "out")
    assert not any(is_quantized(parameter) for parameter in plain.parameters())


def test_what_cannot_be_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(families.TEXT, "intermediate_size", 96)
    folder = write_family(tmp_path, "qwen2_vl")
    with pytest.raises(SetupError, match=r"multiples of 64, got 96 of .*down_proj;"):
        load(folder, "nf4")
    monkeypatch.setattr(quantization, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r"pip install 'videolatent-cli\[nf4\]'"):
        load(folder, "nf4")
