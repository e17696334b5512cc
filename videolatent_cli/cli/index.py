"""`vl index`."""

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
    typer.Option(help="Search vectors: lexical, sentence:FOLDER, siglip:FOLDER, backbone:RUN."),
]
Metadata = Annotated[
    Path | None, typer.Option(help="CSV or JSON Lines: video, and any other columns.")
]
Speech = Annotated[
    Path | None,
    typer.Option(help="Folder of a faster-whisper model, for videos without subtitles."),
]


def index(  # noqa: PLR0913 - the options of the command
    paths: Annotated[list[Path], typer.Argument(help="Folders of videos, or single files.")],
    library: LibraryDir = DEFAULT_LIBRARY,
    include: Annotated[
        str | None, typer.Option(help="Pattern of file names, such as 'cam*.mp4'.")
    ] = None,
    embedder: Embedder = None,
    metadata: Metadata = None,
    speech: Speech = None,
    segments: Annotated[
        str, typer.Option(help="How videos are cut: fixed:10s, scenes, scenedetect.")
    ] = "fixed:10s",
    jobs: Annotated[
        int, typer.Option(min=1, help="Files that are decoded at a time; with Ray, workers.")
    ] = 2,
    engine: Engine = "local",
    run: Run = None,
    prune: Annotated[bool, typer.Option("--prune", help="Forget files that have gone.")] = False,
    retry_failed: RetryFailed = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for another 'vl index' of this library.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on: index whatever changes, until Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
    cache_dir: CacheDir = DEFAULT_CACHE,
    device: Device = "auto",
) -> None:
    """Index folders of videos: only what is new or changed is read. Goes on where it stopped.

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
            _say(report, as_json=as_json)
            if watch:
                for reason in report.failed.values():
                    logger.warning("{}", reason)
    if report.failed:
        raise _failure(report)


def _failure(report: IndexReport) -> FailedItemsError:
    """Return the error that lists what cannot be read."""
    reasons = "\n".join(f"  {reason}" for reason in report.failed.values())
    return FailedItemsError(
        f"{report.library}: {len(report.failed)} files cannot be read:\n{reasons}\n"
        "mend them and run it again with --retry-failed; 'vl library status' lists them"
    )


def _say(report: IndexReport, *, as_json: bool) -> None:
    """Print what indexing did."""
    if as_json:
        print_json(report.document())
        return
    typer.echo(
        f"{report.library}: {report.new} new, {report.unchanged} unchanged, {len(report.failed)} "
        f"failed, {report.vanished} gone; {report.segments} segments"
    )
