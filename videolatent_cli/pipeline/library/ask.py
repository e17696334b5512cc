"""Ask a library a question: find moments, ask the model about each, and combine the answers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from videolatent_cli.errors import UsageError
from videolatent_cli.pipeline.answering.answerer import (
    Answered,
    Answerer,
    AnswerOptions,
    Question,
    unanswered,
)
from videolatent_cli.pipeline.answering.evidence import evidence_sheet
from videolatent_cli.pipeline.library.ask_many import (
    PerVideoQuestion,
    answer_per_video,
    load_moments,
    per_video_question,
)
from videolatent_cli.pipeline.library.search import LibrarySearch, Moment, SearchRequest
from videolatent_cli.pipeline.runs.trained_model import TrainedModel
from videolatent_cli.store.library import Library
from videolatent_cli.video.sheet import write_sheet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from videolatent_cli.model.source import VideoSource
    from videolatent_cli.pipeline.answering.answer import Answer
    from videolatent_cli.pipeline.answering.answerer import LoadedClip

_MIN_WEIGHT = 1e-6
"""Lowest weight of an answer, so that answers to moments with score 0 still count."""


@dataclass(frozen=True)
class LibraryOptions:
    """Which moments of a library are asked."""

    count: int = 5
    """Number of moments that are asked, the best matches."""
    max_segments: int = 1000
    """Number of segments that are asked at most, for a question about many videos."""
    min_score: float | None = None
    """Lowest score of a moment that is asked; None: the default of the embedder."""
    under: str = ""
    """Folder, or start of the path below a root, that files must be in; empty: all files."""
    where: str | None = None
    """SQL condition on the columns of files."""

    @property
    def selects(self) -> bool:
        """Whether only a part of the library is asked."""
        return bool(self.under) or self.where is not None or self.min_score is not None


@dataclass(frozen=True)
class _Candidate:
    """A moment with its answer."""

    moment: Moment
    loaded: LoadedClip
    answered: Answered

    @property
    def weight(self) -> float:
        """Weight of the answer: the likelihood of its words times the score of the moment."""
        likelihood = math.exp(self.answered.log_likelihood)
        return max(likelihood * self.moment.score, _MIN_WEIGHT)


class LibraryAsker:
    """Answers questions from a library with one trained model."""

    def __init__(
        self,
        library: Library,
        trained: TrainedModel,
        source: VideoSource,
        options: LibraryOptions,
        answer_options: AnswerOptions,
    ) -> None:
        library.check(sampling=trained.checkpoint.sampling.hash, fingerprint=source.fingerprint)
        self._library = library
        self._library_search = LibrarySearch(library)
        self._trained = trained
        self._source = source
        self._answerer = Answerer(trained, answer_options)
        self._options = options

    def answer(self, question: Question, sheet: Path | None = None) -> Answer:
        """Return the answer with the largest total weight; `not_found` if no moment matches.

        Choice: each answer has a weight, the likelihood of its words times the score of its
        moment. The weights of equal answers add up. The evidence is that of the moments that agree.

        Args:
            question: The question.
            sheet: PNG file for a contact sheet of the moment with the largest weight.

        Raises:
            UsageError: If a sheet is requested for a question about many videos.
        """
        request = self._search_request(question)
        per_video = per_video_question(question.text) if not question.choices else None
        if per_video is not None and sheet is not None:
            raise UsageError(
                f"--sheet: shows one video, got a question about many ('{question.text}'); "
                "use --clips"
            )
        if per_video is not None:
            return self._answer_per_video(question, per_video, request)
        moments = self._library_search.find(request)
        if not moments:
            return self._not_found(question, request)
        candidates = self._ask(question, moments)
        weights: dict[str, float] = {}
        for candidate in candidates:
            text = candidate.answered.answer.answer
            weights[text] = weights.get(text, 0.0) + candidate.weight
        best = max(weights, key=weights.__getitem__)
        agreeing = [c for c in candidates if c.answered.answer.answer == best]
        agreeing.sort(key=lambda candidate: -candidate.weight)
        if sheet is not None:
            self._write_sheet(agreeing[0], sheet)
        return _combined(agreeing)

    def _search_request(self, question: Question) -> SearchRequest:
        """Return the search for the moments of a question."""
        options = self._options
        min_score = options.min_score
        if min_score is None:
            min_score = self._library_search.embedder.default_min_score
        return SearchRequest(
            question.text,
            self._library.folder,
            options.count,
            under=options.under,
            where=options.where,
            min_score=min_score,
        )

    def _answer_per_video(
        self, question: Question, per_video: PerVideoQuestion, request: SearchRequest
    ) -> Answer:
        """Return the answer to a question about many videos."""
        # The search uses the question about one video: "how many videos" matches no moment.
        request = replace(request, query=per_video.question, count=self._options.max_segments)
        moments = self._library_search.candidates(request)
        if not moments:
            return self._not_found(question, request)
        answer = answer_per_video(question, per_video, moments, self._source, self._answerer)
        num_segments = len(self._library.segments)
        asked = f"asked {len(moments)} of {num_segments} segments: {per_video.question}"
        return answer.model_copy(update={"warnings": [asked, *answer.warnings]})

    def _not_found(self, question: Question, request: SearchRequest) -> Answer:
        """Return an answer which states that no moment of the library matches."""
        reason = (
            f"no moment of the library scores {request.min_score:g} or more; ask about something "
            "that its videos show, or lower --min-score"
        )
        return unanswered(self._trained, question, "not_found", reason)

    def _ask(self, question: Question, moments: Sequence[Moment]) -> list[_Candidate]:
        """Return each moment with its answer, all computed together."""
        clips = load_moments(self._source, moments)
        answers = self._answerer.answer([(clip, [question]) for clip in clips])
        return [_Candidate(*parts) for parts in zip(moments, clips, answers, strict=True)]

    def _write_sheet(self, best: _Candidate, sheet: Path) -> None:
        """Write the contact sheet of the moment with the largest weight."""
        answer = best.answered.answer
        title = f"{answer.question}\n{answer.answer} ({best.loaded.clip.path})"
        weights = best.answered.weights or []
        picture = evidence_sheet(self._trained, best.loaded.clip, title, weights, answer.evidence)
        write_sheet(picture, sheet)


def _combined(agreeing: Sequence[_Candidate]) -> Answer:
    """Return the first answer with the evidence and the times of all that agree."""
    answers = [candidate.answered.answer for candidate in agreeing]
    seconds = {
        name: sum(answer.timing_seconds[name] for answer in answers)
        for name in answers[0].timing_seconds
    }
    return answers[0].model_copy(
        update={
            "evidence": [moment for answer in answers for moment in answer.evidence],
            "timing_seconds": seconds,
            "cache_hit": all(answer.cache_hit for answer in answers),
        }
    )
