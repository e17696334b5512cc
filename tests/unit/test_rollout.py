"""Backbone, injection, rollout: identities and gradients on real transformers classes."""

import dataclasses
from pathlib import Path
from typing import Literal

import pytest
import torch

from tests.factories import frame_batch, make_batch, one_row, small_backbone, small_model
from videolatent_cli.model.batch import Batch, Padded, Prompter
from videolatent_cli.model.generate import generate, score_choices
from videolatent_cli.model.injection import LatentInjection, Memory, make_memory
from videolatent_cli.model.rollout import Rollout
from videolatent_cli.model.teacher import TeacherWeights
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.objectives import answer_loss
from videolatent_cli.recipe.schema import Latent

LATENT = Latent(num_blocks=2, latents_per_block=2, relook_heads=2)


@pytest.fixture
def model(small_folder: Path) -> VideoLatent:
    return small_model(small_folder, LATENT)


def test_backbone_equals_one_plain_forward_of_transformers(small_folder: Path) -> None:
    backbone = small_backbone(small_folder)
    model = VideoLatent(backbone, None).eval()
    batch = one_row(make_batch(model), 1)
    ours = model(batch).answer_logits
    ids = torch.cat((batch.video_prompt.ids, batch.question.ids, batch.answer.ids), 1)
    features = batch.videos[0]
    embeds = backbone.embed(ids).masked_scatter(
        (ids == backbone.config.video_token_id)[..., None], features.embeds
    )
    positions, _ = backbone.core.model.get_rope_index(
        ids,
        mm_token_type_ids=(ids == backbone.config.video_token_id).int() * 2,
        video_grid_thw=torch.tensor([features.grid]),
        second_per_grid_ts=[features.seconds_per_group],
    )
    theirs = backbone.core(inputs_embeds=embeds, position_ids=positions, use_cache=False).logits
    length = batch.answer.ids.shape[1]
    assert torch.allclose(ours, theirs[:, -length - 1 : -1], atol=1e-5)


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


def test_training_and_generation_are_one_rollout(model: VideoLatent) -> None:
    batch = make_batch(model)
    trained = model(batch)
    used = generate(model, batch, end_of_turn=3)
    assert used.rollout is not None
    assert trained.rollout is not None
    assert torch.equal(used.rollout.latents, trained.rollout.latents)
    assert torch.allclose(used.first_logits, trained.answer_logits[:, 0], atol=1e-5)


def test_generation_follows_the_teacher_forced_argmax(model: VideoLatent) -> None:
    batch = make_batch(model)
    out = generate(model, batch, end_of_turn=-1, max_new_tokens=3)
    answer = Padded(torch.tensor(out.token_ids), torch.ones(4, 3, dtype=torch.bool))
    forced = model(Batch(**{**batch.__dict__, "answer": answer})).answer_logits
    assert forced.argmax(-1).tolist() == out.token_ids


def test_latents_off_is_the_plain_backbone(small_folder: Path, model: VideoLatent) -> None:
    batch = make_batch(model)
    plain = VideoLatent(model.backbone, None).eval()
    off = generate(model, batch, end_of_turn=3, latents="off")
    assert torch.allclose(off.first_logits, plain(batch).answer_logits[:, 0], atol=1e-5)
    assert off.rollout is None


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


def test_injection_starts_at_the_scale_of_embeddings_and_with_its_gates_closed() -> None:
    torch.manual_seed(0)
    injection = LatentInjection(LATENT, torch.randn(32), embedding_rms=0.05)
    hidden = 7 * torch.randn(3, 2, 32)
    memory = make_memory_of(3)
    z, weights = injection(hidden, memory, 0)
    assert torch.allclose(z.square().mean(-1).sqrt(), torch.tensor(0.05), atol=1e-4)
    without, _ = injection(hidden, make_memory_of(3, seed=5), 0)
    assert torch.equal(z, without)
    assert weights is not None
    assert torch.allclose(weights.sum(-1), torch.ones(3, 2))


def make_memory_of(rows: int, seed: int = 0) -> Memory:
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(rows, 5, 32, generator=generator)
    mask = torch.ones(rows, 5, dtype=torch.bool)
    mask[0, 3:] = False
    return Memory(vectors, mask, torch.arange(5).expand(rows, -1) * mask)


def test_relook_never_looks_at_padding_and_needs_a_memory() -> None:
    injection = LatentInjection(LATENT, torch.randn(32), 0.05)
    _, weights = injection(torch.randn(3, 2, 32), make_memory_of(3), 1)
    assert weights is not None
    assert float(weights[0, :, 3:].detach().abs().max()) == 0.0
    with pytest.raises(ValueError, match="a re-look needs a memory, got None"):
        injection(torch.randn(3, 2, 32), None, 0)


def test_memory_of_frames_is_the_spatial_mean_and_has_no_gradient(model: VideoLatent) -> None:
    features = model.backbone.encode_video(frame_batch(0, 4))
    frames, tokens = make_memory([features], "frames"), make_memory([features], "tokens")
    assert frames is not None
    assert tokens is not None
    assert frames.vectors.shape == (1, 2, 32)
    assert tokens.vectors.shape == (1, 32, 32)
    assert not frames.vectors.requires_grad
    assert make_memory([features], "none") is None


