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
from videolatent_cli.errors import UsageError
from videolatent_cli.runtime.machine import Machine

if TYPE_CHECKING:
    from videolatent_cli.pipeline.ask import AskReport

Place = Annotated[
    Path,
    typer.Argument(
        parser=library_place, metavar="VIDEO", help="A video file, or the folder of a library."
    ),
]


def parse_moment(text: str | None, flag: str) -> float | None:
    """Return seconds from `80`, `1:20` or `0:01:20.5`.

    Raises:
        UsageError: For anything else.
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
    for part in parts:
        seconds = 60 * seconds + part
    return seconds


def ask(  # noqa: PLR0913 - the options of the command
    place: Place,
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
    """Print the answer on stdout; where it comes from and how far to trust it on stderr."""
    answer = report.answer
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
    for clip in report.clips:
        typer.echo(f"  clip {clip}")
    typer.echo(f"answered by {answer.model.run} {answer.model.checkpoint}", err=True)
    for warning in answer.warnings:
        typer.echo(f"warning: {warning}", err=True)
