"""The command `vl probe`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from videolatent_cli.cli.options import DEFAULT_CACHE, AsJson, CacheDir, Device
from videolatent_cli.cli.output import print_json, print_table, progress_bars
from videolatent_cli.runtime.machine import Machine


def probe(
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN",
            help="Run folder. Default: the newest, or the embedded model if there is none.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Triplet file to use instead of the recipe's first evaluation split."),
    ] = None,
    limit: Annotated[int, typer.Option(min=2, help="Maximum number of videos.")] = 32,
    html: Annotated[
        Path | None,
        typer.Option(help="HTML page to write. Default: probe.html in RUN, none without RUN."),
    ] = None,
    as_json: AsJson = False,
    cache_dir: CacheDir = DEFAULT_CACHE,
    device: Device = "auto",
) -> None:
    """Check the latents for the known failure modes F1 to F12 and print the remedies.

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
    results = report.probe
    title = f"{report.run} on {report.split}: {len(results.judged['on'])} questions"
    print_table(title, DIAGNOSTIC_COLUMNS, diagnostic_rows(results.diagnostics), words=True)
    table = ablation_table(results.judged)
    print_table("dependence of the answers on the latents", table.columns, table.rows)
    if report.page is not None:
        typer.echo(f"page {report.page}", err=True)
