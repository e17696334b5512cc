"""Generation: as in training, and as probabilities say."""

from pathlib import Path

import pytest
import torch

from tests.factories import LATENT, make_batch, one_row, small_model
from tests.families import family_batch, load_family
from videolatent_cli.model.batch import Batch, Padded, Prompter
from videolatent_cli.model.generate import generate, score_choices
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.recipe.schema import Latent


def test_training_and_generation_are_one_rollout(family_folder: Path) -> None:
    model = VideoLatent(load_family(family_folder), LATENT).eval()
    batch = family_batch(model.backbone)
    trained, used = model(batch), generate(model, batch, end_of_turn=0)
    assert torch.equal(used.rollout.latents, trained.rollout.latents)
    assert torch.allclose(used.first_logits, trained.answer_logits[:, 0], atol=1e-4)


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


def test_markers_alone_answer_as_a_model_that_has_only_markers(small_folder: Path) -> None:
    model = small_model(small_folder, Latent(num_blocks=0, latents_per_block=0))
    batch = make_batch(model)
    own, markers = generate(model, batch, 3), generate(model, batch, 3, latents="markers")
    assert torch.allclose(own.first_logits, markers.first_logits, atol=1e-5)
    off = generate(model, batch, 3, latents="off")
    assert not torch.allclose(own.first_logits, off.first_logits, atol=1e-3)
