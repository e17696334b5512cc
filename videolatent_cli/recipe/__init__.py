"""Recipes: their schema, loading and identity. This package never imports torch."""

from videolatent_cli.recipe.load import load_recipe, parse_recipe
from videolatent_cli.recipe.recipe import Recipe
from videolatent_cli.recipe.resolved import (
    digest,
    is_same,
    provenance,
    recipe_hash,
    resolved,
    stored_recipe,
    write_json,
)

__all__ = [
    "Recipe",
    "digest",
    "is_same",
    "load_recipe",
    "parse_recipe",
    "provenance",
    "recipe_hash",
    "resolved",
    "stored_recipe",
    "write_json",
]
