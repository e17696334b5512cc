"""The rollout: identities and gradients on real transformers classes."""

from pathlib import Path
from typing import Literal

import pytest
import torch

from tests.factories import LATENT, make_batch, one_row, small_model
from videolatent_cli.model.batch import Batch
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.objectives import answer_loss
from videolatent_cli.recipe.schema import Latent


def test_a_row_of_a_padded_batch_equals_a_batch_of_one(model: VideoLatent) -> None:
    batch = make_batch(model)
    assert not bool(batch.question.mask.all())
    whole = model(batch)
    for row in range(4):
        alone = model(one_row(batch, row))
        length = alone.answer_logits.shape[1]
        assert torch.allclose(whole.answer_logits[row, :length], alone.answer_logits[0], atol=1e-5)
        assert whole.rollout is not None
        assert alone.rollout is not None
        assert torch.allclose(whole.rollout.latents[row], alone.rollout.latents[0], atol=1e-6)


@pytest.mark.parametrize("blocks", [(0, 0), (0, 3), (1, 1), (3, 2)])
def test_controls_have_their_shapes(small_folder: Path, blocks: tuple[int, int]) -> None:
    latent = Latent(num_blocks=blocks[0], latents_per_block=blocks[1], relook_heads=2)
    model = small_model(small_folder, latent)
    out = model(make_batch(model), bottleneck="latents" if latent.num_latents else None)
    assert out.rollout is not None
    assert out.rollout.latents.shape == (4, latent.num_latents, 32)
    assert (out.bottleneck_logits is not None) == bool(latent.num_latents)


@pytest.mark.parametrize("positions", ["shared", "own"])
def test_gradient_through_the_state_equals_an_uncached_reference(
    small_folder: Path, positions: Literal["shared", "own"]
) -> None:
    latent = LATENT.model_copy(update={"positions": positions})
    model = small_model(small_folder, latent).double()
    assert model.injection is not None
    model.injection.float()
    torch.nn.init.normal_(model.injection.down.weight, std=0.1)
    batch = one_row(make_batch(model), 0)
    answer_loss(model(batch).answer_logits, batch.answer.ids, batch.answer.mask).backward()
    cached = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    _uncached_loss(model, batch).backward()
    for name, grad in cached.items():
        other = dict(model.named_parameters())[name].grad
        assert other is not None, name
        # float32 inside the injection module bounds the agreement
        assert torch.allclose(grad, other, rtol=1e-3, atol=1e-6), name


def _uncached_loss(model: VideoLatent, batch: Batch) -> torch.Tensor:
    """The loss with the whole sequence run again from the start for each block."""
    backbone, injection = model.backbone, model.injection
    assert injection is not None
    question = model.prefill(batch)
    features = model.features(batch.videos)
    visual = batch.video_prompt.ids == backbone.config.video_token_id
    head = backbone.embed(batch.video_prompt.ids).masked_scatter(
        visual[..., None], features[0].embeds
    )
    positions, delta = backbone.core.model.get_rope_index(
        batch.video_prompt.ids,
        mm_token_type_ids=visual.int() * 2,
        video_grid_thw=torch.tensor([features[0].grid]),
        second_per_grid_ts=[features[0].seconds_per_group],
    )

    assert model.latent is not None
    step = int(model.latent.positions == "own")
    questions = question.embeds.shape[1]

    def run(rest: torch.Tensor, answers: int = 0) -> torch.Tensor:
        moves = torch.ones(rest.shape[1], dtype=torch.long)
        moves[questions : len(moves) - answers] = step
        flat = (head.shape[1] + int(delta) + moves.cumsum(0) - 1).expand(3, 1, -1)
        out = backbone.language_model(
            inputs_embeds=torch.cat((head, rest), 1),
            position_ids=torch.cat((positions, flat), 2),
            use_cache=False,
        )
        hidden: torch.Tensor = out.last_hidden_state
        return hidden

    opening = torch.cat((injection.start, injection.slots))[None].to(question.embeds)
    rest = torch.cat((question.embeds, opening), 1)
    for block in range(injection.num_blocks):
        hidden = run(rest)[:, -injection.latents_per_block :]
        z, _ = injection(hidden, question.memory, block)
        rest = torch.cat((rest, z.to(rest)), 1)
    end = injection.end[None].to(rest)
    answers = backbone.embed(batch.answer.ids[:, :-1])
    count = answers.shape[1]
    hidden = run(torch.cat((rest, end, answers), 1), count)[:, -count - 1 :]
    return answer_loss(backbone.logits(hidden), batch.answer.ids, batch.answer.mask)


def test_detach_blocks_cuts_the_gradient_between_blocks(small_folder: Path) -> None:
    grads = {}
    for kind in ("full", "detach_blocks"):
        latent = LATENT.model_copy(update={"rollout_gradient": kind})
        model = small_model(small_folder, latent)
        rollout = model.roll_out(model.prefill(make_batch(model)))
        rollout.latents[:, -2:].sum().backward()
        assert model.injection is not None
        slots = model.injection.slots.grad
        grads[kind] = 0.0 if slots is None else float(slots.norm())
    assert grads["full"] > 0
    assert grads["detach_blocks"] == 0


@pytest.mark.parametrize("num_blocks", [0, 2])
@pytest.mark.parametrize("positions", ["shared", "own"])
def test_an_answer_run_with_the_end_marker_is_one_run_after_it(
    model: VideoLatent, num_blocks: int, positions: Literal["shared", "own"]
) -> None:
    latent = LATENT.model_copy(update={"num_blocks": num_blocks, "positions": positions})
    model = VideoLatent(model.backbone, latent).eval()
    batch = make_batch(model)
    answers = model.backbone.embed(batch.answer.ids)
    layers = model.layers_at([0.5, 1.0])
    after = model.roll_out(model.prefill(batch), layers)
    together = model.roll_out(model.prefill(batch), layers, following=answers[:, :-1])
    two = model.answer_logits(after.end_hidden, answers, after.state)
    one = model.backbone.logits(together.answer_hidden)
    assert one.shape == two.shape
    assert torch.allclose(one, two, atol=1e-5)
    assert torch.equal(together.latent_state.next_position, after.latent_state.next_position)
    assert torch.equal(together.state.next_position, after.state.next_position)
    for (k, v), (ok, ov) in zip(together.state.layers, after.state.layers, strict=True):
        assert torch.allclose(k, ok, atol=1e-5)
        assert torch.allclose(v, ov, atol=1e-5)
    for a, b in zip(together.by_layer, after.by_layer, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_think_without_latents_says_so(small_folder: Path) -> None:
    model = small_model(small_folder, None)
    with pytest.raises(ValueError, match="this model has no latents"):
        model.roll_out(model.prefill(make_batch(model)))
