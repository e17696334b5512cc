"""Questions about many videos: each video gets the same yes-or-no question; answers are counted."""

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

_PER_VIDEO = re.compile(
    r"\s*(in\s+)?(which|how\s+many)\s+(?:video|clip|file|recording)(s?)\s+(.+?)[\s?.]*",
    re.IGNORECASE,
)
_AUXILIARY_VERB = re.compile(r"(did|do|does|is|are|was|were|has|have|had|can)\s", re.IGNORECASE)
_MOMENTS_PER_BATCH = 32
"""Number of moments that are loaded and asked together."""


@dataclass(frozen=True)
class PerVideoQuestion:
    """A question about many videos, as the yes-or-no question that each video gets."""

    kind: Literal["which", "count"]
    """Whether the answer names the videos or counts them."""
    question: str
    """Yes-or-no question about one video."""


def per_video_question(text: str) -> PerVideoQuestion | None:
    """Return a question about many videos as one about each video; None for any other question.

    "In which videos did the red square move?" becomes "Did the red square move?". "How many videos
    show a dog?" becomes "Does the video show a dog?".
    """
    match = _PER_VIDEO.fullmatch(text)
    if match is None:
        return None
    in_, quantifier, plural, rest = match.groups()
    kind: Literal["which", "count"] = "which" if quantifier.lower() == "which" else "count"
    # "In which videos did it move?": the rest is a complete question already.
    if in_ and _AUXILIARY_VERB.match(rest):
        return PerVideoQuestion(kind, f"{rest[0].upper()}{rest[1:]}?")
    # "Which video shows a dog?": the rest starts with a verb, which becomes an infinitive.
    verb, _, complement = rest.partition(" ")
    if not plural:
        verb = "have" if verb == "has" else verb.removesuffix("s")
    return PerVideoQuestion(kind, f"Does the video {verb} {complement}?")


def answer_per_video(
    question: Question,
    per_video: PerVideoQuestion,
    candidates: Sequence[Moment],
    source: VideoSource,
    answerer: Answerer,
) -> Answer:
    """Return in which videos, or in how many, the answer is yes.

    Choice: the model chooses between yes and no for each segment. A video counts if yes is the
    likelier choice for one of its segments; copies count as one video. The evidence of a video is
    that of the segment with the most likely yes.
    """
    best_yes: dict[str, Answered] = {}
    names: dict[str, str] = {}
    all_answered: list[Answered] = []
    yes_or_no = Question(question.id, per_video.question, choices=("yes", "no"))
    for moment, answered in _ask_each(yes_or_no, candidates, source, answerer):
        all_answered.append(answered)
        content = moment.segment.content_id
        if answered.answer.answer == "yes" and (
            content not in best_yes or best_yes[content].log_likelihood < answered.log_likelihood
        ):
            best_yes[content] = answered
            names[content] = printable(Path(moment.paths[0].name))
    yes_answers = [answered.answer for answered in best_yes.values()]
    is_count = per_video.kind == "count"
    first = all_answered[0].answer
    return first.model_copy(
        update={
            "question": question.text,
            "answer": str(len(yes_answers)) if is_count else "; ".join(sorted(names.values())),
            "choice": None,
            "choice_probs": None,
            "status": "ok" if yes_answers or is_count else "not_found",
            "evidence": [moment for answer in yes_answers for moment in answer.evidence],
            "timing_seconds": {
                name: sum(answered.answer.timing_seconds[name] for answered in all_answered)
                for name in first.timing_seconds
            },
            "cache_hit": all(answered.answer.cache_hit for answered in all_answered),
        }
    )


def _ask_each(
    question: Question, candidates: Sequence[Moment], source: VideoSource, answerer: Answerer
) -> Iterator[tuple[Moment, Answered]]:
    """Yield each candidate with its answer to the same question, computed in batches."""
    for start in range(0, len(candidates), _MOMENTS_PER_BATCH):
        batch = candidates[start : start + _MOMENTS_PER_BATCH]
        clips = load_moments(source, batch)
        yield from zip(batch, answerer.answer([(clip, [question]) for clip in clips]), strict=True)


def load_moments(source: VideoSource, moments: Sequence[Moment]) -> list[LoadedClip]:
    """Return moments with the features of the content that was indexed.

    Raises:
        VideoError: If the cache lacks a moment and its file is gone or has changed.
    """
    clips = [Clip(m.paths[0], m.segment.window, m.segment.content_id) for m in moments]
    if all(source.cached(clip) for clip in clips):
        return load_cached(source, clips)
    return [load_clip(source, clip) for clip in clips]
