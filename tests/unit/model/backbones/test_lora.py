"""LoRA: in the decoder only, and at first without effect."""

from pathlib import Path

import torch

from tests.factories import LATENT, make_batch, small_backbone, small_model
from tests.families import family_batch, load_family
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.objectives import answer_loss


def test_lora_learns_in_the_decoder_only_and_gradients_reach_all_of_it(family_folder: Path) -> None:
    model = VideoLatent(load_family(family_folder, train="lora"), LATENT)
    batch = family_batch(model.backbone)
    out = model(batch)
    answer_loss(out.answer_logits, batch.answer.ids, batch.answer.mask).backward()
    learns = {n for n, p in model.backbone.named_parameters() if p.requires_grad}
    assert learns
    assert all("lora_" in name and f".{model.backbone.decoder}." in name for name in learns)
    moved = [p.grad.abs().max() for n, p in model.backbone.named_parameters() if "lora_B" in n]
    assert min(moved) > 0


def test_lora_stays_in_the_language_model_and_only_it_learns(small_folder: Path) -> None:
    backbone = small_backbone(small_folder, train="lora")
    learning = [n for n, p in backbone.named_parameters() if p.requires_grad]
    assert learning
    assert all("language_model" in n and "lora_" in n for n in learning)
    frozen = small_backbone(small_folder, train="frozen")
    assert not [n for n, p in frozen.named_parameters() if p.requires_grad]


def test_lora_starts_as_the_base_model(small_folder: Path) -> None:
    base = small_model(small_folder, LATENT)
    lora = small_model(small_folder, LATENT, train="lora")
    lora.injection = base.injection
    batch = make_batch(base)
    assert torch.allclose(base(batch).answer_logits, lora(batch).answer_logits, atol=1e-5)
