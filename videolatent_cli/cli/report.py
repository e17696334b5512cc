"""`vl report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from videolatent_cli.cli.options import DEFAULT_CACHE, CacheDir, Device
from videolatent_cli.cli.output import progress_bars
from videolatent_cli.runtime.machine import Machine


def report(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    html: Annotated[
        Path | None, typer.Option(help="The page (default: report.html in the run folder).")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Triplets (default: the recipe's).")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most videos that are evaluated.")] = 32,
    samples: Annotated[int, typer.Option(min=0, help="Questions shown with evidence.")] = 4,
    cache_dir: CacheDir = DEFAULT_CACHE,
    device: Device = "auto",
) -> None:
    """Write one page about a run: curves, ablations, questions with evidence, the recipe.

    Example: vl report runs/quickstart
    """
    from videolatent_cli.pipeline.report import ReportRequest, report_run

    request = ReportRequest(run, html or run / "report.html", data, limit, samples)
    with progress_bars() as show:
        typer.echo(report_run(request, Machine(cache_dir, device), show))
