"""`vl ask`: one question about one video, with the evidence frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from videolatent_cli.errors import RecipeError
from videolatent_cli.model.source import Clip
from videolatent_cli.pipeline.answering import Answerer, Question, Style, load_clip
from videolatent_cli.pipeline.evidence import evidence_sheet
from videolatent_cli.pipeline.models import open_model
from videolatent_cli.store import FeatureCache
from videolatent_cli.video.probe import probe
from videolatent_cli.video.sheet import write_sheet

if TYPE_CHECKING:
    from pathlib import Path

    from videolatent_cli.pipeline.documents import Answer
    from videolatent_cli.store import Window


@dataclass(frozen=True)
class AskRequest:
    """A question and how to answer it."""

    video: Path
    question: str
    window: Window = (None, None)
    """Start and end of the part of the video that is meant (s)."""
    choices: tuple[str, ...] = ()
    style: Style = field(default_factory=Style)
    sheet: Path | None = None
    """Where to write a contact sheet."""


def ask(request: AskRequest, run: Path | None, cache_dir: Path, device: str = "auto") -> Answer:
    """Return the answer document of one question.

    Args:
        request: What to ask.
        run: Run folder; None: the newest, else the embedded model.
        cache_dir: Folder of caches; used only if it is there.
        device: A torch device, or `auto`.

    Raises:
        VideoError: Where the video cannot be read.
        RecipeError: Where the request cannot be met.
    """
    start, end = request.window
    if start is not None and end is not None and end <= start:
        raise RecipeError(f"--to: must be after --from {start:g} s, got {end:g} s")
    if len(request.choices) == 1:
        raise RecipeError(f"--choices: needs two or more, got '{request.choices[0]}'")
    probe(request.video)  # what is wrong with the file is said before the model is loaded
    trained = open_model(run, device)
    clip = Clip(request.video, request.window)
    loaded = load_clip(trained.source(existing_cache(cache_dir)), clip)
    question = Question(request.video.stem, request.question, request.choices)
    (found,) = Answerer(trained, request.style).answer([(loaded, [question])])
    if request.sheet is not None:
        title = f"{request.question}\n{found.answer.answer}"
        sheet = evidence_sheet(trained, clip, title, found.weights or [], found.answer.evidence)
        write_sheet(sheet, request.sheet)
    return found.answer


def existing_cache(folder: Path) -> FeatureCache | None:
    """Return the cache of a folder if there is one; asking makes none."""
    return FeatureCache(folder) if (folder / "videos.lancedb").exists() else None
