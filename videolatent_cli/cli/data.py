"""The commands `vl data check` and `vl data render`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from videolatent_cli.cli.options import DEFAULT_CACHE, AsJson, CacheDir
from videolatent_cli.cli.output import print_json, progress_bars
from videolatent_cli.errors import DataError, UsageError
from videolatent_cli.runtime.machine import Machine

app = typer.Typer(no_args_is_help=True, help="Check data sets and render EventWorld.")


@app.command()
def check(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Triplets (.jsonl) or a recipe (.yaml).")
    ],
    deep: Annotated[
        bool,
        typer.Option(
            "--deep",
            help="Also decode the frames that the recipe samples; of a triplet file up to 64 "
            "frames of each video.",
        ),
    ] = False,
    quarantine: Annotated[
        Path, typer.Option(help="File to write the bad videos and parts to (JSON Lines).")
    ] = Path("quarantine.jsonl"),
    as_json: AsJson = False,
    cache_dir: CacheDir = DEFAULT_CACHE,
) -> None:
    """Open every video of a data set; list those that cannot be read, and parts outside of them.

    Example: vl data check train.jsonl --deep
    """
    from videolatent_cli.pipeline.check_data import CheckRequest, check_data

    with progress_bars() as show:
        request = CheckRequest(data, quarantine, deep)
        report = check_data(request, Machine(cache_dir), show)
    if as_json:
        print_json(report.document())
    else:
        for reason in (*report.bad.values(), *report.outside.values()):
            typer.echo(reason)
        for path, remarks in report.remarks.items():
            typer.echo(f"{path}: note: {'; '.join(remarks)}")
        parts = f", {len(report.outside)} parts outside" if report.outside else ""
        typer.echo(f"{report.videos} videos, {len(report.bad)} bad{parts}, listed in {quarantine}")
    if report.bad or report.outside:
        raise DataError(
            f"{data}: {len(report.bad)} of {report.videos} videos cannot be read, "
            f"{len(report.outside)} parts lie outside of theirs; fix them, or set data.on_bad to "
            "skip"
        )


@app.command()
def render(
    world: Annotated[
        Literal["eventworld"], typer.Argument(metavar="WORLD", help="Data set: eventworld.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")],
    videos: Annotated[int, typer.Option(min=1, help="Number of videos per split.")] = 100,
    split: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Split to render; may be repeated. Default: train."),
    ] = None,
    families: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Family of questions to write; may be repeated. Default: all."
        ),
    ] = None,
    questions: Annotated[
        int, typer.Option(min=1, help="Maximum number of questions per video.")
    ] = 8,
) -> None:
    """Render EventWorld videos and write the questions of each split to SPLIT.jsonl.

    Example: vl data render eventworld -o world --videos 100 --split train --split test_iid
    """
    del world
    from videolatent_cli.data.eventworld import SPLITS
    from videolatent_cli.data.eventworld.files import render_dataset

    splits = split or ["train"]
    unknown = [name for name in splits if name not in SPLITS]
    if unknown:
        raise UsageError(f"--split: unknown, got {unknown}; choose from: {', '.join(SPLITS)}")
    counts = dict.fromkeys(splits, videos)
    with progress_bars() as show:
        written = render_dataset(
            output,
            counts,
            families or ["all"],
            questions,
            lambda done, total: show("render", done, total),
        )
    for name, path in written.items():
        typer.echo(f"{name}: {videos} videos, triplets in {path}")
