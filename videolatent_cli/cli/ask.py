"""`vl ask`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from videolatent_cli.cli.options import (
    DEFAULT_CACHE,
    AsJson,
    CacheDir,
    Device,
    Run,
    Under,
    Where,
    library_place,
)
from videolatent_cli.cli.output import print_json
from videolatent_cli.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from videolatent_cli.pipeline.documents import Answer

Place = Annotated[
    Path,
    typer.Argument(
        parser=library_place, metavar="VIDEO", help="A video file, or the folder of a library."
    ),
]


def parse_moment(text: str | None, flag: str) -> float | None:
    """Return seconds from `80`, `1:20` or `0:01:20.5`.

    Raises:
        RecipeError: For anything else.
    """
    if text is None:
        return None
    try:
        parts = [float(part) for part in text.split(":")]
        valid = 1 <= len(parts) <= 3 and all(part >= 0 for part in parts)
    except ValueError:
        valid = False
    if not valid:
        raise RecipeError(f"{flag}: must be seconds or M:SS, got '{text}'")
    seconds = 0.0
    for part in parts:
        seconds = 60 * seconds + part
    return seconds


def ask(  # noqa: PLR0913 - the options of the command
    video: Place,
    question: Annotated[str, typer.Argument(help="What to ask about it.")],
    run: Run = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="Start of the part: 80 or 1:20.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", help="End of the part.")] = None,
    choices: Annotated[str | None, typer.Option(help="Possible answers: 'A|B|C'.")] = None,
    evidence: Annotated[int, typer.Option(min=0, help="How many moments to show.")] = 2,
    sheet: Annotated[Path | None, typer.Option(help="Write a contact sheet (PNG).")] = None,
    latents: Annotated[Literal["on", "off"], typer.Option(help="off: answer at once.")] = "on",
    clips: Annotated[
        Path | None, typer.Option(help="Folder to cut the evidence into, a second around each.")
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(help="Of a library: least score of a moment (default: as calibrated)."),
    ] = None,
    under: Under = "",
    where: Where = None,
    as_json: AsJson = False,
    cache_dir: CacheDir = DEFAULT_CACHE,
    device: Device = "auto",
) -> None:
    """Answer a question about a video or a library, with the moments that the answer rests on.

    Example: vl ask video.mp4 "Which color moved last?" --sheet sheet.png
    """
    window = parse_moment(from_, "--from"), parse_moment(to, "--to")
    options = tuple(part.strip() for part in choices.split("|")) if choices else ()

    from videolatent_cli.pipeline.answering import Style
    from videolatent_cli.pipeline.evidence import cut_evidence

    style = Style(latents, evidence)
    if video.is_dir():
        from videolatent_cli.pipeline.answering import Question
        from videolatent_cli.pipeline.library.ask import LibraryStyle, ask_library

        if window != (None, None):
            raise RecipeError("--from, --to: name a part of one video, got a library")
        how = LibraryStyle(min_score=min_score, under=under, where=where, style=style)
        asked = Question(video.name, question, options)
        answer = ask_library(video, asked, how, run, cache_dir, device, sheet)
    else:
        from videolatent_cli.pipeline.ask import AskRequest
        from videolatent_cli.pipeline.ask import ask as ask_pipeline

        if under or where is not None or min_score is not None:
            raise RecipeError(f"--under, --where, --min-score: are for libraries, got {video}")
        request = AskRequest(video, question, window, options, style, sheet)
        answer = ask_pipeline(request, run, cache_dir, device)
    cut = cut_evidence(answer, clips) if clips is not None else []
    if as_json:
        print_json(answer.model_dump(mode="json", by_alias=True))
    else:
        _print_text(answer, sheet, cut)


def _print_text(answer: Answer, sheet: Path | None, clips: Sequence[Path]) -> None:
    """Print the answer on stdout, and where it comes from and how far to trust it on stderr."""
    typer.echo(answer.answer or answer.status.replace("_", " "))
    for letter, chance in (answer.choice_probs or {}).items():
        typer.echo(f"  {letter}: {chance:.2f}")
    for moment in answer.evidence:
        typer.echo(
            f"  evidence {moment.start_seconds:.2f}-{moment.end_seconds:.2f} s"
            f" of {moment.video} (attention {moment.score:.2f})"
        )
    if sheet is not None and sheet.exists():
        typer.echo(f"  sheet {sheet}")
    for clip in clips:
        typer.echo(f"  clip {clip}")
    typer.echo(f"answered by {answer.model.run} {answer.model.checkpoint}", err=True)
    for warning in answer.warnings:
        typer.echo(f"warning: {warning}", err=True)
