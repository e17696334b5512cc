"""The command `vl index`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from loguru import logger

from videolatent_cli.cli.options import (
    DEFAULT_CACHE,
    DEFAULT_LIBRARY,
    AsJson,
    CacheDir,
    Device,
    Engine,
    LibraryDir,
    RetryFailed,
    Run,
)
from videolatent_cli.cli.output import print_json, progress_bars
from videolatent_cli.errors import FailedItemsError
from videolatent_cli.runtime.machine import Machine

if TYPE_CHECKING:
    from videolatent_cli.pipeline.library.index import IndexReport

Embedder = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Back end of the search vectors: lexical, sentence:FOLDER, siglip:FOLDER or "
        "backbone:RUN. Default: the library's, or lexical for a new library.",
    ),
]
Metadata = Annotated[
    Path | None,
    typer.Option(
        help="File of notes to search too (CSV or JSON Lines): a column 'video' and any others."
    ),
]
Speech = Annotated[
    Path | None,
    typer.Option(
        help="Folder of a faster-whisper model, to transcribe videos without subtitles. "
        "Default: the library's, or none for a new library."
    ),
]
Paths = Annotated[
    list[Path],
    typer.Argument(metavar="PATH", help="Folders of videos, or single video files."),
]
Include = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERN",
        help="Pattern of the file names to index, such as 'cam*.mp4'. "
        "Default: all usual endings of video files.",
    ),
]
Segments = Annotated[
    str,
    typer.Option(
        metavar="RULE",
        help="Rule that cuts videos into segments: fixed:10s, scenes or scenedetect.",
    ),
]
Jobs = Annotated[
    int,
    typer.Option(
        min=1, help="Number of files decoded in parallel, or of workers with --engine ray."
    ),
]
Prune = Annotated[
    bool,
    typer.Option("--prune", help="Remove files from the library that no longer exist."),
]
Wait = Annotated[
    bool,
    typer.Option("--wait", help="Wait while another process writes this library."),
]
Watch = Annotated[
    bool, typer.Option("--watch", help="Keep running and index changes until Ctrl-C.")
]


def index(  # noqa: PLR0913 - the options of the command
    paths: Paths,
    library: LibraryDir = DEFAULT_LIBRARY,
    include: Include = None,
    embedder: Embedder = None,
    metadata: Metadata = None,
    speech: Speech = None,
    segments: Segments = "fixed:10s",
    jobs: Jobs = 2,
    engine: Engine = "local",
    run: Run = None,
    prune: Prune = False,
    retry_failed: RetryFailed = False,
    wait: Wait = False,
    watch: Watch = False,
    as_json: AsJson = False,
    cache_dir: CacheDir = DEFAULT_CACHE,
    device: Device = "auto",
) -> None:
    """Index folders of videos. Reads only new or changed files; resumes after an interruption.

    Example: vl index ~/Videos
    """
    from videolatent_cli.pipeline.library.index import index_passes
    from videolatent_cli.pipeline.library.scan import IndexRequest

    request = IndexRequest(
        paths=tuple(paths),
        library=library,
        segments=segments,
        run=run,
        embedder=embedder,
        speech=speech,
        metadata=metadata,
        include=include,
        jobs=jobs,
        workers=jobs if engine == "ray" else None,
        prune=prune,
        retry_failed=retry_failed,
        wait=wait,
        watch=watch,
    )
    with progress_bars() as show:
        for report in index_passes(request, Machine(cache_dir, device), show):
            _print_report(report, as_json=as_json)
            if watch:
                for reason in report.failed.values():
                    logger.warning("{}", reason)
    if report.failed:
        raise _failure(report)


def _failure(report: IndexReport) -> FailedItemsError:
    """Return the error that lists the files that cannot be read."""
    reasons = "\n".join(f"  {reason}" for reason in report.failed.values())
    return FailedItemsError(
        f"{report.library}: {len(report.failed)} files cannot be read:\n{reasons}\n"
        "fix them and run the same command with --retry-failed; 'vl library status' lists them"
    )


def _print_report(report: IndexReport, *, as_json: bool) -> None:
    """Print the counts of one pass over the folders."""
    if as_json:
        print_json(report.document())
        return
    typer.echo(
        f"{report.library}: {report.new} new, {report.unchanged} unchanged, {len(report.failed)} "
        f"failed, {report.vanished} gone; {report.segments} segments"
    )
