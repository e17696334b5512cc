"""`vl batch`: a file of questions answered, those about one clip together."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from videolatent_cli.data.questions import AskedQuestion, read_questions
from videolatent_cli.errors import DataError, VideoError
from videolatent_cli.model.source import missing_clips, pinned_clips
from videolatent_cli.pipeline.answering.answer_file import AnswerFile
from videolatent_cli.pipeline.answering.answerer import (
    AnswerOptions,
    Question,
    load_cached,
    unanswered,
)
from videolatent_cli.pipeline.answering.engine import open_engine
from videolatent_cli.pipeline.answering.page import write_answer_page
from videolatent_cli.pipeline.library.ask import LibraryAsker, LibraryOptions
from videolatent_cli.pipeline.runs.trained_model import TrainedModel, open_model
from videolatent_cli.runtime.interrupt import StopRequest
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.runtime.progress import Progress, silent
from videolatent_cli.store import FeatureCache
from videolatent_cli.store.library import Library
from videolatent_cli.video.clip import Clip

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from videolatent_cli.model.source import VideoSource
    from videolatent_cli.pipeline.answering.answer import Answer
    from videolatent_cli.pipeline.answering.answerer import LoadedClip
    from videolatent_cli.pipeline.answering.engine import BatchEngine, Pack

_CLIPS_AT_ONCE = 64
"""Clips that are encoded and read from the cache at a time."""


@dataclass(frozen=True)
class BatchRequest:
    """Which questions to answer, and how."""

    questions: Path
    out: Path
    """JSON Lines of answer documents; those that are there are not asked again."""
    videos: Path
    """Folder that the questions' videos lie below."""
    run: Path | None = None
    """Run folder; None: the newest, else the embedded model."""
    library: Path | None = None
    """Asked where a question names no video; a video may then be a path or id in it too."""
    options: AnswerOptions = field(default_factory=AnswerOptions)
    retry_failed: bool = False
    questions_at_once: int = 32
    """Most questions that are run together."""
    workers: int | None = None
    """Processes on a Ray cluster; None: this process alone."""
    report: Path | None = None
    """HTML page of all answers to write."""


@dataclass(frozen=True)
class BatchReport:
    """What a batch did."""

    asked: int
    done_before: int
    failed: int
    """Questions without an answer, those of earlier runs too."""
    out: Path
    seconds: float

    def document(self) -> dict[str, Any]:
        """Return the JSON document `vl.batch/1`."""
        return {"schema": "vl.batch/1", **vars(self), "out": str(self.out)}


def answer_batch(
    request: BatchRequest, machine: Machine = Machine(), progress: Progress = silent
) -> BatchReport:
    """Answer what is not answered yet, appending each answer as it is found.

    Args:
        request: What to ask.
        machine: Folder of caches and torch device; cached videos are not decoded.
        progress: Called with (what, done, total).

    Raises:
        DataError: For a file of questions that cannot be used.
        IncompatibleError: Where the file of answers belongs to other questions.
        InterruptedRunError: After Ctrl-C; what is answered is kept.
    """
    started = time.perf_counter()
    questions = read_questions(request.questions)
    with AnswerFile(request.out, questions, retry_failed=request.retry_failed) as answers:
        done_before = len(answers.done)
        todo = [question for question in questions if question.id not in answers.done]
        if todo:
            library = Library.open(request.library) if request.library is not None else None
            _check(request, todo)
            trained = open_model(request.run, machine.device)
            source = trained.source(FeatureCache(machine.cache_dir))
            opened = open_engine(trained, source, request.options, machine.device, request.workers)
            with StopRequest() as stop, opened as engine:
                batch = _Batch(trained, source, request, library, engine)

                def show(what: str, done: int, total: int) -> None:
                    progress(what, done, total)
                    stop.check(f"{len(answers.done)} answers are kept", "the same command")

                for found in batch.answers(todo, show):
                    answers.append(found)
                    show("answer", len(answers.done) - done_before, len(todo))
    if request.report is not None:
        write_answer_page(request.out, request.report, progress)
    seconds = time.perf_counter() - started
    return BatchReport(len(todo), done_before, answers.num_failed, request.out, seconds)


