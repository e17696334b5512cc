"""The commands `vl cache build`, `status`, `verify` and `gc`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from videolatent_cli.cli.options import (
    DEFAULT_CACHE,
    AsJson,
    CacheDir,
    Device,
    Overrides,
    RecipePath,
    Yes,
)
from videolatent_cli.cli.output import print_json, progress_bars
from videolatent_cli.errors import IncompatibleError, UsageError
from videolatent_cli.runtime.machine import Machine

app = typer.Typer(no_args_is_help=True, help="Manage the cache of encoded videos.")


@app.command()
def build(
    recipe: RecipePath,
    overrides: Overrides = None,
    as_json: AsJson = False,
    cache_dir: CacheDir = DEFAULT_CACHE,
    device: Device = "auto",
) -> None:
    """Encode the videos of a recipe that are not in the cache yet.

    Example: vl cache build recipes/quickstart.yaml
    """
    from videolatent_cli.recipe import load_recipe

    loaded = load_recipe(recipe, overrides or [])

    from videolatent_cli.pipeline.cache import CacheRequest, build_cache

    with progress_bars() as show:
        request = CacheRequest(loaded, recipe.parent)
        report = build_cache(request, Machine(cache_dir, device), show)
    if as_json:
        print_json(report.document())
        return
    typer.echo(
        f"{cache_dir}: {report.encoded} encoded, {report.status.cached} of "
        f"{report.status.wanted} cached, {len(report.quarantined) + len(report.outside)} left out"
    )


@app.command()
def status(
    recipe: RecipePath,
    overrides: Overrides = None,
    as_json: AsJson = False,
    cache_dir: CacheDir = DEFAULT_CACHE,
    device: Device = "auto",
) -> None:
    """Report how much of a recipe's data is cached.

    Example: vl cache status recipes/quickstart.yaml
    """
    from videolatent_cli.recipe import load_recipe

    loaded = load_recipe(recipe, overrides or [])

    from videolatent_cli.pipeline.cache import CacheRequest, recipe_cache_status

    request = CacheRequest(loaded, recipe.parent)
    report = recipe_cache_status(request, Machine(cache_dir, device))
    if as_json:
        print_json(report.document())
        return
    typer.echo(
        f"{cache_dir}: {report.cached} of {report.wanted} cached, {report.size_bytes / 1e6:.1f} MB"
    )


@app.command()
def verify(
    repair: Annotated[
        bool, typer.Option("--repair", help="Remove damaged and duplicate rows.")
    ] = False,
    as_json: AsJson = False,
    cache_dir: CacheDir = DEFAULT_CACHE,
) -> None:
    """Read every row of the cache back and compare it with its checksum.

    Example: vl cache verify --repair
    """
    from videolatent_cli.pipeline.cache import VerifyRequest, verify_cache

    report = verify_cache(VerifyRequest(repair), Machine(cache_dir))
    bad = len(report.bad_keys) + len(report.doubled_keys)
    if as_json:
        print_json(
            {
                "schema": "vl.cache-verify/1",
                "rows": report.rows,
                "bad_keys": report.bad_keys,
                "doubled_keys": report.doubled_keys,
            }
        )
    else:
        typer.echo(f"{cache_dir}: {report.rows} rows, {bad} bad")
    if bad and not repair:
        raise IncompatibleError(
            f"{cache_dir}: {bad} rows are damaged or duplicate; run: vl cache verify --repair"
        )


@app.command()
def gc(
    recipe: Annotated[
        Path | None,
        typer.Option(
            "--keep-only",
            metavar="RECIPE",
            help="Also drop all rows that this recipe does not use. Default: keep all rows.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only report how many rows would be dropped.")
    ] = False,
    yes: Yes = False,
    cache_dir: CacheDir = DEFAULT_CACHE,
    device: Device = "auto",
) -> None:
    """Compact the cache and remove temporary files that killed processes left.

    Example: vl cache gc --keep-only recipes/quickstart.yaml --dry-run
    """
    if recipe is not None and not dry_run and not yes:
        if not sys.stdin.isatty():
            raise UsageError("gc --keep-only: drops rows; add --yes, or try --dry-run first")
        typer.confirm("Drop all other rows?", abort=True, err=True)

    from videolatent_cli.pipeline.cache import CollectRequest, collect_garbage

    report = collect_garbage(CollectRequest(recipe, dry_run), Machine(cache_dir, device))
    verb = "would drop" if dry_run else "dropped"
    typer.echo(f"{cache_dir}: {verb} {report.rows} rows, {report.freed_bytes / 1e6:.1f} MB freed")
