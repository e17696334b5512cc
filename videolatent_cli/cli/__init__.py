"""The `vl` command line. Each command imports its pipeline only when it is called."""

from pathlib import Path
from typing import Annotated

import typer

from videolatent_cli.cli import (
    ask,
    batch,
    bench,
    cache,
    data,
    demo,
    evaluate,
    export,
    index,
    library,
    probe,
    recipes,
    report,
    search,
    train,
)
from videolatent_cli.cli.errors import ErrorGroup
from videolatent_cli.runtime.logs import configure_logging
from videolatent_cli.version import __version__

_EPILOG = """
Examples:\n
  vl demo                                     try everything once, no download\n
  vl train recipes/quickstart.yaml            train a recipe\n
  vl ask video.mp4 "Which color moved last?"  ask about a video
"""

app = typer.Typer(
    cls=ErrorGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train and use models that answer questions about videos with a few continuous latents.",
    epilog=_EPILOG,
)


def _version(wanted: bool) -> None:
    """Print the version and exit."""
    if wanted:
        typer.echo(f"vl {__version__}")
        raise typer.Exit


@app.callback()
def main(
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Log only warnings and errors.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also log debug messages.")
    ] = False,
    log_file: Annotated[
        Path | None, typer.Option(help="File that also receives the log, with debug messages.")
    ] = None,
    no_color: Annotated[bool, typer.Option("--no-color", help="Print the log uncolored.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Configure logging before any command runs."""
    del version
    configure_logging(int(verbose) - int(quiet), log_file, False if no_color else None)


app.command("demo", rich_help_panel="Start")(demo.demo)
app.command("init", rich_help_panel="Start")(recipes.init)
app.add_typer(recipes.app, name="recipes", rich_help_panel="Recipes")
app.command("validate", rich_help_panel="Recipes")(recipes.validate)
app.command("schema", rich_help_panel="Recipes")(recipes.schema)
app.command("plan", rich_help_panel="Recipes")(recipes.plan)
app.add_typer(data.app, name="data", rich_help_panel="Data")
app.add_typer(cache.app, name="cache", rich_help_panel="Data")
app.command("train", rich_help_panel="Train and evaluate")(train.train)
app.add_typer(train.runs, name="runs", rich_help_panel="Train and evaluate")
app.add_typer(evaluate.app, name="eval", rich_help_panel="Train and evaluate")
app.command("probe", rich_help_panel="Train and evaluate")(probe.probe)
app.command("report", rich_help_panel="Train and evaluate")(report.report)
app.command("bench", rich_help_panel="Train and evaluate")(bench.bench)
app.command("export", rich_help_panel="Train and evaluate")(export.export)
app.command("ask", rich_help_panel="Ask")(ask.ask)
app.command("batch", rich_help_panel="Ask")(batch.batch)
app.command("index", rich_help_panel="Library")(index.index)
app.command("search", rich_help_panel="Library")(search.search)
app.add_typer(library.app, name="library", rich_help_panel="Library")
