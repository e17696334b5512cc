"""EventWorld questions: small programs over the event list, each with a unique answer."""

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
"""Families of dense descriptions, which only pretrain a backbone and do not count as questions."""

_COUNTS = ("0", "1", "2", "3", "4", "5")
_ANSWERS = {"color": COLORS, "shape": SHAPES, "direction": tuple(DIRECTIONS)}
"""Possible answers of each query."""
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
"""Possible answers of each family; rarer answers (below 1 %) are left out."""

HOPS = {
    **dict.fromkeys(("count_start", "count_end", "direction"), 1),
    **dict.fromkeys(("appeared", "vanished", "covered", "hit_who"), 1),
    **dict.fromkeys(("first_mover", "last_mover", "count_moved", "count_moves_of", "before"), 2),
    **{f"{rel}_{query}": 3 for rel in ("next", "previous") for query in ("color", "shape")},
    **{f"{rel}_direction": 4 for rel in ("next", "previous")},
    **dict.fromkeys(("chain_color", "chain_direction"), 5),
    **dict.fromkeys(DESCRIPTIONS, 0),
}
"""Number of reasoning steps of each family, which is the depth of its program."""

FAMILIES_UP_TO_2_HOPS = tuple(f for f, hops in HOPS.items() if hops in (1, 2))
FAMILIES_3_HOPS_AND_MORE = tuple(f for f, hops in HOPS.items() if hops >= 3)


@dataclass(frozen=True)
class WorldQuestion:
    """Question about a world, with the program that gives its answer."""

    family: str
    text: str
    answer: str
    program: str
    """Program over the event list, as text."""
    about: tuple[int, ...] = ()
    """Indices of the objects that the question names or that the answer describes."""
    touched: tuple[int, ...] = ()
    """Slots of the events that the program reads; the last one decides the answer."""

    @property
    def hops(self) -> int:
        """Number of reasoning steps."""
        return HOPS[self.family]


def is_held_out_program(anchor: str, relation: str, query: str) -> bool:
    """Whether a relational program occurs in `test_program` only.

    These are 6 of the 24 programs, in a Latin pattern: every anchor, relation and query occurs in
    other programs too.
    """
    pattern = ANCHORS.index(anchor) + RELATIONS.index(relation) + QUERIES.index(query)
    return pattern % 4 == 0


def all_questions(world: World) -> list[WorldQuestion]:
    """Return all questions about a world that its split allows, in a fixed order."""
    rules = SPLITS[world.split]
    questions = [*_relational(world)]
    if not rules.held_out_programs:
        questions = [*_perception(world), *_order(world), *questions, *_chains(world)]
    if rules.held_out_pair:
        questions = [q for q in questions if any(world.objects[i].held_out for i in q.about)]
    return [q for q in questions if q.answer in ANSWERS[q.family]]


def descriptions(world: World) -> list[WorldQuestion]:
    """Return the dense descriptions of a world: its events, and its objects at start and end."""
    events = " ; ".join(describe(world, event) for event in world.events)
    return [
        WorldQuestion("describe_events", "List the events.", events, "list(events)"),
        WorldQuestion("describe_start", "List the objects.", _places(world, 0), "list(start)"),
        WorldQuestion(
            "describe_end", "List the objects at the end.", _places(world, -1), "list(end)"
        ),
    ]


def describe(world: World, event: Event) -> str:
    """Return an event in words, such as `red circle hit green cross up`."""
    words = [str(world.objects[event.actor]), event.type]
    if event.patient is not None:
        words.append(str(world.objects[event.patient]))
    if event.direction is not None:
        words.append(event.direction)
    return " ".join(words)


def _places(world: World, moment: int) -> str:
    """Return the visible objects of a state with their cells in words, row by row."""
    state = world.states[moment]
    rows, columns = ("top", "middle", "bottom"), ("left", "center", "right")
    visible = sorted(
        (cell, who)
        for who, cell in enumerate(state.cells)
        if cell is not None and who != state.covered
    )
    return " ; ".join(f"{world.objects[w]} {rows[c // 3]} {columns[c % 3]}" for c, w in visible)


