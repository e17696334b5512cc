"""The commands `vl train`, `vl runs ls` and `vl runs show`."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videolatent_cli.cli.options import (
    DEFAULT_CACHE,
    AsJson,
    CacheDir,
    Device,
    Overrides,
    RecipePath,
)
from videolatent_cli.cli.output import print_json, print_table, progress_bars
from videolatent_cli.runtime.machine import Machine

if TYPE_CHECKING:
    from videolatent_cli.pipeline.train import TrainReport

runs = typer.Typer(no_args_is_help=True, help="List and show runs.")


def train(  # noqa: PLR0913 - the options of the command
    recipe: RecipePath,
    overrides: Overrides = None,
    run_dir: Annotated[
        Path | None, typer.Option(help="Folder of the run. Default: runs/NAME for NAME.yaml.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Stop with an error if there is no run to resume.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the recipe and its data without training.")
    ] = False,
    nproc: Annotated[
        int,
        typer.Option(
            "--nproc", min=1, help="Number of training processes on this machine, one per GPU."
        ),
    ] = 1,
    track: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Tracker that also receives the curves: tensorboard, wandb or trackio; "
            "may be repeated.",
        ),
    ] = None,
    as_json: AsJson = False,
    cache_dir: CacheDir = DEFAULT_CACHE,
    device: Device = "auto",
) -> None:
    """Train a recipe. Encodes missing videos first; resumes after an interruption.

    The same command resumes a stopped run from its last checkpoint.

    Example: vl train recipes/quickstart.yaml training.max_steps=50 --run-dir runs/try
    """
    from videolatent_cli.recipe import load_recipe

    loaded = load_recipe(recipe, overrides or [])

    # The launcher sets WORLD_SIZE: a process that it started must not start more.
    if nproc > 1 and "WORLD_SIZE" not in os.environ:
        from videolatent_cli.pipeline.runs.launch import launch

        raise typer.Exit(launch(sys.argv[1:], nproc, loaded.training))

    from videolatent_cli.pipeline.train import TrainRequest
    from videolatent_cli.pipeline.train import train as train_pipeline

    request = TrainRequest(
        recipe=loaded,
        source=recipe.read_text(encoding="utf-8"),
        run_dir=run_dir or Path("runs") / recipe.stem,
        base_dir=recipe.parent,
        overrides=tuple(overrides or ()),
        resume_command=shlex.join(["vl", *sys.argv[1:]]),
        trackers=tuple(track or ()),
        resume=resume,
        dry_run=dry_run,
    )
    with progress_bars() as show:
        report = train_pipeline(request, Machine(cache_dir, device), show)
    if os.environ.get("RANK", "0") == "0":
        _print_report(report, as_json=as_json)


def _print_report(report: TrainReport, *, as_json: bool) -> None:
    """Print the outcome of a training."""
    if report.dry_run is not None:
        typer.echo(report.dry_run)
        return
    if as_json:
        print_json(report.document())
        return
    if report.last is None:
        typer.echo(f"{report.run_dir}: finished before, {report.steps} steps")
        return
    typer.echo(
        f"{report.run_dir}: {report.steps} steps in {report.seconds:.0f} s, "
        f"loss {report.last.loss:.4f}"
    )
    typer.echo(f"next: vl eval {report.run_dir}", err=True)


@runs.command("ls")
def list_runs(as_json: AsJson = False) -> None:
    """List the runs in runs/ with their recipe and progress.

    Example: vl runs ls
    """
    from videolatent_cli.pipeline.runs.run_dir import run_summaries

    summaries = run_summaries()
    if as_json:
        print_json({"schema": "vl.runs/1", "runs": summaries})
    else:
        rows = [[r["run"], r["recipe_hash"], f"{r['step']}/{r['total_steps']}"] for r in summaries]
        print_table("runs", ["run", "recipe", "steps"], rows)


@runs.command("show")
def show_run(run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")]) -> None:
    """Print the recipe, provenance and progress of a run as JSON.

    Example: vl runs show runs/quickstart
    """
    from videolatent_cli.pipeline.runs.run_dir import run_details

    print_json(run_details(run))
