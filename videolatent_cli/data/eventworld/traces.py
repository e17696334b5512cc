"""Chain-of-thought traces of EventWorld questions, for the chain-of-thought baselines only."""

from typing import Literal

from videolatent_cli.data.eventworld.questions import WorldQuestion, describe
from videolatent_cli.data.eventworld.world import (
    COLORS,
    DIRECTIONS,
    ROOT_SEED,
    SHAPES,
    SPLITS,
    Draw,
    World,
)

TraceKind = Literal["full", "short", "noisy"]


def trace(world: World, question: WorldQuestion, kind: TraceKind, noise: float = 0.2) -> str:
    """Return the chain of thought of a question, which ends in `so ANSWER`.

    - `full` lists all events, and then those that the program reads.
    - `short` lists only the events that the program reads.
    - `noisy` is `full`, but in the list of all events each attribute word is replaced with
      probability `noise`, in [0, 1].
    """
    touched = [describe(world, world.events[slot]) for slot in question.touched]
    reasoning = " ; ".join([*touched, f"so {question.answer}"])
    if kind == "short":
        return reasoning
    listed = [f"{event.slot + 1} {describe(world, event)}" for event in world.events]
    if kind == "noisy":
        draw = Draw(ROOT_SEED, SPLITS[world.split].stream, world.index, 3)
        listed = [" ".join(_blur(word, noise, draw) for word in line.split()) for line in listed]
    return " ; ".join([*listed, reasoning])


def _blur(word: str, noise: float, draw: Draw) -> str:
    """Return the word, or with probability `noise` another color, shape or direction for it."""
    for words in (COLORS, SHAPES, tuple(DIRECTIONS)):
        if word in words and draw.below(1000) < 1000 * noise:
            return draw.choice([other for other in words if other != word])
    return word
