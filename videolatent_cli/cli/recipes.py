"""The commands `vl init`, `vl recipes`, `vl validate`, `vl schema` and `vl plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from videolatent_cli.cli.options import DEFAULT_CACHE, AsJson, CacheDir, Overrides, RecipePath
from videolatent_cli.cli.output import print_json
from videolatent_cli.errors import RecipeError, UsageError
from videolatent_cli.runtime.machine import Machine

app = typer.Typer(no_args_is_help=True, help="List, print and copy the recipes that come with vl.")


def init(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="File to write; - prints to stdout.")
    ] = Path("recipe.yaml"),
    backbone: Annotated[
        str,
        typer.Option(
            metavar="MODEL", help="Hub id or folder of a model, or tiny for the embedded backbone."
        ),
    ] = "tiny",
    data: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Your triplets (JSON Lines). Default: rendered EventWorld videos."
        ),
    ] = None,
) -> None:
    """Write a commented starter recipe.

    Example: vl init my.yaml --data train.jsonl
    """
    from videolatent_cli.recipe.starter import starter_recipe

    text = starter_recipe(backbone, data)
    if str(file) == "-":
        typer.echo(text, nl=False)
        return
    if file.exists():
        raise UsageError(f"{file} exists; choose another name")
    file.write_text(text, encoding="utf-8")
    typer.echo(f"{file} written")
    typer.echo(f"next: vl plan {file}", err=True)


@app.command("ls")
def list_recipes() -> None:
    """List the shipped recipes with their purpose.

    Example: vl recipes ls
    """
    from videolatent_cli.recipe.shipped import shipped_recipes

    for name, purpose in shipped_recipes().items():
        typer.echo(f"{name:20} {purpose}")


@app.command("cat")
def cat_recipe(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of a recipe, as 'vl recipes ls' lists it.")
    ],
) -> None:
    """Print a shipped recipe.

    Example: vl recipes cat quickstart
    """
    from videolatent_cli.recipe.shipped import shipped_recipe

    typer.echo(shipped_recipe(name).read_text(encoding="utf-8"), nl=False)


@app.command("cp")
def copy_recipe(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of a recipe, as 'vl recipes ls' lists it.")
    ],
    destination: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="File to write. Default: NAME.yaml.")
    ] = None,
) -> None:
    """Copy a shipped recipe to a file of your own.

    Example: vl recipes cp quickstart my.yaml
    """
    from videolatent_cli.recipe.shipped import shipped_recipe

    source = shipped_recipe(name)
    target = destination or Path(source.name)
    if target.exists():
        raise UsageError(f"{target} exists; choose another name")
    target.write_bytes(source.read_bytes())
    typer.echo(f"{target} written")


def validate(
    recipes: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE|SECTION.KEY=VALUE",
            help="Recipe files (YAML), and values that override theirs.",
        ),
    ],
) -> None:
    """Check recipes and print all their errors: schema, rules across sections, paths.

    Example: vl validate recipe.yaml training.max_steps=10
    """
    from videolatent_cli.recipe import load_recipe, recipe_hash
    from videolatent_cli.recipe.load import check_paths

    paths = [Path(name) for name in recipes if "=" not in name]
    overrides = [name for name in recipes if "=" in name]
    problems = []
    for path in paths:
        try:
            recipe = load_recipe(path, overrides)
            check_paths(recipe, path)
        except RecipeError as error:
            problems.append(str(error))
        else:
            typer.echo(f"{path}: valid ({recipe_hash(recipe)})")
    if problems:
        raise RecipeError("\n".join(problems))


def schema(
    key: Annotated[
        str | None,
        typer.Argument(
            metavar="KEY",
            help="Section or field, such as loss or loss.diversity_weight. Default: all.",
        ),
    ] = None,
    output: Annotated[
        Literal["json", "md"],
        typer.Option("--format", help="json: JSON schema. md: reference page in Markdown."),
    ] = "json",
) -> None:
    """Print the reference of recipe fields, as JSON schema or Markdown.

    Example: vl schema loss.diversity_weight --format md
    """
    from videolatent_cli.recipe.reference import reference_page, schema_of

    if output == "md":
        typer.echo(reference_page(key))
    else:
        print_json(schema_of(key))


def plan(
    recipe: RecipePath,
    overrides: Overrides = None,
    as_json: AsJson = False,
    cache_dir: CacheDir = DEFAULT_CACHE,
) -> None:
    """Estimate the cost of training a recipe: triplets, tokens, cache, memory, time.

    Example: vl plan recipes/quickstart.yaml
    """
    from videolatent_cli.recipe import load_recipe

    loaded = load_recipe(recipe, overrides or [])

    from videolatent_cli.pipeline.plan import PlanRequest, plan_recipe

    request = PlanRequest(loaded, recipe.parent, Path("runs") / recipe.stem)
    estimate = plan_recipe(request, Machine(cache_dir))
    if as_json:
        print_json(estimate.document())
    else:
        typer.echo(estimate.text())
