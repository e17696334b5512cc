"""The commands `vl library ls`, `status`, `show`, `rm`, `verify` and the rest of its group."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from videolatent_cli.cli.options import DEFAULT_LIBRARY, AsJson, LibraryDir, Yes
from videolatent_cli.cli.output import print_json, print_table
from videolatent_cli.errors import IncompatibleError, UsageError, printable

app = typer.Typer(no_args_is_help=True, help="Inspect and maintain a library of videos.")


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
    """Report file and segment counts, the settings of the library, and unreadable files.

    Example: vl library status
    """
    from videolatent_cli.pipeline.library.maintenance import library_status

    report = library_status(library)
    if as_json:
        print_json(report.document())
        return
    rows = [
        *([state, str(count)] for state, count in sorted(report.states.items())),
        ["hours", f"{report.seconds / 3600:.2f}"],
        ["segments", str(report.segments)],
        ["size", f"{report.size_bytes / 1e6:.1f} MB, without features"],
        *(["root", root] for root in report.roots),
        *([name, value] for name, value in report.made_with.items()),
        *(["cannot be read", reason] for reason in report.failed.values()),
    ]
    print_table(str(library), ("", ""), rows, words=True)


@app.command()
def show(
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="Video file in the library.")],
    library: LibraryDir = DEFAULT_LIBRARY,
) -> None:
    """Print one file as JSON, with the description and transcript of each segment.

    Example: vl library show clips/a.mp4
    """
    from videolatent_cli.pipeline.library.maintenance import show_file

    print_json(show_file(library, video))


@app.command()
def rm(
    videos: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Video files or folders to forget.")
    ],
    library: LibraryDir = DEFAULT_LIBRARY,
    yes: Yes = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only report how many files would be forgotten.")
    ] = False,
) -> None:
    """Forget files: remove them from the library, but not from the disk.

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
    """Rewrite the tables without gaps and update the search indices.

    Example: vl library compact
    """
    from videolatent_cli.pipeline.library.maintenance import compact_library

    typer.echo(f"{library}: {compact_library(library) / 1e6:.1f} MB freed")


@app.command()
def migrate(library: LibraryDir = DEFAULT_LIBRARY) -> None:
    """Update a library of an older version to the current layout, without decoding again.

    Example: vl library migrate
    """
    from videolatent_cli.pipeline.library.maintenance import migrate_library

    changed = migrate_library(library)
    typer.echo(f"{library}: {'updated' if changed else 'is up to date'}")


@app.command()
def verify(library: LibraryDir = DEFAULT_LIBRARY) -> None:
    """Check that files and segments match and that none is stored twice.

    Example: vl library verify
    """
    from videolatent_cli.pipeline.library.maintenance import library_problems

    problems = library_problems(library)
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise IncompatibleError(
            f"{library}: {len(problems)} problems:\n{lines}\nremove the folder and index again"
        )
    typer.echo(f"{library}: no problems found")


@app.command()
def relocate(
    old: Annotated[
        str, typer.Argument(metavar="OLD", help="Root folder as listed by 'vl library status'.")
    ],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Folder that now holds its files.")],
    library: LibraryDir = DEFAULT_LIBRARY,
) -> None:
    """Record that a root folder has moved, without reading its files again.

    Example: vl library relocate /old/disk/videos /new/disk/videos
    """
    from videolatent_cli.pipeline.library.maintenance import relocate_library

    relocate_library(library, old, new)
    typer.echo(f"{library}: {old} is now {new.absolute()}")


@app.command()
def export(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write, ending in .parquet or .jsonl.")
    ],
    library: LibraryDir = DEFAULT_LIBRARY,
) -> None:
    """Export all segments with their files and vectors; Parquet also contains thumbnails.

    Example: vl library export -o library.parquet
    """
    from videolatent_cli.pipeline.library.maintenance import export_library

    typer.echo(f"{out}: {export_library(library, out)} segments")
