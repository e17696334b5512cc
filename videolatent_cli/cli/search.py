"""The command `vl search`."""

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
Query = Annotated[
    str,
    typer.Argument(
        metavar="QUERY",
        help="Words for what a moment shows or says, or for the name of its file.",
    ),
]
Count = Annotated[int, typer.Option("--count", "-k", min=1, help="Maximum number of moments.")]
Mode = Annotated[
    Literal["hybrid", "vector", "text"],
    typer.Option(help="Search by vectors, by words (text), or by both (hybrid)."),
]
MinScore = Annotated[
    float,
    typer.Option(
        help="Minimum score of a moment, 0 to 1. It is the matched share of the query "
        "(lexical), or the cosine of query and moment (other embedders)."
    ),
]
Image = Annotated[
    Path | None, typer.Option(help="Picture or video to search for, instead of QUERY.")
]
OnlyFiles = Annotated[
    bool, typer.Option("--files", "-f", help="Print only the paths of the videos, each once.")
]
ResultPage = Annotated[
    Path | None, typer.Option(help="HTML page to write, with a thumbnail per moment.")
]
MomentList = Annotated[
    Path | None,
    typer.Option(help="Playlist (.m3u) or edit list (.edl, .otio) of the moments to write."),
]


def search(  # noqa: PLR0913 - the options of the command
    query: Query = "",
    library: LibraryDir = DEFAULT_LIBRARY,
    count: Count = 10,
    mode: Mode = "hybrid",
    under: Under = "",
    where: Where = None,
    min_score: MinScore = 0.0,
    image: Image = None,
    only_files: OnlyFiles = False,
    html: ResultPage = None,
    export: MomentList = None,
    as_json: AsJson = False,
    run: Run = None,
    device: Device = "auto",
) -> None:
    """Find moments in a library of videos by what they show or say, or by file names.

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
    """Print a table of moments; without moments, a note on stderr."""
    rows = [
        [
            f"{moment.score:.2f}",
            f"{moment.segment.start_seconds:.1f}-{moment.segment.end_seconds:.1f}",
            printable(moment.paths[0]),
            moment.segment.description,
        ]
        for moment in moments
    ]
    if rows:
        print_table("", ("score", "seconds", "video", "seen"), rows, words=True)
    else:
        typer.echo("nothing found", err=True)
