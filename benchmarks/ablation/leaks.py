"""Leak checks: models without the order of events, compared with guesses that need no order."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.ablation.cells import LEAKS, Cell, recipe_of
from benchmarks.measure import table
from videolatent_cli.data.eventworld.triplets import eventworld_triplets
from videolatent_cli.data.eventworld.world import World
from videolatent_cli.data.triplets import Triplet
from videolatent_cli.recipe.data_schema import EventWorldData

SPLIT = "test_iid"


@dataclass(frozen=True)
class Guess:
    """Chance of two guesses about a color or shape in a question of 3 hops or more."""

    place: int
    """Index of the question in the split."""
    family: str
    displaced: float
    """Chance when guessing any other object that ends elsewhere: the end frames show these."""
    moved: float
    """Chance when guessing any other object that ever moved: frames in any order show these."""


def guesses(preset: str) -> list[Guess]:
    """Return the guesses for all questions of the split that ask for a color or shape."""
    data = recipe_of("full", preset, 0)[1].data
    assert isinstance(data, EventWorldData)
    videos = range(data.num_eval_videos)
    pairs = eventworld_triplets(SPLIT, videos, data.families, data.questions_per_video)
    asked = [(world, triplet) for world, triplets in pairs for triplet in triplets]
    return [
        _guess(world, triplet, place)
        for place, (world, triplet) in enumerate(asked)
        if int(str(triplet.meta["hops"])) >= 3 and "direction" not in triplet.category[0]
    ]


def _guess(world: World, triplet: Triplet, place: int) -> Guess:
    first, last = world.states[0].cells, world.states[-1].cells
    everything = range(len(world.objects))
    displaced = {who for who in everything if first[who] != last[who]}
    moved = {who for event in world.events for who in event.movers()}
    family = triplet.category[0]
    return Guess(place, family, *(_chance(world, triplet, who) for who in (displaced, moved)))


def _chance(world: World, triplet: Triplet, candidates: set[int]) -> float:
    """Return the chance that a candidate which the question does not name is right."""
    others = [kind for kind in world.objects if str(kind) not in triplet.question]
    wanted = "shape" if "shape" in triplet.category[0] else "color"
    among = [kind for who, kind in enumerate(world.objects) if who in candidates and kind in others]
    values = [getattr(kind, wanted) for kind in among or others]
    return values.count(triplet.answer) / len(values)


def leaks(preset: str, rows: dict[str, list[Cell]]) -> str:
    """Return the table of the leak checks by family, with the guesses."""
    found = guesses(preset)
    families = [*dict.fromkeys(sorted(one.family for one in found))]
    lines = []
    for name, part in [
        *((family, [one for one in found if one.family == family]) for family in families),
        ("all", found),
    ]:
        shares = {row: _share(rows.get(row, []), part) for row in LEAKS}
        displaced, moved = (
            sum(getattr(one, of) for one in part) / len(part) for of in ("displaced", "moved")
        )
        lines.append([name, str(len(part)), *shares.values(), f"{displaced:.2f}", f"{moved:.2f}"])
    return (
        "### Leak checks on colors and shapes, 3-5 hops of test_iid\n\n"
        "Guesses: any object that the question does not name and that ends in another place (the "
        "first and last frame show these), or that ever moved (frames in any order show these)."
        "\n\n"
        + table(["family", "questions", *LEAKS, "guess: displaced", "guess: ever moved"], lines)
    )


def _share(cells: list[Cell], part: list[Guess]) -> str:
    bits = [cell.splits[SPLIT]["on"][one.place] for cell in cells for one in part]
    return f"{bits.count('1') / len(bits):.2f}" if bits else ""
