"""The command `vl demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videolatent_cli.cli.options import Device
from videolatent_cli.cli.output import print_table, progress_bars
from videolatent_cli.runtime.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from videolatent_cli.evaluation.statistics import Accuracy
    from videolatent_cli.pipeline.demo import DemoReport


def demo(
    folder: Annotated[Path, typer.Option("--dir", help="Folder to write everything to.")] = Path(
        "demo"
    ),
    device: Device = "auto",
) -> None:
    """Try everything once, without a download: render, train, evaluate, ask.

    Renders small videos, trains with and without latents, and compares both.
    Run the same command again to resume after an interruption.

    Example: vl demo --dir demo
    """
    from videolatent_cli.pipeline.demo import DemoRequest, run_demo

    with progress_bars() as show:
        report = run_demo(DemoRequest(folder), Machine(device=device), show)
    for title, columns, rows in demo_tables(report):
        print_table(title, columns, rows)
    answer = report.answer
    typer.echo(f"asked   {answer.question}  ({report.asked_video})")
    typer.echo(f"answer  {answer.answer}   (right: {report.right_answer})")
    for moment in answer.evidence:
        typer.echo(f"evidence {moment.start_seconds:.2f}-{moment.end_seconds:.2f} s")
    typer.echo(f"took {report.seconds:.0f} s, peak memory {report.peak_memory_bytes / 1e9:.2f} GB")
    for what, path in report.files.items():
        typer.echo(f"{what:16} {path}")


def demo_tables(report: DemoReport) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Yield title, columns and rows of each table."""
    by_hops, by_category = report.by_hops, report.by_category
    groups = next(iter(by_hops.values()))
    yield (
        "accuracy on held-out videos, 95 % intervals",
        ["model", *(f"{name} ({accuracy.total})" for name, accuracy in groups.items())],
        [[model, *(_cell(row[name]) for name in groups)] for model, row in by_hops.items()],
    )
    families = next(iter(by_category.values()))
    yield (
        "by family",
        ["family (questions)", *by_category],
        [
            [
                f"{name} ({accuracy.total})",
                *(_cell(column[name]) for column in by_category.values()),
            ]
            for name, accuracy in families.items()
            if "=" not in name  # names such as `hops=3` are no families
        ],
    )


def _cell(value: Accuracy) -> str:
    """Return an accuracy with its interval, short enough for four columns in a terminal."""
    low, high = value.interval()
    return f"{value.value:.2f} [{low:.2f}, {high:.2f}]"
