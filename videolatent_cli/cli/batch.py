"""`vl batch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from videolatent_cli.cli.options import (
    DEFAULT_CACHE,
    AsJson,
    CacheDir,
    Device,
    Engine,
    RetryFailed,
    Run,
    library_place,
)
from videolatent_cli.cli.output import print_json, progress_bars
from videolatent_cli.errors import FailedItemsError
from videolatent_cli.runtime.machine import Machine


def batch(  # noqa: PLR0913 - the options of the command
    questions: Annotated[
        Path, typer.Argument(help="Questions, JSON Lines or CSV: id, question, video, choices ...")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Answers, JSON Lines.")],
    videos: Annotated[
        Path | None, typer.Option(help="Folder of the videos (default: that of the questions).")
    ] = None,
    library: Annotated[
        Path | None,
        typer.Option(
            "--library",
            "-L",
            parser=library_place,
            metavar="PATH",
            help="Library that is asked where no video is named.",
        ),
    ] = None,
    run: Run = None,
    evidence: Annotated[int, typer.Option(min=0, help="Moments of evidence a question.")] = 2,
    latents: Annotated[Literal["on", "off"], typer.Option(help="off: answer at once.")] = "on",
    retry_failed: RetryFailed = False,
    at_once: Annotated[int, typer.Option(min=1, help="Most questions that are run together.")] = 32,
    engine: Engine = "local",
    jobs: Annotated[int, typer.Option(min=1, help="Workers, with --engine ray.")] = 2,
    report: Annotated[
        Path | None, typer.Option(help="Also write a page with answers and evidence.")
    ] = None,
    as_json: AsJson = False,
    cache_dir: CacheDir = DEFAULT_CACHE,
    device: Device = "auto",
) -> None:
    """Answer a file of questions; those about one video share its work. Goes on where it stopped.

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
        done = answer_batch(request, Machine(cache_dir, device), show)
    if as_json:
        print_json(done.document())
    else:
        typer.echo(
            f"{out}: {done.asked} asked, {done.done_before} answered before, {done.failed} failed"
        )
    if done.failed:
        raise FailedItemsError(
            f"{out}: {done.failed} questions have no answer; mend their videos and run it again "
            "with --retry-failed"
        )