def _check(request: BatchRequest, questions: Iterable[AskedQuestion]) -> None:
    """Raise where questions name no video and there is no library to ask."""
    lost = [question.id for question in questions if question.video is None]
    if lost and request.library is None:
        raise DataError(
            f"{request.questions}: video: is missing in '{lost[0]}' ({len(lost)} such questions); "
            "name one, or ask a library with --library"
        )


class _Batch:
    """One pass over questions: clips are encoded, read and answered some at a time."""

    def __init__(
        self,
        trained: TrainedModel,
        source: VideoSource,
        request: BatchRequest,
        library: Library | None,
        engine: BatchEngine,
    ) -> None:
        self._trained = trained
        self._source = source
        self._request = request
        self._engine = engine
        self._known: dict[str, Path] = {}
        self._asker: LibraryAsker | None = None
        if library is not None:
            self._asker = LibraryAsker(library, trained, source, LibraryOptions(), request.options)
            for row in library.files():
                self._known |= {row.path: library.path(row), row.content_id: library.path(row)}

    def answers(
        self, questions: Iterable[AskedQuestion], progress: Progress
    ) -> Iterator[list[Answer]]:
        """Yield the answers of questions that were run together."""
        by_clip: dict[Clip, list[AskedQuestion]] = {}
        for question in questions:
            if question.video is None:
                assert self._asker is not None, "_check saw that there is a library"
                yield [self._asker.answer(_as_question(question))]
            else:
                below = self._request.videos / question.video
                clip = Clip(self._known.get(question.video, below), question.window)
                by_clip.setdefault(clip, []).append(question)
        clips = iter(by_clip)
        while window := list(islice(clips, _CLIPS_AT_ONCE)):
            pinned, bad = pinned_clips(window)
            new, broken = self._encode(pinned, progress)
            bad |= broken
            for clip, reason in bad.items():
                asked = map(_as_question, by_clip[clip])
                yield [unanswered(self._trained, q, "failed", reason) for q in asked]
            loaded = self._load([clip for clip in pinned if clip not in bad], new)
            for answered in self._engine.answer(self._packs(loaded, by_clip)):
                yield [found.answer for found in answered]

    def _encode(
        self, clips: Sequence[Clip], progress: Progress
    ) -> tuple[dict[Clip, float], dict[Clip, str]]:
        """Encode what the cache lacks; return the seconds of each, and what cannot be read."""
        missing = missing_clips(self._source, clips)
        new: dict[Clip, float] = {}
        bad: dict[str, str] = {}
        if missing:
            encoding = self._engine.encode(missing)
            with closing(encoding):
                last = time.perf_counter()
                for done, (clip, frames) in enumerate(encoding, start=1):
                    if isinstance(frames, VideoError):
                        bad[self._source.key(clip)] = str(frames)
                    else:
                        new[clip] = time.perf_counter() - last
                    last = time.perf_counter()
                    progress("encode", done, len(missing))
        keys = {clip: self._source.key(clip) for clip in clips}  # copies of a bad file are bad too
        return new, {clip: bad[key] for clip, key in keys.items() if key in bad}

    def _load(self, clips: list[Clip], new: Mapping[Clip, float]) -> list[LoadedClip]:
        """Return clips with their features, the longest first."""
        loaded = load_cached(self._source, clips, new)
        return sorted(loaded, key=lambda one: -len(one.features.embeds))

    def _packs(
        self, loaded: Iterable[LoadedClip], by_clip: Mapping[Clip, list[AskedQuestion]]
    ) -> Iterator[Pack]:
        """Yield clips with questions, as many as are run together; clips of like length meet."""
        limit = self._request.questions_at_once
        pack: Pack = []
        room = limit
        for one in loaded:
            asked = [_as_question(question) for question in by_clip[one.clip]]
            while asked:
                pack.append((one, asked[:room]))
                asked, room = asked[room:], room - len(asked[:room])
                if room == 0:
                    yield pack
                    pack, room = [], limit
        if pack:
            yield pack


def _as_question(asked: AskedQuestion) -> Question:
    """Return a line of the file as the question that is put to the model."""
    return Question(asked.id, asked.question, tuple(asked.choices or ()))
