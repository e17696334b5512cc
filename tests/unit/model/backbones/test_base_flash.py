"""The decoder sees the same under FlashAttention as under SDPA, whatever the batch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.factories import one_row
from tests.families import FAMILIES, write_family
from tests.flash_reference import use_flash_attention
from videolatent_cli.model.backbones.base import Backbone
from videolatent_cli.model.backbones.load import load_backbone
from videolatent_cli.model.batch import Batch, Example, Prompter
from videolatent_cli.model.generate import generate
from videolatent_cli.model.teacher import TeacherWeights
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.recipe.schema import Backbone as BackboneRecipe
from videolatent_cli.recipe.schema import Latent
from videolatent_cli.video.frames import FrameBatch

SHARED = Latent(num_blocks=2, latents_per_block=2, relook_heads=2)


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_family(tmp_path_factory.mktemp(request.param), request.param)


def load(folder: Path) -> Backbone:
    return load_backbone(BackboneRecipe(model=str(folder), train="full")).eval()


def make_batch(backbone: Backbone, rows: str) -> Batch:
    """Questions about videos: one; two of one length; or four of different lengths."""
    width, height = backbone.geometry.frame_size_px or (48, 32)
    noise = np.random.default_rng(0)
    with torch.no_grad():
        videos = [
            backbone.encode_video(
                FrameBatch(
                    noise.integers(0, 256, (count, height, width, 3), dtype=np.uint8),
                    np.arange(count) / 2,
                )
            )
            for count in (4, 2)
        ]
    # Questions of one length: nothing is padded within a video.
    pairs = [Example("What moved first?", "a cup"), Example("Who moved last ??", "a cat")]
    prompter = Prompter(backbone)
    if rows == "one row":
        return one_row(prompter.collate(videos[:1], [pairs]), 1)
    if rows == "two rows":
        return prompter.collate(videos[:1], [pairs])
    longer = Example("Where did it go, and when?", "to the left")
    return prompter.collate(videos, [[pairs[0], longer], [longer, pairs[1]]])


def outputs(model: VideoLatent, batch: Batch) -> dict[str, Tensor]:
    """Everything that training and answering read from a batch."""
    teacher = TeacherWeights(model.backbone, "current", 0.0)
    with torch.no_grad():
        out = model(batch, teacher, (1, 2), bottleneck="question")
        used = generate(model, batch, end_of_turn=-1, max_new_tokens=3)
    assert out.rollout is not None
    assert out.bottleneck_logits is not None
    return {
        "answer": out.answer_logits[batch.answer.mask],
        "bottleneck": out.bottleneck_logits[batch.answer.mask],
        "teacher": torch.stack(out.teacher_by_layer),
        "latents": out.rollout.latents,
        "first token": used.first_logits,
        "likelihood": torch.tensor(used.log_likelihoods),
    }


@pytest.mark.parametrize("positions", ["shared", "own"])
@pytest.mark.parametrize("rows", ["one row", "two rows", "padded rows"])
def test_flash_attention_sees_what_sdpa_sees(
    folder: Path, rows: str, positions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = load(folder)
    torch.manual_seed(0)
    model = VideoLatent(backbone, SHARED.model_copy(update={"positions": positions})).eval()
    batch = make_batch(backbone, rows)
    padded = not bool(batch.video_prompt.mask.all() and batch.question.mask.all())
    assert padded == (rows == "padded rows")
    plain = outputs(model, batch)
    called = use_flash_attention(backbone, monkeypatch)
    found = outputs(model, batch)
    assert called
    for name, wanted in plain.items():
        assert torch.allclose(found[name], wanted, rtol=1e-3, atol=1e-4), name


def test_a_single_row_with_padding_is_seen_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row of a batch keeps the padding that the batch gave it."""
    backbone = load(folder)
    embeds = torch.randn(1, 9, backbone.dim)
    mask = torch.tensor([[False, False, *[True] * 7]])
    with torch.no_grad():
        state = backbone.extend(embeds, backbone.empty_state(1), mask).state
        plain = backbone.extend(embeds[:, :3], state).hidden
        use_flash_attention(backbone, monkeypatch)
        found = backbone.extend(embeds[:, :3], state).hidden
    assert torch.allclose(found, plain, rtol=1e-3, atol=1e-4)


def test_parts_of_a_prefix_are_seen_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`training.recompute_prefix` runs a prefix in parts, each on the state of those before."""
    monkeypatch.setattr("videolatent_cli.model.backbones.recompute.PART", 5)
    backbone = load(folder)
    torch.manual_seed(0)
    model = VideoLatent(backbone, SHARED).eval()
    batch = make_batch(backbone, "one row")
    plain = model(batch).answer_logits
    model.recompute_prefix = True
    use_flash_attention(backbone, monkeypatch)
    assert torch.allclose(model(batch).answer_logits, plain, rtol=1e-3, atol=1e-4)
