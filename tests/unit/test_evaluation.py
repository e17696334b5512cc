"""Statistics by hand, scoring, ablations on models built to need their latents or not."""

from pathlib import Path

import pytest
import torch

from tests.factories import make_batch, small_model
from videolatent_cli.data.triplets import Triplet
from videolatent_cli.errors import UsageError
from videolatent_cli.evaluation.ablation import Replacement, other_rows, replacement
from videolatent_cli.evaluation.evaluate import Judged, accuracy_by_category, check_ablations
from videolatent_cli.evaluation.scorers import is_strictly_right, judge, normalise
from videolatent_cli.evaluation.statistics import Accuracy, mcnemar_p, paired_difference
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


def test_mcnemar_by_hand() -> None:
    # 1 against 6 disagreements: 2 (C(7,0) + C(7,1)) / 2^7
    assert mcnemar_p(6, 1) == mcnemar_p(1, 6) == pytest.approx(2 * 8 / 128)
    assert mcnemar_p(0, 0) == 1.0
    assert mcnemar_p(3, 3) == 1.0
    assert 0 < mcnemar_p(1500, 1000) < 1e-20


def test_paired_difference_by_hand() -> None:
    a, b = [True, True, True, False], [True, False, False, True]
    found = paired_difference(a, b, ["v", "v", "w", "w"])
    assert (found.mean, found.only_a, found.only_b, found.total) == (0.25, 2, 1, 4)
    # Two videos with gains 1/2 and 0: the bootstrap means are 0, 1/4 and 1/2.
    assert (found.low, found.high) == (0.0, 0.5)
    same = paired_difference(a, a, ["v"] * 4)
    assert (same.mean, same.low, same.high, same.p) == (0, 0, 0, 1)
    with pytest.raises(ValueError, match="paired_difference: 0, 0 and 0 questions"):
        paired_difference([], [], [])


def test_questions_on_one_video_widen_the_interval() -> None:
    a = [True] * 40 + [False] * 20
    b = [False] * 60
    apart = paired_difference(a, b, [str(i) for i in range(60)])
    together = paired_difference(a, b, [str(i // 10) for i in range(60)])
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_verdicts() -> None:
    text = Triplet(video="a", question="q", answer="The red one.", answers=["scarlet"])
    assert normalise("A  Red-ish, one!") == "redish one"
    for answer in ("red one", "Scarlet", "The correct answer is: red one", "it moved ; so scarlet"):
        assert judge(text, answer) == "right", answer
    assert is_strictly_right(text, "red one")
    assert not is_strictly_right(text, "it is so scarlet")
    assert judge(text, "blue one") == "wrong"
    assert judge(text, "") == "unparsed"

    number = Triplet(video="a", question="q", answer="3")
    assert [judge(number, said) for said in ("3", "so 3", "3.0", "there are 3 of them")] == [
        "right"
    ] * 4
    assert [judge(number, said) for said in ("4", "-3")] == ["wrong"] * 2
    assert [judge(number, said) for said in ("three", "3 or 4")] == ["unparsed"] * 2

    yes = Triplet(video="a", question="q", answer="yes")
    assert judge(yes, "Yes, it did.") == "right"
    assert judge(yes, "no") == "wrong"
    assert judge(yes, "yes and no") == judge(yes, "red") == "unparsed"

    options = ["red circle", "a red circle at the top", "blue"]
    choice = Triplet(video="a", question="q", answer="red circle", options=options)
    for answer in ("A", "(A)", "a) red circle", "the red circle, I think"):
        assert judge(choice, answer) == "right", answer
    assert judge(choice, "(C)") == judge(choice, "it is blue") == "wrong"
    assert judge(choice, "red circle at the top") == "wrong"
    assert judge(choice, "(Z)") == judge(choice, "blue or red circle") == "unparsed"


def test_accuracy_by_category_counts_each_name() -> None:
    one = Triplet(video="a", question="q", answer="a", category=["x", "hops=1"])
    other = Triplet(video="a", question="q", answer="a", category=["x"])
    judged = [Judged(one, "a", "right", True), Judged(other, "b", "wrong", False)]
    assert accuracy_by_category(judged) == {"hops=1": Accuracy(1, 1), "x": Accuracy(1, 2)}


def test_a_model_without_latents_has_none_to_replace(small_folder: Path) -> None:
    plain = small_model(small_folder, None)
    with pytest.raises(UsageError, match=r"has no latents to replace, got \['off', 'mean'\]"):
        check_ablations(plain, ["on", "off", "mean"])
    markers = small_model(small_folder, Latent(num_blocks=0, latents_per_block=0))
    check_ablations(markers, ["on", "off", "markers"])
    with pytest.raises(UsageError, match=r"got \['noise'\]"):
        check_ablations(markers, ["noise"])


def test_markers_alone_answer_as_a_model_that_has_only_markers(small_folder: Path) -> None:
    model = small_model(small_folder, Latent(num_blocks=0, latents_per_block=0))
    batch = make_batch(model)
    own, markers = generate(model, batch, 3), generate(model, batch, 3, latents="markers")
    assert torch.allclose(own.first_logits, markers.first_logits, atol=1e-5)
    off = generate(model, batch, 3, latents="off")
    assert not torch.allclose(own.first_logits, off.first_logits, atol=1e-3)


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
    with pytest.raises(
        UsageError, match=r"--ablate: unknown, got \['nose'\]; choose from: on, off"
    ):
        parse_ablations(["nose"])
