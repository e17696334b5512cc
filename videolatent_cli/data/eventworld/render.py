"""Rendering of EventWorld in integer arithmetic, so that frames are bit-identical everywhere."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from videolatent_cli.data.eventworld.world import (
    FRAMES_PER_EVENT,
    GRID,
    LEAD_FRAMES,
    ROOT_SEED,
    SPLITS,
    Draw,
    Event,
    World,
)

Frames = NDArray[np.uint8]

SIZE_PX = 64
FPS = 4
RADIUS_PX = SIZE_PX // 12
BACKGROUND = 235
LID = (120, 120, 120)
LID_RADIUS_PX = RADIUS_PX + 2
PALETTE = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (50, 80, 220),
    "yellow": (230, 200, 40),
    "purple": (150, 60, 190),
    "cyan": (40, 190, 200),
}
NOISE_LEVELS = 12
"""Maximum change of a channel by the noise of `test_look`, in levels of 0 to 255."""


@cache
def _stamp(shape: str) -> NDArray[np.bool_]:
    """Return the mask of a shape, (2 R + 1, 2 R + 1)."""
    r = RADIUS_PX
    dy, dx = np.mgrid[-r : r + 1, -r : r + 1]
    match shape:
        case "circle":
            return np.asarray(dx * dx + dy * dy <= r * r)
        case "square":
            return np.asarray((abs(dx) <= r - 1) & (abs(dy) <= r - 1))
        case "cross":
            return np.asarray((abs(dx) <= 1) | (abs(dy) <= 1))
    return np.asarray((dy <= r - 1) & (2 * abs(dx) <= dy + r))  # triangle, tip at the top


def _center(cell: int) -> tuple[int, int]:
    """Return the pixel (x, y) of the centre of a cell."""
    return SIZE_PX * (2 * (cell % GRID) + 1) // 6, SIZE_PX * (2 * (cell // GRID) + 1) // 6


def _between(start: int, end: int, fraction: tuple[int, int]) -> tuple[int, int]:
    """Return the pixel (x, y) at a fraction (numerator, denominator) of the way between cells."""
    (x0, y0), (x1, y1), (n, d) = _center(start), _center(end), fraction
    return x0 + (x1 - x0) * n // d, y0 + (y1 - y0) * n // d


def render(world: World) -> Frames:
    """Return the frames of a world: RGB, uint8 (frame, 64, 64, 3), 4 frames per second.

    Source: our specification; a moving object is at 1/3, 2/3 and 3/3 of its way in the event's
    three frames.
    """
    frames = np.full((world.num_frames, SIZE_PX, SIZE_PX, 3), BACKGROUND, dtype=np.uint8)
    for f, frame in enumerate(frames):
        slot, step = divmod(f - LEAD_FRAMES, FRAMES_PER_EVENT)
        # A negative slot is before the first event; the first and last frames are still.
        if f < LEAD_FRAMES or slot >= len(world.events):
            _paint(frame, world, min(max(slot, 0), len(world.events)), None, 0)
        else:
            _paint(frame, world, slot, world.events[slot], step)
    return _with_look(frames, world) if SPLITS[world.split].look else frames


def _paint(frame: Frames, world: World, slot: int, event: Event | None, step: int) -> None:
    """Draw one frame: the state before `slot`, with the event in its frame `step` (0 to 2)."""
    before = world.states[slot]
    places = {who: _center(cell) for who, cell in enumerate(before.cells) if cell is not None}
    lid = before.covered
    if event is not None:
        after = world.states[slot + 1]
        places |= _moving(event, before.cells, after.cells, step)
        if event.type == "vanish" and step:
            del places[event.actor]
        if event.type == "cover" and step:
            lid = event.actor
    r = RADIUS_PX
    for who, (x, y) in places.items():
        kind = world.objects[who]
        box = frame[y - r : y + r + 1, x - r : x + r + 1]
        box[_stamp(kind.shape)] = PALETTE[kind.color]
    if lid is not None:
        x, y = places[lid]
        r = LID_RADIUS_PX
        frame[y - r : y + r + 1, x - r : x + r + 1] = LID


def _moving(
    event: Event, before: tuple[int | None, ...], after: tuple[int | None, ...], step: int
) -> dict[int, tuple[int, int]]:
    """Return the pixel (x, y) of each object that the event moves, in its frame `step` (0 to 2)."""
    here, there = before[event.actor], after[event.actor]
    match event.type:
        case "appear" if there is not None:
            return {event.actor: _center(there)} if step else {}
        case "move" if here is not None and there is not None:
            return {event.actor: _between(here, there, (step + 1, 3))}
    other = event.patient
    if other is None or here is None:
        return {}
    start, end = before[other], after[other]
    if start is None or end is None:
        return {}
    if event.type == "hit":
        # The actor goes halfway and returns; the patient leaves when it is touched.
        return {
            event.actor: _between(here, start, ((1, 2), (1, 4), (0, 1))[step]),
            other: _between(start, end, ((0, 1), (1, 2), (1, 1))[step]),
        }
    (ax, ay), (bx, by) = _between(here, start, (step + 1, 3)), _between(start, here, (step + 1, 3))
    # A swap: both objects move on arcs to opposite sides, so that they do not overlap.
    bend = 0 if step == FRAMES_PER_EVENT - 1 else RADIUS_PX
    dx, dy = (0, bend) if abs(here - start) == 1 else (bend, 0)
    return {event.actor: (ax - dx, ay - dy), other: (bx + dx, by + dy)}


def _with_look(frames: Frames, world: World) -> Frames:
    """Return the frames with noise, background shade and jitter, from a separate random stream."""
    draw = Draw(ROOT_SEED, SPLITS[world.split].stream, world.index, 1)
    shade = draw.below(41) - 20
    look = frames.astype(np.int16)
    look[(frames == BACKGROUND).all(axis=-1)] += shade
    for frame in look:
        dx, dy = draw.below(3) - 1, draw.below(3) - 1
        frame[:] = np.roll(frame, (dy, dx), axis=(0, 1))
        noise = np.frombuffer(draw.bytes(frame.size), dtype=np.uint8).reshape(frame.shape)
        frame += (noise % (2 * NOISE_LEVELS + 1)).astype(np.int16) - NOISE_LEVELS
    return np.clip(look, 0, 255).astype(np.uint8)
