"""Simulated worlds of EventWorld: a 3x3 grid, a few objects, one event per time slot.

This module makes only the ground truth, no pixels and no questions. Each video has an independent
random stream, so that any video can be made alone and is the same on every machine.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

T = TypeVar("T")

SPEC_VERSION = 1
"""Version of the specification; a change of any world, picture or question needs a new one."""
ROOT_SEED = 20260622

COLORS = ("red", "green", "blue", "yellow", "purple", "cyan")
SHAPES = ("circle", "square", "cross", "triangle")
DIRECTIONS = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}
"""Step (x, y) in cells; y points down."""
GRID = 3
"""Cells per row and per column; cells are numbered row by row from the top left."""
FRAMES_PER_EVENT = 3
LEAD_FRAMES = 2
"""Number of still frames before the first event, and after the last one."""


@dataclass(frozen=True)
class Kind:
    """Color and shape of an object; within a video no two objects have the same color."""

    color: str
    shape: str

    @property
    def held_out(self) -> bool:
        """Whether the color-shape pair occurs in `test_pair` only."""
        return (COLORS.index(self.color) + SHAPES.index(self.shape)) % 4 == 3

    def __str__(self) -> str:
        return f"{self.color} {self.shape}"


@dataclass(frozen=True)
class Event:
    """Event in the frames from `start_frame` to `end_frame`, both included."""

    slot: int
    """Position in the list of events, from 0."""
    type: str
    """Type of the event: move, hit, appear, vanish, cover or swap."""
    actor: int
    """Index of the object that acts."""
    patient: int | None
    """Index of the object that is hit or swapped with; None for other events."""
    direction: str | None
    """Direction of a move or hit; None for other events."""
    start_frame: int
    end_frame: int

    def movers(self) -> tuple[int, ...]:
        """Return the indices of the objects that change their cell."""
        match self.type:
            case "move":
                return (self.actor,)
            case "hit":
                return (self.patient,) if self.patient is not None else ()
            case "swap":
                return (self.actor, self.patient) if self.patient is not None else ()
        return ()


@dataclass(frozen=True)
class WorldState:
    """State of a world at one moment."""

    cells: tuple[int | None, ...]
    """Cell of each object; None: the object is not in the world."""
    covered: int | None = None
    """Index of the object under the lid."""
    vanished: frozenset[int] = frozenset()
    """Indices of the objects that have vanished, which never come back."""

    def visible(self) -> int:
        """Return the number of visible objects."""
        present = sum(cell is not None for cell in self.cells)
        return present - (self.covered is not None)


@dataclass(frozen=True)
class World:
    """Ground truth of one video."""

    split: str
    index: int
    objects: tuple[Kind, ...]
    states: tuple[WorldState, ...]
    """States before the first event and after each event, one more than events."""
    events: tuple[Event, ...]

    @property
    def num_frames(self) -> int:
        """Number of frames: still frames at both ends, and three per event."""
        return 2 * LEAD_FRAMES + FRAMES_PER_EVENT * len(self.events)


@dataclass(frozen=True)
class Split:
    """Rules by which the worlds of a split are drawn."""

    stream: int
    """Number of the split's random stream."""
    num_objects: tuple[int, ...] = (3, 4)
    """Numbers of objects to choose from."""
    num_events: tuple[int, ...] = (4,)
    """Numbers of events to choose from."""
    held_out_pair: bool = False
    """Whether every world contains a color-shape pair that never occurs in other splits."""
    held_out_programs: bool = False
    """Whether only the relational programs are asked that never occur in other splits."""
    look: bool = False
    """Whether noise, background shade and jitter are added to the pictures."""


SPLITS = {
    "train": Split(1),
    "val": Split(2),
    "test_iid": Split(3),
    "test_pair": Split(4, held_out_pair=True),
    "test_program": Split(5, held_out_programs=True),
    "test_long": Split(6, num_events=(6, 8)),
    "test_crowd": Split(7, num_objects=(5,)),
    "test_look": Split(8, look=True),
    "pretrain_1": Split(9, num_events=(1,)),
    "pretrain_2": Split(10, num_events=(1, 2, 3, 4, 4)),
}


