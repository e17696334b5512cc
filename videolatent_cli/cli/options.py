"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from videolatent_cli.errors import SetupError


def library_place(name: str | Path) -> Path:
    """Return the folder of a library: a local path, or a path object for an object-store URI.

    Raises:
        SetupError: If a package for object stores is missing.
    """
    if "://" not in str(name):
        return Path(name)
    try:
        from upath import UPath

        # A UPath has the methods of a Path, but not always its type.
        return cast("Path", UPath(name))
    except (ImportError, ValueError) as error:
        raise SetupError(
            f"{name}: cannot be used ({error}); pip install 'videolatent-cli[objects]'"
        ) from None


RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="Recipe file (YAML).")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="SECTION.KEY=VALUE", help="Values that override the recipe's."),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        envvar="VL_DEVICE",
        metavar="DEVICE",
        help="Torch device: cpu, cuda, cuda:1, ...; auto uses the GPU if there is one.",
    ),
]
CacheDir = Annotated[
    Path,
    typer.Option(
        "--cache-dir", envvar="VL_CACHE", help="Folder of cached features and rendered videos."
    ),
]
Run = Annotated[
    Path | None,
    typer.Option(
        "--run",
        help="Run folder of the model to use. Default: the newest in runs/, "
        "or the embedded model if there is none.",
    ),
]
Evidence = Annotated[
    int,
    typer.Option(
        "--evidence",
        min=0,
        help="Maximum number of evidence moments per video or library segment.",
    ),
]
Latents = Annotated[
    Literal["on", "off"],
    typer.Option(
        "--latents", help="on: compute latents before the answer. off: answer without latents."
    ),
]
LibraryDir = Annotated[
    Path,
    typer.Option(
        "--library",
        "-L",
        envvar="VL_LIBRARY",
        parser=library_place,
        metavar="PATH",
        help="Folder of the library, or its URI in an object store, such as s3://BUCKET/NAME.",
    ),
]
Engine = Annotated[
    Literal["local", "ray"],
    typer.Option(
        help="local: work in this process. ray: work on the cluster of RAY_ADDRESS, "
        "or on one of this machine, started if necessary."
    ),
]
Under = Annotated[
    str, typer.Option(metavar="FOLDER", help="Use only the library's files in this folder.")
]
Where = Annotated[
    str | None,
    typer.Option(
        metavar="SQL",
        help="Use only the library's files that match this SQL condition, "
        "such as 'duration_seconds > 60'.",
    ),
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Retry what failed in an earlier run.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]

DEFAULT_CACHE = Path("cache")
DEFAULT_LIBRARY = DEFAULT_CACHE / "library"
