"""EventWorld: procedural videos and questions with a known number of reasoning steps."""

from videolatent_cli.data.eventworld.balance import Balance
from videolatent_cli.data.eventworld.questions import (
    DESCRIPTIONS,
    FAMILIES_3_HOPS_AND_MORE,
    FAMILIES_UP_TO_2_HOPS,
    HOPS,
    WorldQuestion,
    all_questions,
    descriptions,
)
from videolatent_cli.data.eventworld.render import FPS, SIZE_PX, render
from videolatent_cli.data.eventworld.traces import TraceKind, trace
from videolatent_cli.data.eventworld.world import SPEC_VERSION, SPLITS, World, make_world

__all__ = [
    "DESCRIPTIONS",
    "FAMILIES_3_HOPS_AND_MORE",
    "FAMILIES_UP_TO_2_HOPS",
    "FPS",
    "HOPS",
    "SIZE_PX",
    "SPEC_VERSION",
    "SPLITS",
    "Balance",
    "TraceKind",
    "World",
    "WorldQuestion",
    "all_questions",
    "descriptions",
    "make_world",
    "render",
    "trace",
]
