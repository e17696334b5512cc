"""Statistics by hand, scoring, ablations on models built to need their latents or not."""

from pathlib import Path

import pytest
import torch

from tests.factories import make_batch, small_model
from videolatent_cli.data.triplets import Triplet
from videolatent_cli.errors import RecipeError
from videolatent_cli.evaluation.ablation import Replacement, other_rows, replacement
from videolatent_cli.evaluation.evaluate import Judged, accuracy_by_category
from videolatent_cli.evaluation.scorers import is_right, normalise
from videolatent_cli.evaluation.statistics import Accuracy
from videolatent_cli.model.generate import generate
from videolatent_cli.pipeline.evaluate import parse_ablations
from videolatent_cli.recipe.schema import Latent


def test_wilson_interval_by_hand() -> None:
    # 8 of 10: the textbook values of the score interval
    low, high = Accuracy(8, 10).interval()
    assert (round(low, 4), round(high, 4)) == (0.4902, 0.9433)
    assert Accuracy(0, 10).interval()[0] == pytest.approx(0.0, abs=1e-12)
    assert Accuracy(10, 10).interval()[1] == pytest.approx(1.0)
    assert Accuracy(0, 0).interval() == (0.0, 1.0)
    assert Accuracy(3, 4).document()["accuracy"] == 0.75
    assert Accuracy(0, 0).document()["accuracy"] == 0.0


def test_scoring() -> None:
    triplet = Triplet(video="a", question="q", answer="The red one.", answers=["scarlet"])
    assert normalise("A  Red-ish, one!") == "redish one"
    assert is_right(triplet, "red one")
    assert is_right(triplet, "Scarlet")
    assert not is_right(triplet, "blue one")
    assert not is_right(triplet, "")


def test_accuracy_by_category_counts_each_name() -> None:
    one = Triplet(video="a", question="q", answer="a", category=["x", "hops=1"])
    other = Triplet(video="a", question="q", answer="a", category=["x"])
    found = accuracy_by_category([Judged(one, "a", True), Judged(other, "b", False)])
    assert found == {"hops=1": Accuracy(1, 1), "x": Accuracy(1, 2)}


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


def test_ablation_names() -> None:
    assert parse_ablations(["shuffle", "off"]) == ["on", "off", "shuffle"]
    with pytest.raises(RecipeError, match=r"--ablate: unknown, got \['nose'\]; choose of: on, off"):
        parse_ablations(["nose"])
