"""One question asked of a whole library: moments found, each asked, the answers combined."""

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
    CrossQuestion,
    answer_per_video,
    cross_question,
    load_moments,
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

_LEAST_WEIGHT = 1e-6


@dataclass(frozen=True)
class LibraryOptions:
    """How a library is asked."""

    count: int = 5
    """Moments that are asked."""
    most: int = 1000
    """Moments that are asked at most where the question is about many videos."""
    min_score: float | None = None
    """Score from which a moment counts as found; None: what the embedder says."""
    under: str = ""
    where: str | None = None

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
        """How much its answer counts: the chance of its words times the score of the moment."""
        chance = math.exp(self.answered.log_likelihood)
        return max(chance * self.moment.score, _LEAST_WEIGHT)


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
        self._finder = LibrarySearch(library)
        self._trained = trained
        self._source = source
        self._answerer = Answerer(trained, answer_options)
        self._options = options

    def answer(self, question: Question, sheet: Path | None = None) -> Answer:
        """Return the answer that the moments found speak for most; `not_found` where there is none.

        Choice: each moment's answer counts by the likelihood of its words times the moment's
        score, equal answers together; the evidence is that of the moments that agree.

        Raises:
            UsageError: Where a sheet of many videos is asked for.
        """
        request = self._search(question)
        cross = cross_question(question.text) if not question.choices else None
        if cross is not None and sheet is not None:
            raise UsageError(
                f"--sheet: draws one video, got a question about many ('{question.text}'); "
                "use --clips"
            )
        if cross is not None:
            return self._answer_per_video(question, cross, request)
        moments = self._finder.find(request)
        if not moments:
            return self._not_found(question, request)
        candidates = self._ask(question, moments)
        totals: dict[str, float] = {}
        for one in candidates:
            text = one.answered.answer.answer
            totals[text] = totals.get(text, 0.0) + one.weight
        best = max(totals, key=totals.__getitem__)
        agreeing = [one for one in candidates if one.answered.answer.answer == best]
        agreeing.sort(key=lambda one: -one.weight)
        if sheet is not None:
            self._write_sheet(agreeing[0], sheet)
        return _combined(agreeing)

    def _answer_per_video(
        self, question: Question, cross: CrossQuestion, request: SearchRequest
    ) -> Answer:
        """Return the answer to a question about many videos."""
        request = replace(request, query=cross.each, count=self._options.most)
        found = self._finder.candidates(request)
        if not found:
            return self._not_found(question, request)
        answer = answer_per_video(question, cross, found, self._source, self._answerer)
        asked = f"asked {len(found)} of {len(self._library.segments)} segments: {cross.each}"
        return answer.model_copy(update={"warnings": [asked, *answer.warnings]})

    def _not_found(self, question: Question, request: SearchRequest) -> Answer:
        """Return that nothing in the library is about a question."""
        reason = (
            f"no moment of the library scores {request.min_score:g} or more; name what is seen "
            "there, or lower --min-score"
        )
        return unanswered(self._trained, question, "not_found", reason)

    def _search(self, question: Question) -> SearchRequest:
        """Return how the moments of a question are found."""
        options = self._options
        least = (
            self._finder.embedder.least_score if options.min_score is None else options.min_score
        )
        return SearchRequest(
            question.text,
            self._library.folder,
            options.count,
            under=options.under,
            where=options.where,
            min_score=least,
        )

    def _ask(self, question: Question, moments: Sequence[Moment]) -> list[_Candidate]:
        """Return each moment with its answer, all computed together."""
        loaded = load_moments(self._source, moments)
        answered = self._answerer.answer([(one, [question]) for one in loaded])
        return [_Candidate(*each) for each in zip(moments, loaded, answered, strict=True)]

    def _write_sheet(self, best: _Candidate, sheet: Path) -> None:
        """Write the contact sheet of the moment that counts most."""
        answer = best.answered.answer
        title = f"{answer.question}\n{answer.answer} ({best.loaded.clip.path})"
        weights = best.answered.weights or []
        picture = evidence_sheet(self._trained, best.loaded.clip, title, weights, answer.evidence)
        write_sheet(picture, sheet)


def _combined(agreeing: Sequence[_Candidate]) -> Answer:
    """Return the answer of the moment that counts most, with the evidence of all that agree."""
    answers = [one.answered.answer for one in agreeing]
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