@pytest.mark.parametrize("relook", ["frames", "tokens"])
def test_attention_counts_frame_groups_whatever_the_size_of_the_video(
    model: VideoLatent, relook: str
) -> None:
    long = model.backbone.encode_video(frame_batch(0, 8))
    short = model.backbone.encode_video(frame_batch(1, 4))
    short = dataclasses.replace(short, embeds=short.embeds[::4], grid=(2, 4, 4))
    memory = make_memory([long, short], relook)
    assert memory is not None
    weights = torch.rand(2, 3, memory.vectors.shape[1]) * memory.mask[:, None]
    looked = memory.by_group(weights)
    assert looked.shape == (2, 3, 4)
    assert looked[1, :, 2:].abs().max() == 0
    assert torch.allclose(looked.sum(-1), weights.sum(-1))
    per_group = int(memory.mask[1].sum()) // 2
    assert torch.allclose(looked[1, :, 0], weights[1, :, :per_group].sum(-1))


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


@pytest.mark.parametrize("view", ["latents", "question"])
def test_bottleneck_sees_the_video_only_through_the_latents(
    model: VideoLatent, view: Literal["latents", "question"]
) -> None:
    batch = make_batch(model, (0,))
    answers = model.backbone.embed(batch.answer.ids)
    rollout = model.roll_out(model.prefill(batch), following=answers[:, :-1])
    changed = model.roll_out(model.prefill(make_batch(model, (7,))))

    def blind(seen: Rollout, asked: Batch) -> torch.Tensor:
        state = seen.latent_state
        assert state.length == LATENT.num_latents
        if view == "question":
            state = model._question_alone(asked, seen).joined(state)
        return model._bottleneck_logits(asked, state, answers)

    same = model(batch, bottleneck=view).bottleneck_logits
    assert torch.equal(same, blind(rollout, batch))
    assert not torch.allclose(same, blind(changed, batch))
    ids = batch.question.ids.flip(1)
    other = dataclasses.replace(batch, question=Padded(ids, batch.question.mask))
    assert torch.allclose(same, blind(rollout, other)) == (view == "latents")


def test_teacher_has_no_gradient_and_differs_from_the_student(model: VideoLatent) -> None:
    batch = make_batch(model)
    layers = model.layers_at([0.5, 1.0])
    assert layers == (1, 2)
    teacher = TeacherWeights(model.backbone, "current", 0.9)
    out = model(batch, teacher, layers)
    assert out.rollout is not None
    for student, states in zip(out.rollout.by_layer, out.teacher_by_layer, strict=True):
        assert states.shape == student.shape == (4, LATENT.num_latents + 1, 32)
        assert not states.requires_grad
        assert student.requires_grad
        assert not torch.allclose(states, student, atol=1e-3)


def test_teacher_without_a_hint_would_be_the_student(model: VideoLatent) -> None:
    batch = make_batch(model)
    empty = Padded(batch.teacher_hint.ids, torch.zeros_like(batch.teacher_hint.mask))
    silent = Batch(**{**batch.__dict__, "teacher_hint": empty})
    for kind in ("current", "base"):
        teacher = TeacherWeights(model.backbone, kind, 0.9)
        out = model(silent, teacher, (1, 2))
        assert out.rollout is not None
        for student, states in zip(out.rollout.by_layer, out.teacher_by_layer, strict=True):
            assert torch.allclose(student, states, atol=1e-4)


def test_teacher_weights_base_stays_ema_follows_and_the_model_is_given_back(
    small_folder: Path,
) -> None:
    backbone = small_backbone(small_folder)
    name, parameter = next((n, p) for n, p in backbone.named_parameters() if p.requires_grad)
    start = parameter.detach().clone()
    base = TeacherWeights(backbone, "base", 0.9)
    ema = TeacherWeights(backbone, "ema", 0.9)
    with torch.no_grad():
        parameter.add_(1.0)
    for teacher in (base, ema):
        teacher.update()
    assert torch.equal(base.weights[name], start)
    assert torch.allclose(ema.weights[name], start + 0.1)
    with base.applied():
        assert torch.equal(parameter, start)
    assert torch.allclose(parameter, start + 1.0)


def test_choice_probabilities_equal_the_product_of_token_probabilities(model: VideoLatent) -> None:
    batch = one_row(make_batch(model), 0)
    prompter = Prompter(model.backbone)
    out = generate(model, batch, prompter.end_of_turn)
    choices = ["red", "red circle", "left"]
    scores = score_choices(model, prompter, out, 0, choices)
    assert sum(scores) == pytest.approx(1.0)
    totals = []
    for text in choices:
        ids = torch.tensor(prompter.answers([text]))
        forced = Batch(**{**batch.__dict__, "answer": Padded(ids, torch.ones_like(ids).bool())})
        chances = model(forced).answer_logits.log_softmax(-1)
        totals.append(float(chances.gather(-1, ids[..., None]).sum().detach()))
    expected = torch.tensor(totals).softmax(0).tolist()
    assert scores == pytest.approx(expected, abs=1e-5)


def test_think_without_latents_says_so(small_folder: Path) -> None:
    model = small_model(small_folder, None)
    with pytest.raises(ValueError, match="this model has no latents"):
        model.roll_out(model.prefill(make_batch(model)))


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
