"""The reference of recipes comes from the schema."""

import pytest

from videolatent_cli.errors import UsageError
from videolatent_cli.recipe.recipe import Recipe
from videolatent_cli.recipe.reference import reference_page, schema_of


def test_schema_and_reference_come_from_the_docstrings() -> None:
    assert schema_of("loss.diversity_weight")["minimum"] == 0
    assert "optimizer steps" in schema_of("training.max_steps")["description"]
    assert "on_bad" in schema_of("data")["oneOf"][0].get("$ref", "") or schema_of("data")["oneOf"]
    page = reference_page()
    for name in Recipe.model_fields:
        assert name in page
    assert "`latent.num_blocks` (integer ≥ 0 and ≤ 16, default `2`)" in reference_page("latent")
    assert "`loss.diversity_weight`" in reference_page("loss.diversity_weight")
    with pytest.raises(
        UsageError, match=r"no key 'loss.x'; at 'x' choose from: .*alignment_weight"
    ):
        schema_of("loss.x")
    with pytest.raises(UsageError, match="no key 'lss'; choose from"):
        reference_page("lss")
