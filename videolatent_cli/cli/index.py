"""`vl index`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from videolatent_cli.cli.options import (
    DEFAULT_CACHE,
    DEFAULT_LIBRARY,
    AsJson,
    CacheDir,
    Device,
    LibraryDir,
    Run,
)
from videolatent_cli.cli.output import print_json, progress_bars
from videolatent_cli.errors import FailedItemsError


def index(  # noqa: PLR0913 - the options of the command
    paths: Annotated[list[Path], typer.Argument(help="Folders of videos, or single files.")],
    library: LibraryDir = DEFAULT_LIBRARY,
    include: Annotated[
        str | None, typer.Option(help="Pattern of file names, such as 'cam*.mp4'.")
    ] = None,
    segments: Annotated[str, typer.Option(help="How videos are cut.")] = "fixed:10s",
    jobs: Annotated[int, typer.Option(min=1, help="Files that are decoded at a time.")] = 2,
    run: Run = None,
    prune: Annotated[bool, typer.Option("--prune", help="Forget files that have gone.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Read again what could not be read.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for another 'vl index' of this library.")
    ] = False,
    as_json: AsJson = False,
    cache_dir: CacheDir = DEFAULT_CACHE,
    device: Device = "auto",
) -> None:
    """Index folders of videos: only what is new or changed is read. Goes on where it stopped.

    Example: vl index ~/Videos
    """
    from videolatent_cli.pipeline.index import IndexRequest
    from videolatent_cli.pipeline.index import index as index_pipeline
    from videolatent_cli.video.segments import parse_segments

    rule = parse_segments(segments)
    request = IndexRequest(tuple(paths), library, rule, include, jobs, prune, retry_failed, wait)
    with progress_bars() as show:
        report = index_pipeline(request, run, cache_dir, device, show)
    if as_json:
        print_json(report.document())
    else:
        typer.echo(
            f"{library}: {report.new} new, {report.unchanged} unchanged, {len(report.failed)} "
            f"failed, {report.vanished} gone; {report.segments} segments"
        )
    if report.failed:
        reasons = "\n".join(f"  {reason}" for reason in report.failed.values())
        raise FailedItemsError(
            f"{library}: {len(report.failed)} files cannot be read:\n{reasons}\n"
            "mend them and run it again with --retry-failed; 'vl library status' lists them"
        )
