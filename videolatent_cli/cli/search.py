"""`vl search`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from videolatent_cli.cli.options import DEFAULT_LIBRARY, AsJson, LibraryDir
from videolatent_cli.cli.output import print_json, print_table
from videolatent_cli.errors import printable

if TYPE_CHECKING:
    from videolatent_cli.pipeline.search import Moment


def search(  # noqa: PLR0913 - the options of the command
    query: Annotated[str, typer.Argument(help="What the moment shows, or words of the file name.")],
    library: LibraryDir = DEFAULT_LIBRARY,
    count: Annotated[int, typer.Option("--count", "-k", min=1, help="Most moments.")] = 10,
    mode: Annotated[
        Literal["hybrid", "vector", "text"], typer.Option(help="What is compared.")
    ] = "hybrid",
    under: Annotated[str, typer.Option(help="Only files whose path starts so.")] = "",
    where: Annotated[
        str | None, typer.Option(help="SQL on the files: 'duration_seconds > 60'.")
    ] = None,
    min_score: Annotated[
        float, typer.Option(help="Least share of the query that a moment holds, 0 to 1.")
    ] = 0.0,
    only_files: Annotated[
        bool, typer.Option("--files", "-f", help="Print paths only, each once.")
    ] = False,
    html: Annotated[Path | None, typer.Option(help="Also write a page with pictures.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find moments in a library of videos, by what is seen in them and by their names.

    Example: vl search "red square moves up" --html found.html
    """
    from videolatent_cli.pipeline.search import SearchRequest, write_search_page
    from videolatent_cli.pipeline.search import search as search_pipeline

    request = SearchRequest(query, library, count, mode, under, where, min_score)
    moments = search_pipeline(request)
    if html is not None:
        write_search_page(request, moments, html)
    if as_json:
        hits = [moment.document() for moment in moments]
        print_json({"schema": "vl.search/1", "query": query, "hits": hits})
    elif only_files:
        for path in dict.fromkeys(printable(moment.paths[0]) for moment in moments):
            typer.echo(path)
    else:
        _print_moments(moments)


def _print_moments(moments: list[Moment]) -> None:
    """Print a table of moments, or that there is none."""
    rows = [
        [
            f"{one.score:.2f}",
            f"{one.segment.start_seconds:.1f}-{one.segment.end_seconds:.1f}",
            printable(one.paths[0]),
            one.segment.description,
        ]
        for one in moments
    ]
    if rows:
        print_table("", ("score", "seconds", "video", "seen"), rows, words=True)
    else:
        typer.echo("nothing found", err=True)
