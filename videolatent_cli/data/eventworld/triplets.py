"""EventWorld questions as triplets."""

from collections.abc import Iterable

from videolatent_cli.data.eventworld.balance import Balance
from videolatent_cli.data.eventworld.forms import in_another_form
from videolatent_cli.data.eventworld.questions import (
    ANSWERS,
    DESCRIPTIONS,
    FAMILIES_3_HOPS_AND_MORE,
    FAMILIES_UP_TO_2_HOPS,
    HOPS,
    WorldQuestion,
)
from videolatent_cli.data.eventworld.render import FPS
from videolatent_cli.data.eventworld.traces import TraceKind, trace
from videolatent_cli.data.eventworld.world import (
    ROOT_SEED,
    SPEC_VERSION,
    SPLITS,
    Draw,
    World,
    make_world,
)
from videolatent_cli.data.triplets import AnswerType, Triplet
from videolatent_cli.errors import RecipeError

_GROUPS = {
    "all": (*FAMILIES_UP_TO_2_HOPS, *FAMILIES_3_HOPS_AND_MORE),
    "1-2 hops": FAMILIES_UP_TO_2_HOPS,
    "3+ hops": FAMILIES_3_HOPS_AND_MORE,
    "describe": DESCRIPTIONS,
}
"""Groups of families that a recipe may name instead of single families."""


def expand_families(names: Iterable[str]) -> tuple[str, ...]:
    """Return the families of a recipe's list of family names and group names.

    Raises:
        RecipeError: For an unknown name.
    """
    families: dict[str, None] = {}
    for name in names:
        if name not in _GROUPS and name not in HOPS:
            known = ", ".join([*_GROUPS, *HOPS])
            raise RecipeError(f"data.families: unknown family, got '{name}'; choose from: {known}")
        families |= dict.fromkeys(_GROUPS.get(name, (name,)))
    return tuple(families)


def video_name(split: str, index: int) -> str:
    """Return the path of a video, relative to the folder of EventWorld."""
    return f"{split}/{index:06d}.mp4"


def eventworld_triplets(
    split: str,
    indices: Iterable[int],
    families: Iterable[str],
    questions_per_video: int,
    options_fraction: float = 0.0,
    forms_fraction: float = 0.0,
    rationale: TraceKind | None = None,
) -> list[tuple[World, list[Triplet]]]:
    """Return worlds with their questions as triplets; answers are balanced over all indices.

    Args:
        split: Name of the split.
        indices: Indices of the videos, in the order in which the balance sees them.
        families: Names of families and of groups of families.
        questions_per_video: Maximum number of questions per video.
        options_fraction: Share of the questions that list options.
        forms_fraction: Share of the questions that ask for another form of answer.
        rationale: Kind of trace that becomes the triplet's rationale; None: no rationale.
    """
    balance = Balance(expand_families(families))
    pairs = []
    for index in indices:
        world = make_world(split, index)
        draw = Draw(ROOT_SEED, SPLITS[split].stream, index, 4)
        triplets = []
        for number, question in enumerate(balance.pick(world, questions_per_video)):
            # Dense descriptions have neither options nor other forms, and draw nothing.
            is_question = question.family in ANSWERS
            has_options = is_question and draw.below(1000) < 1000 * options_fraction
            options = _options(question, draw) if has_options else None
            triplet = _triplet(world, question, number, options)
            if is_question and rationale is not None:
                text = trace(world, question, rationale)
                triplet = triplet.model_copy(update={"rationale": text})
            if is_question and draw.below(1000) < 1000 * forms_fraction:
                triplet = in_another_form(triplet, draw)
            triplets.append(triplet)
        pairs.append((world, triplets))
    return pairs


def _options(question: WorldQuestion, draw: Draw) -> list[str]:
    """Return two to six options in random order; one of them is the answer."""
    wrong = [answer for answer in ANSWERS[question.family] if answer != question.answer]
    count = 1 + draw.below(min(len(wrong), 5))
    return draw.shuffled([question.answer, *draw.shuffled(wrong)[:count]])


def _triplet(
    world: World, question: WorldQuestion, number: int, options: list[str] | None
) -> Triplet:
    """Return a question as a triplet; `meta` contains the times of the event that decides it."""
    meta: dict[str, object] = {
        "spec_version": SPEC_VERSION,
        "program": question.program,
        "hops": question.hops,
        "trace_full": trace(world, question, "full"),
        "trace_short": trace(world, question, "short"),
    }
    if question.touched:
        event = world.events[question.touched[-1]]
        meta["event_seconds"] = [event.start_frame / FPS, (event.end_frame + 1) / FPS]
    return Triplet(
        id=f"eventworld/{world.split}/{world.index}/{number}",
        video=video_name(world.split, world.index),
        question=question.text,
        answer=question.answer,
        answer_type="choice" if options else _answer_type(question.answer),
        options=options,
        category=[question.family, f"hops={question.hops}"],
        split=world.split,
        dataset="eventworld",
        meta=meta,
    )


def _answer_type(answer: str) -> AnswerType:
    """Return the type of an EventWorld answer."""
    if answer in ("yes", "no"):
        return "yesno"
    return "number" if answer.isdigit() else "text"
