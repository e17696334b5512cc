"""`vl ask`: answer one question about a video or a library, with evidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from videolatent_cli.data.triplets import check_options
from videolatent_cli.errors import UsageError
from videolatent_cli.pipeline.answering.answerer import (
    Answerer,
    AnswerOptions,
    Question,
    load_clip,
)
from videolatent_cli.pipeline.answering.evidence import cut_evidence, evidence_sheet
from videolatent_cli.pipeline.library.ask import LibraryAsker, LibraryOptions
from videolatent_cli.pipeline.runs.trained_model import open_model
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.store import FeatureCache
from videolatent_cli.store.library import Library
from videolatent_cli.video.clip import Clip
from videolatent_cli.video.info import read_info
from videolatent_cli.video.sheet import write_sheet

if TYPE_CHECKING:
    from videolatent_cli.pipeline.answering.answer import Answer
    from videolatent_cli.video.clip import Window


@dataclass(frozen=True)
class AskRequest:
    """Question about a video or a library, and the files to write with its answer."""

    place: Path
    """A video file, or the folder of a library."""
    question: str
    run: Path | None = None
    """Run folder; None: the newest run, or the embedded model if there is none."""
    window: Window = (None, None)
    """Start and end of the part of the video to use (s); None: the start or end of the video."""
    choices: tuple[str, ...] = ()
    """Possible answers; empty: the model writes its own answer."""
    options: AnswerOptions = field(default_factory=AnswerOptions)
    library: LibraryOptions = field(default_factory=LibraryOptions)
    """Selection of a library's moments to ask; unused for a video."""
    sheet: Path | None = None
    """PNG file to write: a contact sheet with the evidence marked."""
    clips: Path | None = None
    """Folder to write the evidence to, as clips cut out of the videos."""


@dataclass(frozen=True)
class AskReport:
    """Answer to one question, and the clips written with it."""

    answer: Answer
    clips: tuple[Path, ...] = ()
    """Files of the evidence that was cut out."""


def ask(request: AskRequest, machine: Machine = Machine()) -> AskReport:
    """Return the answer to one question about a video or a library.

    Args:
        request: The question, and the video or library to ask.
        machine: Folder of caches and torch device; a video is cached only if the cache exists.

    Raises:
        UsageError: If options contradict each other or do not fit a video or a library.
        VideoError: If a video cannot be read.
        DataError: If a folder contains no library.
        IncompatibleError: If the model samples videos in another way than the library.
    """
    _check(request)
    is_library = request.place.is_dir()
    answer = _ask_library(request, machine) if is_library else _ask_video(request, machine)
    clips = cut_evidence(answer, request.clips) if request.clips is not None else []
    return AskReport(answer, tuple(clips))


def _check(request: AskRequest) -> None:
    """Raise if options contradict each other."""
    start, end = request.window
    if request.place.is_dir() and request.window != (None, None):
        raise UsageError("--from, --to: select a part of one video, got a library")
    if not request.place.is_dir() and request.library.selects:
        raise UsageError(f"--under, --where, --min-score: are for libraries, got {request.place}")
    if end is not None and end <= (start or 0.0):
        raise UsageError(f"--to: must be after --from {start or 0.0:g} s, got {end:g} s")
    if len(request.choices) == 1:
        raise UsageError(f"--choices: must be two or more, got '{request.choices[0]}'")
    try:
        check_options("--choices", request.choices)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _ask_library(request: AskRequest, machine: Machine) -> Answer:
    """Return the answer to a question about a library."""
    library = Library.open(request.place)
    trained = open_model(request.run, machine.device)
    source = trained.source(FeatureCache(machine.cache_dir))
    asker = LibraryAsker(library, trained, source, request.library, request.options)
    question = Question(request.place.name, request.question, request.choices)
    return asker.answer(question, request.sheet)


def _ask_video(request: AskRequest, machine: Machine) -> Answer:
    """Return the answer to a question about one video, and write its contact sheet."""
    read_info(request.place)  # reports a broken file before the model is loaded, which takes longer
    trained = open_model(request.run, machine.device)
    clip = Clip(request.place, request.window)
    loaded = load_clip(trained.source(_existing_cache(machine.cache_dir)), clip)
    question = Question(request.place.stem, request.question, request.choices)
    (answered,) = Answerer(trained, request.options).answer([(loaded, [question])])
    answer = answered.answer
    if request.sheet is not None:
        title = f"{request.question}\n{answer.answer}"
        sheet = evidence_sheet(trained, clip, title, answered.weights or [], answer.evidence)
        write_sheet(sheet, request.sheet)
    return answer


def _existing_cache(folder: Path) -> FeatureCache | None:
    """Return the cache of a folder; None if there is none, since asking creates none."""
    return FeatureCache(folder) if (folder / "videos.lancedb").exists() else None
