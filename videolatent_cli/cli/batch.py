"""The command `vl batch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from videolatent_cli.cli.options import (
    DEFAULT_CACHE,
    AsJson,
    CacheDir,
    Device,
    Engine,
    Evidence,
    Latents,
    RetryFailed,
    Run,
    library_place,
)
from videolatent_cli.cli.output import print_json, progress_bars
from videolatent_cli.errors import FailedItemsError
from videolatent_cli.runtime.machine import Machine

Questions = Annotated[
    Path,
    typer.Argument(
        metavar="QUESTIONS",
        help="File of questions (JSON Lines or CSV). Required column: question. "
        "Optional: id, video, choices, start_seconds, end_seconds, meta.",
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        help="File of answers to write (JSON Lines). Questions answered in it are skipped.",
    ),
]
Videos = Annotated[
    Path | None,
    typer.Option(help="Folder that video paths are relative to. Default: the folder of QUESTIONS."),
]
SearchedLibrary = Annotated[
    Path | None,
    typer.Option(
        "--library",
        "-L",
        parser=library_place,
        metavar="PATH",
        help="Library to search for questions that name no video.",
    ),
]
AtOnce = Annotated[int, typer.Option(min=1, help="Maximum number of questions per model batch.")]
Jobs = Annotated[
    int, typer.Option(min=1, help="Number of Ray workers; used only with --engine ray.")
]
ReportPage = Annotated[
    Path | None, typer.Option(help="HTML page to write, with all answers and their evidence.")
]


def batch(  # noqa: PLR0913 - the options of the command
    questions: Questions,
    out: Out,
    videos: Videos = None,
    library: SearchedLibrary = None,
    run: Run = None,
    evidence: Evidence = 2,
    latents: Latents = "on",
    retry_failed: RetryFailed = False,
    at_once: AtOnce = 32,
    engine: Engine = "local",
    jobs: Jobs = 2,
    report: ReportPage = None,
    as_json: AsJson = False,
    cache_dir: CacheDir = DEFAULT_CACHE,
    device: Device = "auto",
) -> None:
    """Answer a file of questions. Encodes each video once; resumes after an interruption.

    Example: vl batch questions.jsonl -o answers.jsonl --videos clips --report answers.html
    """
    from videolatent_cli.pipeline.answering.answerer import AnswerOptions
    from videolatent_cli.pipeline.batch import BatchRequest, answer_batch

    request = BatchRequest(
        questions=questions,
        out=out,
        videos=videos or questions.parent,
        run=run,
        library=library,
        options=AnswerOptions(latents, evidence),
        retry_failed=retry_failed,
        questions_at_once=at_once,
        workers=jobs if engine == "ray" else None,
        report=report,
    )
    with progress_bars() as show:
        outcome = answer_batch(request, Machine(cache_dir, device), show)
    if as_json:
        print_json(outcome.document())
    else:
        typer.echo(
            f"{out}: {outcome.asked} asked, {outcome.done_before} answered before, "
            f"{outcome.failed} failed"
        )
    if outcome.failed:
        raise FailedItemsError(
            f"{out}: {outcome.failed} questions have no answer; fix their videos and run the same "
            "command with --retry-failed"
        )
