"""Questions about many videos: every video is asked the same, and the answers are counted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from videolatent_cli.errors import printable
from videolatent_cli.pipeline.answering.answerer import Question, load_cached, load_clip
from videolatent_cli.video.clip import Clip

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from videolatent_cli.model.source import VideoSource
    from videolatent_cli.pipeline.answering.answer import Answer
    from videolatent_cli.pipeline.answering.answerer import Answered, Answerer, LoadedClip
    from videolatent_cli.pipeline.library.search import Moment

_ASKED = re.compile(
    r"\s*(in\s+)?(which|how\s+many)\s+(?:video|clip|file|recording)(s?)\s+(.+?)[\s?.]*",
    re.IGNORECASE,
)
_AUXILIARY = re.compile(r"(did|do|does|is|are|was|were|has|have|had|can)\s", re.IGNORECASE)


@dataclass(frozen=True)
class CrossQuestion:
    """A question that is answered by asking each video the same."""

    kind: Literal["which", "count"]
    each: str
    """Asked of every video; its answer is yes or no."""


def cross_question(text: str) -> CrossQuestion | None:
    """Return a question about many videos as one for each, None for any other question.

    "In which videos did the red square move?" asks each "Did the red square move?", and "How many
    videos show a dog?" asks "Does the video show a dog?".
    """
    found = _ASKED.fullmatch(text)
    if found is None:
        return None
    inside, which, plural, rest = found.groups()
    kind: Literal["which", "count"] = "which" if which.lower() == "which" else "count"
    if inside and _AUXILIARY.match(rest):
        return CrossQuestion(kind, f"{rest[0].upper()}{rest[1:]}?")
    verb, _, what = rest.partition(" ")
    if not plural:
        verb = "have" if verb == "has" else verb.removesuffix("s")
    return CrossQuestion(kind, f"Does the video {verb} {what}?")


_AT_ONCE = 32


def answer_per_video(
    question: Question,
    cross: CrossQuestion,
    candidates: Sequence[Moment],
    source: VideoSource,
    answerer: Answerer,
) -> Answer:
    """Return which videos, or how many, a question is true of.

    Choice: each segment is given the answers yes and no, and a video counts if yes is the likelier
    one for a segment of it; copies are one video. The evidence is, for each, that of the segment
    whose yes is most likely.
    """
    best: dict[str, Answered] = {}
    names: dict[str, str] = {}
    answered: list[Answered] = []
    asked = Question(question.id, cross.each, choices=("yes", "no"))
    for moment, found in _ask_each(asked, candidates, source, answerer):
        answered.append(found)
        content = moment.segment.content_id
        if found.answer.answer == "yes" and (
            content not in best or best[content].log_likelihood < found.log_likelihood
        ):
            best[content] = found
            names[content] = printable(Path(moment.paths[0].name))
    yes = [found.answer for found in best.values()]
    text = str(len(yes)) if cross.kind == "count" else "; ".join(sorted(names.values()))
    first = answered[0].answer
    return first.model_copy(
        update={
            "question": question.text,
            "answer": text,
            "choice": None,
            "choice_probs": None,
            "status": "ok" if yes or cross.kind == "count" else "not_found",
            "evidence": [moment for answer in yes for moment in answer.evidence],
            "timing_seconds": {
                name: sum(one.answer.timing_seconds[name] for one in answered)
                for name in first.timing_seconds
            },
            "cache_hit": all(one.answer.cache_hit for one in answered),
        }
    )


def _ask_each(
    question: Question, candidates: Sequence[Moment], source: VideoSource, answerer: Answerer
) -> Iterator[tuple[Moment, Answered]]:
    """Yield each candidate with the answer to the same question, some at a time."""
    for start in range(0, len(candidates), _AT_ONCE):
        some = candidates[start : start + _AT_ONCE]
        loaded = load_moments(source, some)
        yield from zip(some, answerer.answer([(one, [question]) for one in loaded]), strict=True)


def load_moments(source: VideoSource, moments: Sequence[Moment]) -> list[LoadedClip]:
    """Return moments with their features: those of the content that was indexed.

    Raises:
        VideoError: Where the cache lacks a moment, and its file is gone or has changed.
    """
    clips = [Clip(m.paths[0], m.segment.window, m.segment.content_id) for m in moments]
    if all(source.cached(clip) for clip in clips):
        return load_cached(source, clips)
    return [load_clip(source, clip) for clip in clips]
