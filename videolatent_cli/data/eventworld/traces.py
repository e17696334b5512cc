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
    """Return the reasoning in words, ending in `so ANSWER`.

    `full` lists every event and then those that the program reads, `short` only the latter, and
    `noisy` is `full` with every attribute word replaced with probability `noise` (in [0, 1]).
    """
    touched = [describe(world, world.events[slot]) for slot in question.touched]
    end = " ; ".join([*touched, f"so {question.answer}"])
    if kind == "short":
        return end
    listed = [f"{event.slot + 1} {describe(world, event)}" for event in world.events]
    if kind == "noisy":
        draw = Draw(ROOT_SEED, SPLITS[world.split].stream, world.index, 3)
        listed = [" ".join(_blur(word, noise, draw) for word in line.split()) for line in listed]
    return " ; ".join([*listed, end])


def _blur(word: str, noise: float, draw: Draw) -> str:
    """Return the word, or with probability `noise` another word of its kind."""
    for words in (COLORS, SHAPES, tuple(DIRECTIONS)):
        if word in words and draw.below(1000) < 1000 * noise:
            return draw.choice([other for other in words if other != word])
    return word
