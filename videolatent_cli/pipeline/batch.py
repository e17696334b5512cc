"""`vl batch`: answer a file of questions, those about one clip together."""

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
"""Number of clips that are encoded, and then read from the cache, together."""


@dataclass(frozen=True)
class BatchRequest:
    """File of questions to answer, and where to write the answers."""

    questions: Path
    """File of questions: JSON Lines or CSV."""
    out: Path
    """File of answer documents (JSON Lines); questions answered in it are not asked again."""
    videos: Path
    """Folder that the questions' video paths are relative to."""
    run: Path | None = None
    """Run folder; None: the newest, or the embedded model if there is none."""
    library: Path | None = None
    """Library for questions that name no video. With it, a question may also name a video by its
    path or id in the library."""
    options: AnswerOptions = field(default_factory=AnswerOptions)
    retry_failed: bool = False
    """Ask questions again that failed in an earlier run."""
    questions_at_once: int = 32
    """Maximum number of questions per model batch."""
    workers: int | None = None
    """Number of workers on a Ray cluster; None: this process alone."""
    report: Path | None = None
    """HTML page of all answers to write."""


@dataclass(frozen=True)
class BatchReport:
    """Counts and time of a batch."""

    asked: int
    """Number of questions asked in this run."""
    done_before: int
    """Number of questions answered in earlier runs."""
    failed: int
    """Number of questions without an answer, those of earlier runs included."""
    out: Path
    """File of answers."""
    seconds: float
    """Wall time of this run (s)."""

    def document(self) -> dict[str, Any]:
        """Return the report as the JSON document `vl.batch/1`."""
        return {"schema": "vl.batch/1", **vars(self), "out": str(self.out)}


def answer_batch(
    request: BatchRequest, machine: Machine = Machine(), progress: Progress = silent
) -> BatchReport:
    """Answer the questions that have no answer yet, and append each answer to the file.

    Args:
        request: The questions and their options.
        machine: Folder of caches and torch device; cached videos are not decoded.
        progress: Called with (what, done, total).

    Raises:
        DataError: If the file of questions is invalid, or a question needs a library.
        IncompatibleError: If the file of answers belongs to other questions.
        InterruptedRunError: After Ctrl-C; answers written so far are kept.
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
            context = open_engine(trained, source, request.options, machine.device, request.workers)
            with StopRequest() as stop, context as engine:
                batch = _Batch(trained, source, request, library, engine)

                def show(what: str, done: int, total: int) -> None:
                    progress(what, done, total)
                    stop.check(f"{len(answers.done)} answers are kept", "the same command")

                for new_answers in batch.answers(todo, show):
                    answers.append(new_answers)
                    show("answer", len(answers.done) - done_before, len(todo))
    if request.report is not None:
        write_answer_page(request.out, request.report, progress)
    seconds = time.perf_counter() - started
    return BatchReport(len(todo), done_before, answers.num_failed, request.out, seconds)


def _check(request: BatchRequest, questions: Iterable[AskedQuestion]) -> None:
    """Raise if questions name no video and there is no library to ask."""
    without_video = [question.id for question in questions if question.video is None]
    if without_video and request.library is None:
        raise DataError(
            f"{request.questions}: video: is missing in '{without_video[0]}' "
            f"({len(without_video)} such questions); name one, or ask a library with --library"
        )


class _Batch:
    """Pass over questions that encodes, reads and answers a limited number of clips at a time."""

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
        # Files of the library, by their path and by their content id in it.
        self._known: dict[str, Path] = {}
        self._asker: LibraryAsker | None = None
        if library is not None:
            self._asker = LibraryAsker(library, trained, source, LibraryOptions(), request.options)
            for row in library.files():
                self._known |= {row.path: library.path(row), row.content_id: library.path(row)}

    def answers(
        self, questions: Iterable[AskedQuestion], progress: Progress
    ) -> Iterator[list[Answer]]:
        """Yield lists of answers, one per group of questions that were run together."""
        by_clip: dict[Clip, list[AskedQuestion]] = {}
        for question in questions:
            if question.video is None:
                assert self._asker is not None, "_check raises if there is no library"
                yield [self._asker.answer(_as_question(question))]
            else:
                below = self._request.videos / question.video
                clip = Clip(self._known.get(question.video, below), question.window)
                by_clip.setdefault(clip, []).append(question)
        clips = iter(by_clip)
        while next_clips := list(islice(clips, _CLIPS_AT_ONCE)):
            # Pinning does not change what a clip is equal to, so pinned clips index `by_clip` too.
            pinned, bad = pinned_clips(next_clips)
            decode_seconds, undecodable = self._encode(pinned, progress)
            bad |= undecodable
            for clip, reason in bad.items():
                asked = map(_as_question, by_clip[clip])
                yield [unanswered(self._trained, q, "failed", reason) for q in asked]
            loaded = self._load([clip for clip in pinned if clip not in bad], decode_seconds)
            for answered_pack in self._engine.answer(self._packs(loaded, by_clip)):
                yield [answered.answer for answered in answered_pack]

    def _encode(
        self, clips: Sequence[Clip], progress: Progress
    ) -> tuple[dict[Clip, float], dict[Clip, str]]:
        """Encode the clips that are not cached.

        Returns:
            Time (s) to decode and encode each new clip, and the reason for each unreadable clip.
        """
        missing = missing_clips(self._source, clips)
        seconds: dict[Clip, float] = {}
        bad: dict[str, str] = {}  # reasons by cache key
        if missing:
            encoding = self._engine.encode(missing)
            with closing(encoding):
                last = time.perf_counter()
                for done, (clip, frames) in enumerate(encoding, start=1):
                    if isinstance(frames, VideoError):
                        bad[self._source.key(clip)] = str(frames)
                    else:
                        seconds[clip] = time.perf_counter() - last
                    last = time.perf_counter()
                    progress("encode", done, len(missing))
        # Only one of several copies of a file was decoded: they share their key, and its error.
        keys = {clip: self._source.key(clip) for clip in clips}
        return seconds, {clip: bad[key] for clip, key in keys.items() if key in bad}

    def _load(self, clips: list[Clip], decode_seconds: Mapping[Clip, float]) -> list[LoadedClip]:
        """Return clips with their features, the longest first."""
        loaded = load_cached(self._source, clips, decode_seconds)
        return sorted(loaded, key=lambda clip: -len(clip.features.embeds))

    def _packs(
        self, loaded: Iterable[LoadedClip], by_clip: Mapping[Clip, list[AskedQuestion]]
    ) -> Iterator[Pack]:
        """Yield packs of clips with questions, each up to the maximum number of questions.

        Clips come in order of length, so a pack holds clips of similar length and little padding.
        """
        limit = self._request.questions_at_once
        pack: Pack = []
        room = limit  # questions that still fit into the pack
        for loaded_clip in loaded:
            asked = [_as_question(question) for question in by_clip[loaded_clip.clip]]
            while asked:  # a clip with many questions fills several packs
                pack.append((loaded_clip, asked[:room]))
                asked, room = asked[room:], room - len(asked[:room])
                if room == 0:
                    yield pack
                    pack, room = [], limit
        if pack:
            yield pack


def _as_question(asked: AskedQuestion) -> Question:
    """Return the question to the model that a line of the file asks."""
    return Question(asked.id, asked.question, tuple(asked.choices or ()))
