"""Output of commands: the result on stdout, everything else on stderr.

rich is imported inside functions, because light commands do not need it.
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
"""Time between two progress lines (s) if stderr is no terminal."""


def print_json(document: object) -> None:
    """Print a value as one indented JSON document."""
    typer.echo(json.dumps(document, ensure_ascii=False, indent=2))


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, words: bool = False
) -> None:
    """Print a table; cells that are too wide wrap.

    Args:
        title: Line above the table.
        columns: Names of the columns.
        rows: Cells of each row.
        words: Align the columns after the first to the left, as words; False: to the right, as
            numbers.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for index, column in enumerate(columns):
        is_name = index == 0
        justify: JustifyMethod = "left" if is_name or words else "right"
        table.add_column(column, justify=justify, no_wrap=is_name and not words)
    for row in rows:
        table.add_row(*row)
    # rich assumes 80 columns for a pipe or file, which would wrap most tables.
    width = None if sys.stdout.isatty() else 160
    Console(width=width, highlight=False).print(table)


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that shows progress: bars on a terminal, occasional lines elsewhere.

    The function takes the name of a task, how many items are done, and how many there are.
    """
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
    """Return a progress function that prints at most one line per task and 30 s."""
    last_line: dict[str, float] = {}  # time of the last line, by task
    last_done: dict[str, int] = {}

    def show(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done <= last_done.get(what, total):
            last_line[what] = now  # the task starts, perhaps for the second time
        last_done[what] = done
        if now - last_line[what] >= _QUIET_SECONDS:
            last_line[what] = now
            typer.echo(f"{what}: {done}/{total}", err=True)

    return show
