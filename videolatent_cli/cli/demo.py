"""`vl demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from videolatent_cli.cli.evaluate import cell
from videolatent_cli.cli.options import Device
from videolatent_cli.cli.output import print_table, progress_bars


def demo(
    folder: Annotated[Path, typer.Option("--dir", help="Where everything goes.")] = Path("demo"),
    device: Device = "auto",
) -> None:
    """Run the whole job once: render, cache, train with and without latents, evaluate, ask.

    Nothing is downloaded. Stop it with Ctrl-C and run it again to go on.
    """
    from videolatent_cli.pipeline.demo import run_demo

    with progress_bars() as show:
        report = run_demo(folder, device, show)
    columns = ["questions", *report.columns]
    rows = [[name, *(cell(value) for value in values)] for name, values in report.rows]
    print_table("accuracy on held-out videos, 95 % intervals", columns, rows)
    answer = report.answer
    typer.echo(f"asked   {answer.question}  ({report.asked_video})")
    typer.echo(f"answer  {answer.answer}   (right: {report.right_answer})")
    for moment in answer.evidence:
        typer.echo(f"evidence {moment.start_seconds:.2f}-{moment.end_seconds:.2f} s")
    typer.echo(f"took {report.seconds:.0f} s, peak memory {report.peak_memory_bytes / 1e9:.2f} GB")
    for what, path in report.files.items():
        typer.echo(f"{what:16} {path}")
