"""`vl probe`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from videolatent_cli.cli.options import DEFAULT_CACHE, AsJson, CacheDir, Device
from videolatent_cli.cli.output import print_json, print_table, progress_bars
from videolatent_cli.runtime.machine import Machine


def probe(
    run: Annotated[Path | None, typer.Argument(help="Run folder (default: newest).")] = None,
    data: Annotated[Path | None, typer.Option(help="Triplets (default: the recipe's).")] = None,
    limit: Annotated[int, typer.Option(min=2, help="Most videos.")] = 32,
    html: Annotated[
        Path | None, typer.Option(help="The page (default: probe.html in the run folder).")
    ] = None,
    as_json: AsJson = False,
    cache_dir: CacheDir = DEFAULT_CACHE,
    device: Device = "auto",
) -> None:
    """Check the latents for every known way of failing, and say what to do about it.

    Example: vl probe runs/quickstart
    """
    from videolatent_cli.pipeline.probe import ProbeRequest, probe_run
    from videolatent_cli.report.probe_page import (
        DIAGNOSTIC_COLUMNS,
        ablation_table,
        diagnostic_rows,
    )

    with progress_bars() as show:
        request = ProbeRequest(run, data, limit, html)
        report = probe_run(request, Machine(cache_dir, device), show)
    if as_json:
        print_json(report.document())
        return
    found = report.probe
    title = f"{report.run} on {report.split}: {len(found.judged['on'])} questions"
    print_table(title, DIAGNOSTIC_COLUMNS, diagnostic_rows(found.diagnostics), words=True)
    table = ablation_table(found.judged)
    print_table("what the latents are worth", table.columns, table.rows)
    if report.page is not None:
        typer.echo(f"page {report.page}", err=True)
