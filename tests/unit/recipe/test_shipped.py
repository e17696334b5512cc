"""Shipped recipes."""

import pytest

from videolatent_cli.errors import UsageError
from videolatent_cli.recipe import load_recipe, resolved
from videolatent_cli.recipe.shipped import shipped_recipe, shipped_recipes


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_shipped_recipes_load_and_have_a_header(name: str) -> None:
    path = shipped_recipe(name)
    load_recipe(path)
    head = path.read_text(encoding="utf-8").split("version:")[0]
    assert head.startswith(f"# {name.rsplit('/', maxsplit=1)[-1]}:")
    assert f"vl train recipes/{name}.yaml" in head


def test_there_are_enough_shipped_recipes_and_unknown_ones_are_named() -> None:
    assert {"quickstart", "quickstart_sft", "tiny_backbone"} <= shipped_recipes().keys()
    with pytest.raises(UsageError, match=r"unknown name, got 'nope'; choose from: .*quickstart"):
        shipped_recipe("nope")


def test_quickstart_twins_differ_in_the_latents_only() -> None:
    ours, plain = (
        resolved(load_recipe(shipped_recipe(n))) for n in ("quickstart", "quickstart_sft")
    )
    assert {key for key in ours if ours[key] != plain[key]} <= {"latent", "loss"}


def test_shipped_recipes_are_listed_by_interest_to_a_new_user() -> None:
    names = list(shipped_recipes())
    starts = ("quickstart", "eventworld/", "tiny_backbone")
    released = sorted(name for name in names if not name.startswith(starts))
    quickstart, *research = [
        sorted(name for name in names if name.startswith(start)) for start in starts
    ]
    assert quickstart == ["quickstart", "quickstart_sft"]
    assert "qwen2_5_vl_7b" in released
    assert names == [*quickstart, *released, *research[0], *research[1]]
