"""Resolved recipes: identity and hash."""

import json

from hypothesis import given
from hypothesis import strategies as st

from videolatent_cli.recipe import digest, is_same, parse_recipe, recipe_hash, resolved
from videolatent_cli.recipe.recipe import Recipe

GOOD = "version: 1\ndata: {type: eventworld}\n"


def test_hash_changes_with_every_value_and_not_with_spelling() -> None:
    same = parse_recipe("data: {type: eventworld}\nversion: 1\n", "other.yaml")
    assert recipe_hash(parse_recipe(GOOD, "r.yaml")) == recipe_hash(same)
    other = parse_recipe(GOOD, "r.yaml", ["training.seed=1"])
    assert recipe_hash(other) != recipe_hash(same)


def test_a_stored_recipe_of_an_earlier_version_is_the_same_with_todays_defaults() -> None:
    recipe = parse_recipe(GOOD, "r.yaml")
    stored = resolved(recipe)
    assert is_same(recipe, stored)
    del stored["training"]["shard_weights"]
    assert is_same(recipe, stored)
    assert not is_same(recipe, stored | {"seen_by_nobody": 1})
    stored["training"]["seed"] = 1
    assert not is_same(recipe, stored)


@given(st.integers(0, 8), st.integers(1, 8), st.floats(0, 2, allow_nan=False))
def test_resolved_recipe_is_the_recipe(blocks: int, per_block: int, weight: float) -> None:
    overrides = [
        f"latent.num_blocks={blocks}",
        f"latent.latents_per_block={per_block}",
        f"loss.alignment_weight={weight!r}",
    ]
    if not blocks:
        overrides += ["loss.bottleneck_weight=0", "loss.diversity_weight=0"]
    recipe = parse_recipe(GOOD, "r.yaml", overrides)
    assert Recipe.model_validate(json.loads(json.dumps(resolved(recipe)))) == recipe


def test_digest_of_json_values_by_hand() -> None:
    import hashlib

    assert (
        digest({"b": 1, "a": [None, "x"]}, 64)
        == hashlib.sha256(b'{"a":[null,"x"],"b":1}').hexdigest()
    )
