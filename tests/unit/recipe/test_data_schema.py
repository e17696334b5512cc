"""The data section: one of three kinds, closed and bounded."""

import pytest
from pydantic import TypeAdapter, ValidationError

from videolatent_cli.recipe.data_schema import (
    Data,
    EventWorldData,
    EventWorldStreamData,
    TripletsData,
)

DATA: TypeAdapter[object] = TypeAdapter(Data)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"type": "triplets", "path": "t.jsonl"}, TripletsData),
        ({"type": "eventworld"}, EventWorldData),
        ({"type": "eventworld_stream"}, EventWorldStreamData),
    ],
)
def test_the_type_decides_the_kind(given: dict[str, object], kind: type) -> None:
    found = DATA.validate_python(given)
    assert type(found) is kind
    with pytest.raises(ValidationError, match="frozen"):
        found.type = "other"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"type": "triplets"}, "path"),
        ({"type": "triplets", "path": ""}, "path"),
        ({"type": "eventworld", "max_bad_fraction": 1.5}, "max_bad_fraction"),
        ({"type": "eventworld", "families": []}, "families"),
        ({"type": "eventworld", "visible": "half"}, "visible"),
        ({"type": "eventworld_stream", "on_bad": "skip"}, "on_bad"),
    ],
)
def test_values_outside_their_bounds_are_named(given: dict[str, object], place: str) -> None:
    with pytest.raises(ValidationError) as caught:
        DATA.validate_python(given)
    assert [error["loc"][-1] for error in caught.value.errors()] == [place]
