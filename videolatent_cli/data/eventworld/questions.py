"""EventWorld questions: small programs over the event list, asked where the answer is unique."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from videolatent_cli.data.eventworld.world import (
    COLORS,
    DIRECTIONS,
    SHAPES,
    SPLITS,
    Event,
    World,
)

ANCHORS = ("moved", "hit", "appeared", "vanished")
RELATIONS = ("after", "before")
QUERIES = ("color", "shape", "direction")
DESCRIPTIONS = ("describe_events", "describe_start", "describe_end")
"""Dense perception texts: for pretraining a backbone only, never counted as questions."""

_COUNTS = ("0", "1", "2", "3", "4", "5")
_ANSWERS = {"color": COLORS, "shape": SHAPES, "direction": tuple(DIRECTIONS)}
ANSWERS: dict[str, tuple[str, ...]] = {
    "count_start": ("2", "3", "4"),
    "count_end": ("2", "3", "4"),
    "direction": tuple(DIRECTIONS),
    "appeared": COLORS,
    "vanished": COLORS,
    "covered": COLORS,
    "hit_who": COLORS,
    "first_mover": COLORS,
    "last_mover": COLORS,
    "count_moved": ("1", "2", "3", "4"),
    "count_moves_of": ("0", "1", "2"),
    "before": ("yes", "no"),
    **{f"{rel}_{query}": _ANSWERS[query] for rel in ("next", "previous") for query in QUERIES},
    "chain_color": COLORS,
    "chain_direction": tuple(DIRECTIONS),
}
"""Families and the answers that are asked for; rarer answers (below 1 %) are left out."""

HOPS = {
    **dict.fromkeys(("count_start", "count_end", "direction"), 1),
    **dict.fromkeys(("appeared", "vanished", "covered", "hit_who"), 1),
    **dict.fromkeys(("first_mover", "last_mover", "count_moved", "count_moves_of", "before"), 2),
    **{f"{rel}_{query}": 3 for rel in ("next", "previous") for query in ("color", "shape")},
    **{f"{rel}_direction": 4 for rel in ("next", "previous")},
    **dict.fromkeys(("chain_color", "chain_direction"), 5),
    **dict.fromkeys(DESCRIPTIONS, 0),
}
"""Program depth of each family."""

FAMILIES_UP_TO_2_HOPS = tuple(f for f, hops in HOPS.items() if hops in (1, 2))
FAMILIES_3_HOPS_AND_MORE = tuple(f for f, hops in HOPS.items() if hops >= 3)


@dataclass(frozen=True)
class WorldQuestion:
    """One question about one world, with what a baseline or a check may want to know of it."""

    family: str
    text: str
    answer: str
    program: str
    about: tuple[int, ...] = ()
    """Objects that are named in the question or are its answer."""
    touched: tuple[int, ...] = ()
    """Slots of the events that the program reads; the last one decides."""

    @property
    def hops(self) -> int:
        """Program depth."""
        return HOPS[self.family]


def is_held_out_program(anchor: str, relation: str, query: str) -> bool:
    """Whether a relational program occurs in `test_program` only (a Latin pattern of 6 of 24)."""
    place = ANCHORS.index(anchor) + RELATIONS.index(relation) + QUERIES.index(query)
    return place % 4 == 0


def all_questions(world: World) -> list[WorldQuestion]:
    """Return every question of this world that its split allows, in a fixed order."""
    rules = SPLITS[world.split]
    questions = [*_relational(world)]
    if not rules.held_out_programs:
        questions = [*_perception(world), *_order(world), *questions, *_chains(world)]
    if rules.held_out_pair:
        questions = [q for q in questions if any(world.objects[i].held_out for i in q.about)]
    return [q for q in questions if q.answer in ANSWERS[q.family]]


def descriptions(world: World) -> list[WorldQuestion]:
    """Return the dense descriptions of a world."""
    events = " ; ".join(describe(world, event) for event in world.events)
    return [
        WorldQuestion("describe_events", "List the events.", events, "list(events)"),
        WorldQuestion("describe_start", "List the objects.", _places(world, 0), "list(start)"),
        WorldQuestion(
            "describe_end", "List the objects at the end.", _places(world, -1), "list(end)"
        ),
    ]


def describe(world: World, event: Event) -> str:
    """Return one event in words, such as `red circle hit green cross up`."""
    words = [str(world.objects[event.actor]), event.type]
    if event.patient is not None:
        words.append(str(world.objects[event.patient]))
    if event.direction is not None:
        words.append(event.direction)
    return " ".join(words)


def _places(world: World, moment: int) -> str:
    """Return the visible objects with their cells, row by row."""
    state = world.states[moment]
    rows, columns = ("top", "middle", "bottom"), ("left", "center", "right")
    seen = sorted(
        (cell, who)
        for who, cell in enumerate(state.cells)
        if cell is not None and who != state.covered
    )
    return " ; ".join(f"{world.objects[w]} {rows[c // 3]} {columns[c % 3]}" for c, w in seen)


def _moves(world: World) -> list[Event]:
    """Return the events in which somebody changes cell, in order."""
    return [event for event in world.events if event.movers()]


def _only_mover(event: Event) -> int | None:
    """Return the object that moved, None where two did."""
    movers = event.movers()
    return movers[0] if len(movers) == 1 else None


def _perception(world: World) -> Iterator[WorldQuestion]:
    """Questions of one hop: read one event or one moment."""
    for family, moment in (("count_start", 0), ("count_end", -1)):
        text = f"How many objects are there at the {'end' if moment else 'start'}?"
        yield WorldQuestion(family, text, str(world.states[moment].visible()), f"count({moment})")
    for who, event in _moved_once(world):
        if event.direction is not None:
            text = f"Where did the {world.objects[who]} go?"
            program = f"direction(move({world.objects[who]}))"
            yield WorldQuestion("direction", text, event.direction, program, (who,), (event.slot,))
    happened = {"appear": "appeared", "vanish": "vanished", "cover": "covered", "hit": "hit_who"}
    for kind, family in happened.items():
        events = [event for event in world.events if event.type == kind]
        if len(events) == 1:
            event = events[0]
            patient = event.patient
            who = patient if kind == "hit" and patient is not None else event.actor
            verb = {"covered": "was covered", "hit_who": "was hit"}.get(family, family)
            color = world.objects[who].color
            text, program = f"Which color {verb}?", f"color(the {kind})"
            yield WorldQuestion(family, text, color, program, (who,), (event.slot,))


def _moved_once(world: World) -> Iterator[tuple[int, Event]]:
    """Yield (object, event) for objects that changed cell exactly once."""
    moves = _moves(world)
    for who in range(len(world.objects)):
        mine = [event for event in moves if who in event.movers()]
        if len(mine) == 1:
            yield who, mine[0]


def _order(world: World) -> Iterator[WorldQuestion]:
    """Questions of two hops: order and number of movements."""
    moves = _moves(world)
    for family, place in (("first_mover", 0), ("last_mover", -1)):
        who = _only_mover(moves[place]) if moves else None
        if who is not None:
            text = f"Which color moved {family.split('_')[0]}?"
            color, slot = world.objects[who].color, moves[place].slot
            yield WorldQuestion(family, text, color, f"color({family})", (who,), (slot,))
    times = Counter(who for event in moves for who in event.movers())
    slots = tuple(event.slot for event in moves)
    text = "How many different objects moved?"
    yield WorldQuestion("count_moved", text, str(len(times)), "count(set(movers))", (), slots)
    for who, kind in enumerate(world.objects):
        text, program = f"How many times did the {kind} move?", f"count(moves({kind}))"
        mine = tuple(event.slot for event in moves if who in event.movers())
        yield WorldQuestion("count_moves_of", text, str(times[who]), program, (who,), mine)
    once = list(_moved_once(world))
    for who, event in once:
        for other, later in once:
            if event.slot != later.slot:
                a, b = world.objects[who], world.objects[other]
                text = f"Did the {a} move before the {b}?"
                answer = "yes" if event.slot < later.slot else "no"
                slots = (event.slot, later.slot)
                yield WorldQuestion(
                    "before", text, answer, f"before({a}, {b})", (who, other), slots
                )


def _anchors(world: World) -> Iterator[tuple[str, str, Event, tuple[int, ...]]]:
    """Yield (anchor, clause, event, objects named) for events that a clause names uniquely."""
    for who, event in _moved_once(world):
        yield "moved", f"the {world.objects[who]} moved", event, (who,)
    hits = [event for event in world.events if event.type == "hit"]
    if len(hits) == 1:
        yield "hit", "the hit", hits[0], ()
    for event in world.events:
        if event.type in ("appear", "vanish"):
            verb = f"{event.type}ed"
            yield verb, f"the {world.objects[event.actor]} {verb}", event, (event.actor,)


def _step(world: World, event: Event, relation: str) -> Event | None:
    """Return the next or previous movement, None where there is none or two objects move."""
    moves = _moves(world)
    if relation == "after":
        found = next((m for m in moves if m.slot > event.slot), None)
    else:
        found = next((m for m in reversed(moves) if m.slot < event.slot), None)
    return found if found is not None and _only_mover(found) is not None else None


def _query(world: World, event: Event, query: str) -> str | None:
    """Return the color, shape or direction of what moved in an event."""
    if query == "direction":
        return event.direction
    who = _only_mover(event)
    return None if who is None else str(getattr(world.objects[who], query))


def _relational(world: World) -> Iterator[WorldQuestion]:
    """Questions of three and four hops: query(relation(anchor))."""
    wanted = SPLITS[world.split].held_out_programs
    for anchor, clause, event, named in _anchors(world):
        for relation in RELATIONS:
            found = _step(world, event, relation)
            if found is None:
                continue
            for query in QUERIES:
                answer = _query(world, found, query)
                if answer is None or is_held_out_program(anchor, relation, query) != wanted:
                    continue
                family = f"{'next' if relation == 'after' else 'previous'}_{query}"
                program = f"{query}({relation}({anchor}))"
                about, slots = (*named, *found.movers()), (event.slot, found.slot)
                text = _ask(query, f"right {relation} {clause}")
                yield WorldQuestion(family, text, answer, program, about, slots)


def _chains(world: World) -> Iterator[WorldQuestion]:
    """Questions of five hops: query(after(after(anchor)))."""
    for who, event in _moved_once(world):
        middle = _step(world, event, "after")
        found = _step(world, middle, "after") if middle is not None else None
        if middle is None or found is None:
            continue
        for query in ("color", "direction"):
            answer = _query(world, found, query)
            if answer is not None:
                clause = f"right after the object that moved right after the {world.objects[who]}"
                about = (who, *middle.movers(), *found.movers())
                yield WorldQuestion(
                    f"chain_{query}",
                    _ask(query, f"{clause} moved"),
                    answer,
                    f"{query}(after(after(moved)))",
                    about,
                    (event.slot, middle.slot, found.slot),
                )


def _ask(query: str, when: str) -> str:
    """Return the text of a question about the object that moved at some time."""
    if query == "direction":
        return f"Where did the object go that moved {when}?"
    return f"Which {query} moved {when}?"
