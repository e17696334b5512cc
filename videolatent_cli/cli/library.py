"""`vl library`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from videolatent_cli.cli.options import DEFAULT_LIBRARY, AsJson, LibraryDir, Yes
from videolatent_cli.cli.output import print_json, print_table
from videolatent_cli.errors import IncompatibleError, UsageError, printable

app = typer.Typer(no_args_is_help=True, help="What a library of videos holds, and its care.")


@app.command()
def ls(library: LibraryDir = DEFAULT_LIBRARY, as_json: AsJson = False) -> None:
    """List the files of a library.

    Example: vl library ls
    """
    from videolatent_cli.pipeline.library.maintenance import library_files

    files = library_files(library)
    if as_json:
        rows = [
            {"video": printable(path), "state": row.state, "duration_seconds": row.duration_seconds}
            for path, row in files
        ]
        print_json({"schema": "vl.library-files/1", "files": rows})
        return
    for path, row in files:
        typer.echo(f"{row.state:8}  {row.duration_seconds:9.1f} s  {printable(path)}")


@app.command()
def status(library: LibraryDir = DEFAULT_LIBRARY, as_json: AsJson = False) -> None:
    """Say how many files and segments there are, what made them, and what cannot be read.

    Example: vl library status
    """
    from videolatent_cli.pipeline.library.maintenance import library_status

    found = library_status(library)
    if as_json:
        print_json(found.document())
        return
    rows = [
        *([state, str(count)] for state, count in sorted(found.states.items())),
        ["hours", f"{found.seconds / 3600:.2f}"],
        ["segments", str(found.segments)],
        ["size", f"{found.size_bytes / 1e6:.1f} MB, without features"],
        *(["root", root] for root in found.roots),
        *([name, value] for name, value in found.made_with.items()),
        *(["cannot be read", reason] for reason in found.failed.values()),
    ]
    print_table(str(library), ("", ""), rows, words=True)


@app.command()
def show(
    video: Annotated[Path, typer.Argument(help="A file of the library.")],
    library: LibraryDir = DEFAULT_LIBRARY,
) -> None:
    """Print one file with its segments and what is seen in them, as JSON.

    Example: vl library show clips/a.mp4
    """
    from videolatent_cli.pipeline.library.maintenance import show_file

    print_json(show_file(library, video))


@app.command()
def rm(
    videos: Annotated[list[Path], typer.Argument(help="Files or folders to forget.")],
    library: LibraryDir = DEFAULT_LIBRARY,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count them.")] = False,
) -> None:
    """Forget files; the files themselves stay where they are.

    Example: vl library rm clips/old --yes
    """
    from videolatent_cli.pipeline.library.maintenance import remove_from_library

    count = remove_from_library(library, videos, dry_run=True)
    if dry_run:
        typer.echo(f"{library}: would forget {count} files")
        return
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"{library}: would forget {count} files; add --yes")
        typer.confirm(f"{library}: forget {count} files?", abort=True)
    remove_from_library(library, videos, dry_run=False)
    typer.echo(f"{library}: {count} files forgotten")


@app.command()
def compact(library: LibraryDir = DEFAULT_LIBRARY) -> None:
    """Rewrite the tables without gaps and bring the indices up to date.

    Example: vl library compact
    """
    from videolatent_cli.pipeline.library.maintenance import compact_library

    typer.echo(f"{library}: {compact_library(library) / 1e6:.1f} MB freed")


@app.command()
def migrate(library: LibraryDir = DEFAULT_LIBRARY) -> None:
    """Bring a library that an older version made up to date; nothing is decoded again.

    Example: vl library migrate
    """
    from videolatent_cli.pipeline.library.maintenance import migrate_library

    changed = migrate_library(library)
    typer.echo(f"{library}: {'brought up to date' if changed else 'is up to date'}")


@app.command()
def verify(library: LibraryDir = DEFAULT_LIBRARY) -> None:
    """Check that files and segments fit together, each there once.

    Example: vl library verify
    """
    from videolatent_cli.pipeline.library.maintenance import library_problems

    problems = library_problems(library)
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise IncompatibleError(
            f"{library}: {len(problems)} problems:\n{lines}\nremove the folder and index again"
        )
    typer.echo(f"{library}: sound")


@app.command()
def relocate(
    old: Annotated[str, typer.Argument(help="A root, as 'vl library status' names it.")],
    new: Annotated[Path, typer.Argument(help="Where its files lie now.")],
    library: LibraryDir = DEFAULT_LIBRARY,
) -> None:
    """Say that the files below a root have moved; nothing is read again.

    Example: vl library relocate /old/disk/videos /new/disk/videos
    """
    from videolatent_cli.pipeline.library.maintenance import relocate_library

    relocate_library(library, old, new)
    typer.echo(f"{library}: {old} is now {new.absolute()}")


@app.command()
def export(
    out: Annotated[Path, typer.Option("--out", "-o", help="A .parquet or .jsonl file.")],
    library: LibraryDir = DEFAULT_LIBRARY,
) -> None:
    """Write all segments with their files, vectors and (Parquet) pictures.

    Example: vl library export -o library.parquet
    """
    from videolatent_cli.pipeline.library.maintenance import export_library

    typer.echo(f"{out}: {export_library(library, out)} segments")
