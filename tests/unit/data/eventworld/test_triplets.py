"""Triplets of EventWorld."""

import pytest

from videolatent_cli.data.eventworld import FAMILIES_3_HOPS_AND_MORE
from videolatent_cli.data.eventworld.triplets import eventworld_triplets, expand_families
from videolatent_cli.errors import RecipeError


def test_options_hold_the_answer_and_vary_in_number() -> None:
    pairs = eventworld_triplets("train", range(60), ["1-2 hops"], 4, options_fraction=0.5)
    triplets = [t for _, found in pairs for t in found]
    listed = [t for t in triplets if t.options]
    assert 0.3 < len(listed) / len(triplets) < 0.7
    assert {len(t.options or ()) for t in listed} == {2, 3, 4, 5, 6}
    assert all(t.answer in (t.options or ()) and t.answer_type == "choice" for t in listed)
    assert all(len(set(t.options or ())) == len(t.options or ()) for t in listed)


def test_families_expand_or_are_named() -> None:
    assert expand_families(["3+ hops"]) == FAMILIES_3_HOPS_AND_MORE
    assert expand_families(["before", "before"]) == ("before",)
    with pytest.raises(RecipeError, match="unknown family, got 'nope'; choose from: all, 1-2 hops"):
        expand_families(["nope"])
