"""The schema of recipes."""

from videolatent_cli.recipe.recipe import Recipe


def test_every_field_says_what_it_means() -> None:
    defs = Recipe.model_json_schema()["$defs"]
    for name, model in defs.items():
        for field, about in model.get("properties", {}).items():
            assert about.get("description") or "$ref" in about, f"{name}.{field}"
