"""The command `vl report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from videolatent_cli.cli.options import DEFAULT_CACHE, CacheDir, Device
from videolatent_cli.cli.output import progress_bars
from videolatent_cli.runtime.machine import Machine


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    html: Annotated[
        Path | None, typer.Option(help="HTML page to write. Default: report.html in RUN.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Triplet file to use instead of the recipe's first evaluation split."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of videos to evaluate.")] = 32,
    samples: Annotated[
        int, typer.Option(min=0, help="Number of questions to show with their evidence.")
    ] = 4,
    cache_dir: CacheDir = DEFAULT_CACHE,
    device: Device = "auto",
) -> None:
    """Write an HTML page about a run: curves, ablations, sample questions, the recipe.

    Example: vl report runs/quickstart
    """
    from videolatent_cli.pipeline.report import ReportRequest, report_run

    request = ReportRequest(run, html or run / "report.html", data, limit, samples)
    with progress_bars() as show:
        typer.echo(report_run(request, Machine(cache_dir, device), show))
