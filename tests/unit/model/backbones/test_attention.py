"""Attention kernels: the choice, and equal answers and gradients."""

import os
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cosine_similarity

from tests.factories import LATENT
from tests.families import family_batch
from videolatent_cli.errors import SetupError
from videolatent_cli.model.backbones import attention
from videolatent_cli.model.backbones import load as load_module
from videolatent_cli.model.backbones.attention import _obstacle, choose_attention, explain_attention
from videolatent_cli.model.backbones.load import load_backbone
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.objectives import answer_loss
from videolatent_cli.recipe.schema import Backbone as BackboneRecipe


def answered(
    family_folder: Path, kernel: str, device: str, dtype: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of the answers through the rollout, and all gradients in one row."""
    recipe = BackboneRecipe(model=str(family_folder), train="full", attention=kernel, dtype=dtype)
    backbone = load_backbone(recipe, device)
    backbone.make_trainable(recipe)
    torch.manual_seed(0)
    model = VideoLatent(backbone, LATENT).eval()
    batch = family_batch(backbone).to(backbone.device)
    out = model(batch, bottleneck="question")
    assert out.bottleneck_logits is not None
    losses = [
        answer_loss(logits, batch.answer.ids, batch.answer.mask)
        for logits in (out.answer_logits, out.bottleneck_logits)
    ]
    torch.stack(losses).sum().backward()
    learned = [p.grad.float().flatten() for p in model.parameters() if p.grad is not None]
    return out.answer_logits.detach().float()[batch.answer.mask], torch.cat(learned)


@pytest.mark.gpu
@pytest.mark.skipif(
    not torch.cuda.is_available() and "REQUIRE_GPU" not in os.environ, reason="there is no GPU"
)
@pytest.mark.parametrize("kernel", ["flash_attention_2", "flash_attention_3", "flash_attention_4"])
def test_flash_attention_answers_and_learns_as_sdpa(family_folder: Path, kernel: str) -> None:
    if _obstacle(kernel, "cuda") and kernel != "flash_attention_2":
        pytest.skip(f"{kernel}: {_obstacle(kernel, 'cuda')}")
    plain, found = (answered(family_folder, name, "cuda", "bfloat16") for name in ("sdpa", kernel))
    for wanted, got in zip(plain, found, strict=True):
        assert cosine_similarity(got, wanted, dim=0 if wanted.ndim == 1 else -1).min() > 0.98
    assert (found[0] - plain[0]).abs().max() < 0.05 * plain[0].abs().max()


def test_another_kernel_answers_and_learns_as_sdpa(
    family_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What runs on any machine of the test above: attention written out, in float32."""
    plain = answered(family_folder, "sdpa", "cpu", "float32")
    monkeypatch.setattr(load_module, "choose_attention", lambda *_: "eager")
    found = answered(family_folder, "auto", "cpu", "float32")
    for wanted, got in zip(plain, found, strict=True):
        assert torch.allclose(got, wanted, rtol=1e-3, atol=1e-5)


def test_attention_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_attention("auto", "cpu") == "sdpa"
    assert choose_attention("sdpa", "cpu") == "sdpa"
    with pytest.raises(SetupError, match="flash_attention_2 cannot run, it needs a CUDA"):
        choose_attention("flash_attention_2", "cpu")
    assert explain_attention("sdpa", "cpu") == "sdpa, as set in the recipe"
    assert explain_attention("auto", "cpu") == (
        "sdpa (flash_attention_4, flash_attention_3, flash_attention_2: "
        "it needs a CUDA GPU, got device 'cpu')"
    )
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    attention._obstacle.cache_clear()
    with pytest.raises(SetupError, match="'flash-attn' is not installed: pip install"):
        choose_attention("flash_attention_2", "cuda")
    assert choose_attention("auto", "cuda") == "sdpa"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 0))
    attention._obstacle.cache_clear()
    with pytest.raises(SetupError, match=r"it needs compute capability 8\.0"):
        choose_attention("flash_attention_2", "cuda")
    attention._obstacle.cache_clear()
