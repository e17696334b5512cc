"""Starter recipes."""

import pytest

from videolatent_cli.recipe import parse_recipe
from videolatent_cli.recipe.starter import starter_recipe


@pytest.mark.parametrize("backbone", ["tiny", "Qwen/Qwen2.5-VL-3B-Instruct"])
@pytest.mark.parametrize("data", [None, "train.jsonl"])
def test_starter_recipes_are_valid(backbone: str, data: str | None) -> None:
    recipe = parse_recipe(starter_recipe(backbone, data), "recipe.yaml")
    assert recipe.backbone.model == backbone
    assert recipe.data.type == ("triplets" if data else "eventworld")
