"""`vl search`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from videolatent_cli.cli.options import (
    DEFAULT_LIBRARY,
    AsJson,
    Device,
    LibraryDir,
    Run,
    Under,
    Where,
)
from videolatent_cli.cli.output import print_json, print_table
from videolatent_cli.errors import printable
from videolatent_cli.runtime.machine import Machine

if TYPE_CHECKING:
    from videolatent_cli.pipeline.library.search import Moment


def search(  # noqa: PLR0913 - the options of the command
    query: Annotated[
        str, typer.Argument(help="What the moment shows, or words of the file name.")
    ] = "",
    library: LibraryDir = DEFAULT_LIBRARY,
    count: Annotated[int, typer.Option("--count", "-k", min=1, help="Most moments.")] = 10,
    mode: Annotated[
        Literal["hybrid", "vector", "text"], typer.Option(help="What is compared.")
    ] = "hybrid",
    under: Under = "",
    where: Where = None,
    min_score: Annotated[
        float, typer.Option(help="Least score, 0 to 1: the share of the query that is shown.")
    ] = 0.0,
    image: Annotated[
        Path | None, typer.Option(help="A picture or video to look for, in place of QUERY.")
    ] = None,
    only_files: Annotated[
        bool, typer.Option("--files", "-f", help="Print paths only, each once.")
    ] = False,
    html: Annotated[Path | None, typer.Option(help="Also write a page with pictures.")] = None,
    export: Annotated[
        Path | None, typer.Option(help="Also write a list: .m3u, .edl or .otio.")
    ] = None,
    as_json: AsJson = False,
    run: Run = None,
    device: Device = "auto",
) -> None:
    """Find moments in a library of videos, by what is seen in them and by their names.

    Example: vl search "red square moves up" --html found.html
    """
    from videolatent_cli.pipeline.library.search import SearchRequest
    from videolatent_cli.pipeline.library.search import search as search_pipeline

    request = SearchRequest(
        query=query,
        library=library,
        count=count,
        mode=mode,
        under=under,
        where=where,
        min_score=min_score,
        image=image,
        run=run,
        page=html,
        export=export,
    )
    moments = search_pipeline(request, Machine(device=device))
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
