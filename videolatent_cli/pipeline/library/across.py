"""Questions across the videos of a library: each is asked the same, and the answers are counted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from videolatent_cli.errors import printable
from videolatent_cli.model.source import Clip
from videolatent_cli.pipeline.answering import Question, load_cached, load_clip

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from videolatent_cli.data.cross_video import CrossQuestion
    from videolatent_cli.model.source import VideoSource
    from videolatent_cli.pipeline.answering import Answered, Answerer, LoadedClip
    from videolatent_cli.pipeline.documents import Answer
    from videolatent_cli.pipeline.library.search import Moment

_AT_ONCE = 32


def answer_across(
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
