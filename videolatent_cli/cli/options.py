"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from videolatent_cli.errors import SetupError


def library_place(name: str | Path) -> Path:
    """Return the folder of a library; for a URI, what stands for it in an object store.

    Raises:
        SetupError: Where a package for object stores is missing.
    """
    if "://" not in str(name):
        return Path(name)
    try:
        from upath import UPath

        return cast("Path", UPath(name))
    except (ImportError, ValueError) as error:
        raise SetupError(
            f"{name}: cannot be used ({error}); pip install 'videolatent-cli[objects]'"
        ) from None


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
    Path,
    typer.Option(
        "--library",
        "-L",
        envvar="VL_LIBRARY",
        parser=library_place,
        metavar="PATH",
        help="Folder of the library, or s3://BUCKET/NAME and the like.",
    ),
]
Engine = Annotated[
    Literal["local", "ray"], typer.Option(help="ray: on a Ray cluster, or on one made here.")
]
Under = Annotated[str, typer.Option(help="Of a library: only files in this folder.")]
Where = Annotated[
    str | None, typer.Option(help="Of a library: SQL on the files, 'duration_seconds > 60'.")
]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Try again what failed before.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]

DEFAULT_CACHE = Path("cache")
DEFAULT_LIBRARY = DEFAULT_CACHE / "library"
