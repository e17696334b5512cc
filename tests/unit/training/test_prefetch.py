"""Batches made ahead: the same, in the same order, errors and all."""

import threading
from collections.abc import Callable

import pytest

from videolatent_cli.training.prefetch import prefetched


def recorder() -> tuple[list[int], Callable[[int], int]]:
    made: list[int] = []

    def make(index: int) -> int:
        if index == 13:
            raise ValueError("13 cannot be made")
        made.append(index)
        return index * index

    return made, make


def test_all_come_in_order() -> None:
    made, make = recorder()
    assert list(prefetched(make, range(5))) == [0, 1, 4, 9, 16]
    assert made == [0, 1, 2, 3, 4]
    assert list(prefetched(make, [])) == []


def test_two_are_made_ahead_and_no_more() -> None:
    made, make = recorder()
    out = prefetched(make, range(100))
    assert next(out) == 0
    out.close()
    assert made == list(range(len(made)))
    assert len(made) <= 3
    assert not [t for t in threading.enumerate() if t.name.startswith("prefetch")]


def test_an_error_comes_when_its_turn_does() -> None:
    _, make = recorder()
    out = prefetched(make, [11, 12, 13, 14])
    assert [next(out), next(out)] == [121, 144]
    with pytest.raises(ValueError, match="13 cannot be made"):
        next(out)
