"""Latents that are replaced, on models built to need them or not."""

from pathlib import Path

import pytest
import torch

from tests.factories import make_batch, small_model
from videolatent_cli.evaluation.ablation import Replacement, other_rows, replacement
from videolatent_cli.model.generate import generate
from videolatent_cli.recipe.schema import Latent


def test_other_rows_have_another_video_and_another_answer() -> None:
    answers, videos = ["red", "red", "up", "up", "no"], [0, 0, 0, 1, 1]
    rows = other_rows(answers, videos, seed=0)
    for row, other in enumerate(rows):
        assert videos[other] != videos[row]
        assert answers[other] != answers[row]
    assert other_rows(["a", "a"], [0, 1], 0) == [1, 0]
    assert other_rows(["a"], [0], 0) == [0]


def test_replacements() -> None:
    own, mean = torch.randn(3, 4, 8), torch.randn(4, 8)
    assert replacement("zero", own, mean, [], 0)(own[:, :2]).abs().max() == 0
    taken = replacement("mean", own, mean, [], 0)
    assert torch.equal(taken(own[:, :2]), mean[:2].expand(3, 2, 8))
    assert torch.equal(taken(own[:, 2:]), mean[2:].expand(3, 2, 8))
    assert torch.equal(replacement("shuffle", own, mean, [1, 2, 0], 0)(own), own[[1, 2, 0]])
    noise = replacement("noise", own, mean, [], 0)(own)
    assert not torch.allclose(noise, own)
    assert 0.3 < float(noise.square().mean() / own.square().mean()) < 3
    with pytest.raises(ValueError, match="ablation off replaces nothing"):
        replacement("off", own, mean, [], 0)


def test_replacing_latents_by_themselves_changes_nothing(small_folder: Path) -> None:
    model = small_model(small_folder, Latent(num_blocks=2, latents_per_block=2, relook_heads=2))
    batch = make_batch(model)
    own = generate(model, batch, 3)
    assert own.rollout is not None
    same = generate(model, batch, 3, replace=Replacement(own.rollout.latents))
    assert torch.equal(same.first_logits, own.first_logits)


def test_latents_that_matter_and_latents_that_do_not(small_folder: Path) -> None:
    latent = Latent(num_blocks=2, latents_per_block=2, relook_heads=2)
    model = small_model(small_folder, latent)
    batch = make_batch(model, (0, 1, 2))
    own = generate(model, batch, 3)
    assert own.rollout is not None
    swap = Replacement(own.rollout.latents.roll(1, 0))
    swapped = generate(model, batch, 3, replace=swap)
    assert not torch.allclose(swapped.first_logits, own.first_logits, atol=1e-4)
    assert model.injection is not None
    with torch.no_grad():
        model.injection.scale.zero_()  # latents of zeros, whatever the video: a dead module
    dead = generate(model, batch, 3)
    assert dead.rollout is not None
    same = generate(model, batch, 3, replace=Replacement(dead.rollout.latents.roll(1, 0)))
    assert torch.equal(same.first_logits, dead.first_logits)
