"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SECTION.KEY=VALUE]...", help="Values that replace the recipe's."),
]
Device = Annotated[
    str, typer.Option("--device", envvar="VL_DEVICE", help="cpu, cuda, cuda:1, ... or auto.")
]
CacheDir = Annotated[Path, typer.Option("--cache-dir", envvar="VL_CACHE", help="Folder of caches.")]
Run = Annotated[
    Path | None,
    typer.Option("--run", help="Run folder (default: newest in runs/, else the embedded model)."),
]
LibraryDir = Annotated[
    Path, typer.Option("--library", "-L", envvar="VL_LIBRARY", help="Folder of the library.")
]
Engine = Annotated[
    Literal["local", "ray"], typer.Option(help="ray: on a Ray cluster, or on one made here.")
]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Try again what failed before.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]

DEFAULT_CACHE = Path("cache")
DEFAULT_LIBRARY = DEFAULT_CACHE / "library"
