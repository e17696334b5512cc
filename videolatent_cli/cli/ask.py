"""The command `vl ask`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videolatent_cli.cli.options import (
    DEFAULT_CACHE,
    AsJson,
    CacheDir,
    Device,
    Evidence,
    Latents,
    Run,
    Under,
    Where,
    library_place,
)
from videolatent_cli.cli.output import print_json
from videolatent_cli.errors import UsageError
from videolatent_cli.runtime.machine import Machine

if TYPE_CHECKING:
    from videolatent_cli.pipeline.ask import AskReport

Place = Annotated[
    Path,
    typer.Argument(
        parser=library_place,
        metavar="VIDEO|LIBRARY",
        help="Video file, or folder of a library made by 'vl index'.",
    ),
]
QuestionText = Annotated[str, typer.Argument(metavar="QUESTION", help="Question to answer.")]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="TIME",
        help="Start of the part of the video to use: seconds or M:SS. Default: its beginning.",
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="TIME",
        help="End of the part of the video to use: seconds or M:SS. Default: its end.",
    ),
]
Choices = Annotated[
    str | None,
    typer.Option(
        metavar="A|B|...",
        help="Possible answers, separated by '|'. Default: the model writes its own answer.",
    ),
]
Sheet = Annotated[
    Path | None,
    typer.Option(help="PNG file to write: a contact sheet with the evidence marked."),
]
Clips = Annotated[
    Path | None,
    typer.Option(
        help="Folder to write the evidence to as video clips, with one second before and after."
    ),
]
MinScore = Annotated[
    float | None,
    typer.Option(
        help="Minimum search score (0 to 1) of a library's moments. "
        "Default: the threshold of the library's embedder."
    ),
]


def parse_moment(text: str | None, flag: str) -> float | None:
    """Return a time in seconds, parsed from `80`, `1:20` or `0:01:20.5`; None stays None.

    Raises:
        UsageError: If the text has another form.
    """
    if text is None:
        return None
    try:
        parts = [float(part) for part in text.split(":")]
        valid = 1 <= len(parts) <= 3 and all(part >= 0 for part in parts)
    except ValueError:
        valid = False
    if not valid:
        raise UsageError(f"{flag}: must be seconds or M:SS, got '{text}'")
    seconds = 0.0
    for part in parts:  # each part to the left counts sixty times the next
        seconds = 60 * seconds + part
    return seconds


def ask(  # noqa: PLR0913 - the options of the command
    place: Place,
    question: QuestionText,
    run: Run = None,
    from_: From = None,
    to: To = None,
    choices: Choices = None,
    evidence: Evidence = 2,
    sheet: Sheet = None,
    latents: Latents = "on",
    clips: Clips = None,
    min_score: MinScore = None,
    under: Under = "",
    where: Where = None,
    as_json: AsJson = False,
    cache_dir: CacheDir = DEFAULT_CACHE,
    device: Device = "auto",
) -> None:
    """Answer a question about a video or a library of videos.

    Also prints evidence: the moments with the highest re-look attention.
    Re-look attention is the attention of the latents to the video frames.
    Evidence shows where to check the answer; it does not prove it.

    Example: vl ask video.mp4 "Which color moved last?" --sheet sheet.png
    """
    window = parse_moment(from_, "--from"), parse_moment(to, "--to")

    from videolatent_cli.pipeline.answering.answerer import AnswerOptions
    from videolatent_cli.pipeline.ask import AskRequest
    from videolatent_cli.pipeline.ask import ask as ask_pipeline
    from videolatent_cli.pipeline.library.ask import LibraryOptions

    request = AskRequest(
        place=place,
        question=question,
        run=run,
        window=window,
        choices=tuple(part.strip() for part in choices.split("|")) if choices else (),
        options=AnswerOptions(latents, evidence),
        library=LibraryOptions(min_score=min_score, under=under, where=where),
        sheet=sheet,
        clips=clips,
    )
    report = ask_pipeline(request, Machine(cache_dir, device))
    if as_json:
        print_json(report.answer.model_dump(mode="json", by_alias=True))
    else:
        _print_text(report, sheet)


def _print_text(report: AskReport, sheet: Path | None) -> None:
    """Print the answer on stdout; the model and its warnings on stderr."""
    answer = report.answer
    typer.echo(answer.answer or answer.status.replace("_", " "))
    for letter, probability in (answer.choice_probs or {}).items():
        typer.echo(f"  {letter}: {probability:.2f}")
    for moment in answer.evidence:
        typer.echo(
            f"  evidence {moment.start_seconds:.2f}-{moment.end_seconds:.2f} s"
            f" of {moment.video} (attention {moment.score:.2f})"
        )
    if sheet is not None and sheet.exists():
        typer.echo(f"  sheet {sheet}")
    for clip in report.clips:
        typer.echo(f"  clip {clip}")
    typer.echo(f"answered by {answer.model.run} {answer.model.checkpoint}", err=True)
    for warning in answer.warnings:
        typer.echo(f"warning: {warning}", err=True)