def _moves(world: World) -> list[Event]:
    """Return the events in which an object changes its cell, in order."""
    return [event for event in world.events if event.movers()]


def _only_mover(event: Event) -> int | None:
    """Return the object that moved in an event; None if none or two did."""
    movers = event.movers()
    return movers[0] if len(movers) == 1 else None


def _perception(world: World) -> Iterator[WorldQuestion]:
    """Yield questions of one hop, which need one event or one moment."""
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
    """Yield (object, event) for each object that changed its cell exactly once."""
    moves = _moves(world)
    for who in range(len(world.objects)):
        own_moves = [event for event in moves if who in event.movers()]
        if len(own_moves) == 1:
            yield who, own_moves[0]


def _order(world: World) -> Iterator[WorldQuestion]:
    """Yield questions of two hops, about order and number of movements."""
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
        own_slots = tuple(event.slot for event in moves if who in event.movers())
        yield WorldQuestion("count_moves_of", text, str(times[who]), program, (who,), own_slots)
    once = list(_moved_once(world))
    for who, event in once:
        for other, other_event in once:
            if event.slot != other_event.slot:
                a, b = world.objects[who], world.objects[other]
                text = f"Did the {a} move before the {b}?"
                answer = "yes" if event.slot < other_event.slot else "no"
                slots = (event.slot, other_event.slot)
                yield WorldQuestion(
                    "before", text, answer, f"before({a}, {b})", (who, other), slots
                )


def _anchors(world: World) -> Iterator[tuple[str, str, Event, tuple[int, ...]]]:
    """Yield (anchor, clause, event, named objects) for each event that a clause names uniquely."""
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
    """Return the next or previous movement; None if there is none or if two objects move in it."""
    moves = _moves(world)
    if relation == "after":
        step = next((move for move in moves if move.slot > event.slot), None)
    else:
        step = next((move for move in reversed(moves) if move.slot < event.slot), None)
    return step if step is not None and _only_mover(step) is not None else None


def _query(world: World, event: Event, query: str) -> str | None:
    """Return the color, shape or direction of the object that moved; None if not unique."""
    if query == "direction":
        return event.direction
    who = _only_mover(event)
    return None if who is None else str(getattr(world.objects[who], query))


def _relational(world: World) -> Iterator[WorldQuestion]:
    """Yield questions of three and four hops: query(relation(anchor))."""
    held_out = SPLITS[world.split].held_out_programs
    for anchor, clause, event, named in _anchors(world):
        for relation in RELATIONS:
            step = _step(world, event, relation)
            if step is None:
                continue
            for query in QUERIES:
                answer = _query(world, step, query)
                if answer is None or is_held_out_program(anchor, relation, query) != held_out:
                    continue
                family = f"{'next' if relation == 'after' else 'previous'}_{query}"
                program = f"{query}({relation}({anchor}))"
                about, slots = (*named, *step.movers()), (event.slot, step.slot)
                text = _ask(query, f"right {relation} {clause}")
                yield WorldQuestion(family, text, answer, program, about, slots)


def _chains(world: World) -> Iterator[WorldQuestion]:
    """Yield questions of five hops: query(after(after(anchor)))."""
    for who, event in _moved_once(world):
        middle = _step(world, event, "after")
        last = _step(world, middle, "after") if middle is not None else None
        if middle is None or last is None:
            continue
        for query in ("color", "direction"):
            answer = _query(world, last, query)
            if answer is not None:
                clause = f"right after the object that moved right after the {world.objects[who]}"
                about = (who, *middle.movers(), *last.movers())
                yield WorldQuestion(
                    f"chain_{query}",
                    _ask(query, f"{clause} moved"),
                    answer,
                    f"{query}(after(after(moved)))",
                    about,
                    (event.slot, middle.slot, last.slot),
                )


def _ask(query: str, when: str) -> str:
    """Return the text of a question about the object that moved at a time, given as a clause."""
    if query == "direction":
        return f"Where did the object go that moved {when}?"
    return f"Which {query} moved {when}?"