class Draw:
    """Random choices from one Philox stream.

    Choice: all numbers but `bytes` come from `Generator.random()`, which gives the same values in
    every numpy version.
    """

    def __init__(self, *key: int) -> None:
        self._rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))

    def below(self, n: int) -> int:
        """Return an integer in [0, n)."""
        return int(self._rng.random() * n)

    def choice(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[self.below(len(options))]

    def weighted(self, options: list[tuple[float, T]]) -> T:
        """Return the value of one of the (weight, value) options, drawn by weight."""
        rest = self._rng.random() * sum(weight for weight, _ in options)
        for weight, value in options:
            rest -= weight
            if rest < 0:
                return value
        return options[-1][1]  # rounding may leave a rest of 0

    def bytes(self, count: int) -> bytes:
        """Return uniform random bytes."""
        # The lower 7 of 8 bytes: the highest one has a sign bit that is always 0.
        words = self._rng.integers(0, 2**63, size=-(-count // 7), dtype=np.int64)
        return words.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :7].tobytes()[:count]

    def shuffled(self, options: list[T]) -> list[T]:
        """Return the options in random order."""
        rest = list(options)
        return [rest.pop(self.below(len(rest))) for _ in options]


def make_world(split: str, index: int) -> World:
    """Return the world of video `index` of a split; it depends on nothing else."""
    rules = SPLITS[split]
    draw = Draw(ROOT_SEED, rules.stream, index)
    while True:
        world = _try_world(split, index, rules, draw)
        if world is not None:
            return world


def _try_world(split: str, index: int, rules: Split, draw: Draw) -> World | None:
    """Draw a scene and its events; return None if an event has no candidate."""
    objects = _draw_objects(rules, draw)
    cells: list[int | None] = list(draw.shuffled(list(range(GRID * GRID)))[: len(objects)])
    if draw.below(2):  # in half of the worlds, one object is absent at first and can appear
        cells[draw.below(len(cells))] = None
    states = [WorldState(tuple(cells))]
    events: list[Event] = []
    for slot in range(draw.choice(rules.num_events)):
        last = events[-1:]
        busy = frozenset(who for event in last for who in (event.actor, event.patient))
        candidates = list(_candidates(_Moment(slot, states[-1], busy), draw))
        if not candidates:
            return None
        event, state = draw.weighted(candidates)
        events.append(event)
        states.append(state)
    return World(split, index, objects, tuple(states), tuple(events))


def _draw_objects(rules: Split, draw: Draw) -> tuple[Kind, ...]:
    """Draw objects of distinct colors; held-out pairs occur only if the split requires one."""
    count = draw.choice(rules.num_objects)
    while True:
        kinds = tuple(Kind(c, draw.choice(SHAPES)) for c in draw.shuffled(list(COLORS))[:count])
        if any(kind.held_out for kind in kinds) == rules.held_out_pair:
            return kinds


def neighbour(cell: int, direction: str) -> int | None:
    """Return the next cell in a direction; None at the border."""
    dx, dy = DIRECTIONS[direction]
    x, y = cell % GRID + dx, cell // GRID + dy
    return y * GRID + x if 0 <= x < GRID and 0 <= y < GRID else None


_Candidate = tuple[float, tuple[Event, WorldState]]
"""Weight of a possible event, and the event with the state after it."""


@dataclass(frozen=True)
class _Moment:
    """Slot to be filled with an event, and the state before it."""

    slot: int
    state: WorldState
    busy: frozenset[int | None]
    """Objects of the previous event. No object takes part in two consecutive events, so that "next"
    and "previous" are never ambiguous."""

    def owner(self, cell: int) -> int | None:
        """Return the object in a cell; None if it is empty."""
        return next((who for who, at in enumerate(self.state.cells) if at == cell), None)

    def can_act(self, who: int) -> bool:
        """Whether an object may take part in this event."""
        return who not in self.busy and who != self.state.covered

    def event(
        self,
        kind: str,
        actor: int,
        moved: dict[int, int | None],
        patient: int | None = None,
        direction: str | None = None,
    ) -> tuple[Event, WorldState]:
        """Return an event of this slot and the state after it.

        Args:
            kind: Type of the event.
            actor: Object that acts.
            moved: New cells of the objects that change theirs; None: not in the world.
            patient: Object that is hit or swapped with.
            direction: Direction of a move or hit.
        """
        start = LEAD_FRAMES + FRAMES_PER_EVENT * self.slot
        end = start + FRAMES_PER_EVENT - 1
        state = self.state
        after = WorldState(
            tuple(moved.get(who, cell) for who, cell in enumerate(state.cells)),
            actor if kind == "cover" else state.covered,
            state.vanished | {actor} if kind == "vanish" else state.vanished,
        )
        return Event(self.slot, kind, actor, patient, direction, start, end), after


def _candidates(moment: _Moment, draw: Draw) -> Iterator[_Candidate]:
    """Yield all possible next events, each object in turn."""
    state = moment.state
    for who, cell in enumerate(state.cells):
        if not moment.can_act(who) or who in state.vanished:
            continue
        if cell is None:
            free = [c for c in range(GRID * GRID) if moment.owner(c) is None]
            yield 2.0, moment.event("appear", who, {who: draw.choice(free)})
            continue
        for direction in DIRECTIONS:
            yield from _towards(moment, who, cell, direction)
        if state.visible() > 2:
            yield 0.35, moment.event("vanish", who, {who: None})
        if state.covered is None:
            yield 0.5, moment.event("cover", who, {})


def _towards(moment: _Moment, who: int, cell: int, direction: str) -> Iterator[_Candidate]:
    """Yield the events of an object in a direction: move, hit or swap."""
    target = neighbour(cell, direction)
    if target is None:
        return
    other = moment.owner(target)
    if other is None:
        yield 1.0, moment.event("move", who, {who: target}, None, direction)
        return
    if not moment.can_act(other):
        return
    behind = neighbour(target, direction)
    if behind is not None and moment.owner(behind) is None:
        yield 2.0, moment.event("hit", who, {other: behind}, other, direction)
    if who < other:  # each pair once
        yield 1.0, moment.event("swap", who, {who: target, other: cell}, other)
