"""Accuracies, and which ablations a model can have."""

from pathlib import Path

import pytest

from tests.factories import small_model
from videolatent_cli.data.triplets import Triplet
from videolatent_cli.errors import UsageError
from videolatent_cli.evaluation.evaluate import Judged, accuracy_by_category, check_ablations
from videolatent_cli.evaluation.statistics import Accuracy
from videolatent_cli.recipe.schema import Latent


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
