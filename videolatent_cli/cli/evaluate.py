"""`vl eval`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videolatent_cli.cli.options import DEFAULT_CACHE, AsJson, CacheDir, Device
from videolatent_cli.cli.output import print_json, print_table, progress_bars

if TYPE_CHECKING:
    from collections.abc import Mapping


def evaluate(
    run: Annotated[Path | None, typer.Argument(help="Run folder [default: newest].")] = None,
    data: Annotated[Path | None, typer.Option(help="Triplets [default: the recipe's].")] = None,
    ablate: Annotated[
        str | None, typer.Option(help="latents=off,zero,mean,shuffle,noise: measure these too.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Most videos of a split.")] = None,
    as_json: AsJson = False,
    cache_dir: CacheDir = DEFAULT_CACHE,
    device: Device = "auto",
) -> None:
    """Measure accuracy on held-out questions, with 95 % intervals.

    Example: vl eval runs/quickstart --ablate latents=off,mean,shuffle
    """
    from videolatent_cli.pipeline.evaluate import evaluate_run

    names = ablate.removeprefix("latents=").split(",") if ablate else []
    with progress_bars() as show:
        report = evaluate_run(
            run,
            cache_dir,
            data=data,
            ablations=names,
            limit=limit,
            device=device,
            progress=show,
        )
    document = report.document()
    if as_json:
        print_json(document)
        return
    for split, found in document["splits"].items():
        print_table(f"{document['run']} on {split}", ["category", *found], _rows(found))


def _rows(found: Mapping[str, Any]) -> list[list[str]]:
    """Return one row a category: accuracy and interval for each ablation."""
    categories = ["all", *next(iter(found.values()))["by_category"]]
    rows = []
    for category in categories:
        cells = []
        for result in found.values():
            value = result["all"] if category == "all" else result["by_category"][category]
            cells.append(cell(value))
        rows.append([category, *cells])
    return rows


def cell(value: Mapping[str, Any]) -> str:
    """Return accuracy, interval and number of questions as text."""
    return f"{value['accuracy']:.3f} [{value['low']:.2f}, {value['high']:.2f}] n={value['total']}"
