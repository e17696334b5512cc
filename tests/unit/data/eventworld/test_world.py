"""Worlds obey their rules."""

import pytest

from videolatent_cli.data.eventworld import SPLITS, make_world
from videolatent_cli.data.eventworld.world import Kind, neighbour


@pytest.mark.parametrize("split", SPLITS)
def test_worlds_obey_the_rules(split: str) -> None:
    for index in range(150):
        world = make_world(split, index)
        assert world.num_frames == 4 + 3 * len(world.events)
        assert len({kind.color for kind in world.objects}) == len(world.objects)
        assert any(kind.held_out for kind in world.objects) == (split == "test_pair")
        for event, later in zip(world.events, world.events[1:], strict=False):
            acting = {event.actor, event.patient} - {None}
            assert not acting & {later.actor, later.patient}
        for event, before, after in zip(world.events, world.states, world.states[1:], strict=False):
            cells = [cell for cell in after.cells if cell is not None]
            assert len(cells) == len(set(cells))
            moved = {w for w, c in enumerate(after.cells) if c != before.cells[w]}
            appeared = {event.actor} if event.type in ("appear", "vanish") else set()
            assert moved == set(event.movers()) | appeared


def test_worlds_do_not_depend_on_order() -> None:
    later = make_world("train", 7)
    assert [make_world("train", i) for i in range(8)][7] == later
    assert make_world("val", 7) != later


def test_held_out_pairs_are_6_of_24() -> None:
    from videolatent_cli.data.eventworld.world import COLORS, SHAPES

    assert sum(Kind(c, s).held_out for c in COLORS for s in SHAPES) == 6


def test_neighbours_by_hand() -> None:
    assert neighbour(4, "up") == 1
    assert neighbour(4, "right") == 5
    assert neighbour(2, "right") is None
    assert neighbour(7, "down") is None
