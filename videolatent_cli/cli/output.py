"""How commands talk: the product on stdout, everything else on stderr.

rich is imported where it is used: a light command needs none of it.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import JustifyMethod

_QUIET_SECONDS = 30.0
"""Time between two lines of progress where stderr is no terminal."""


def print_json(document: object) -> None:
    """Print one JSON document."""
    typer.echo(json.dumps(document, ensure_ascii=False, indent=2))


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, words: bool = False
) -> None:
    """Print a table; columns after the first are numbers, or words. What is too wide wraps."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for index, column in enumerate(columns):
        name = index == 0
        justify: JustifyMethod = "left" if name or words else "right"
        table.add_column(column, justify=justify, no_wrap=name and not words)
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else 160
    Console(width=width, highlight=False).print(table)


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that shows (what, done, total): bars on a terminal, else rare lines."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _rare_lines()
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield show


def _rare_lines() -> Callable[[str, int, int], None]:
    """Return a progress function that prints a line for every 30 s that something takes."""
    last: dict[str, float] = {}
    before: dict[str, int] = {}

    def show(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done <= before.get(what, total):
            last[what] = now  # it starts, perhaps for the second time
        before[what] = done
        if now - last[what] >= _QUIET_SECONDS:
            last[what] = now
            typer.echo(f"{what}: {done}/{total}", err=True)

    return show
