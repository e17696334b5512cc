"""The one place where errors become a line and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from videolatent_cli.errors import ResourceError, VideoLatentError

_DISK_PROBLEMS = {
    "No space left on device": "is full; free space and run the same command again",
    "Read-only file system": "is read-only; name another folder, or make it writable",
    "Permission denied": "may not be written or read by this user; name another folder",
}
"""What the system says of a disk, also inside the words of a database, and what to do."""
_MEMORY_PROBLEMS = ("out of memory", "can't allocate memory", "Cannot allocate memory")
"""What torch says of a GPU's memory and of the machine's, and the system; else it is its type."""


def resource_problem(error: OSError | RuntimeError | MemoryError) -> ResourceError | None:
    """Return what is wrong with disk or memory in one line; None for any other error."""
    for words, advice in _DISK_PROBLEMS.items():
        if words in str(error):
            where = getattr(error, "filename", None) or "disk"
            return ResourceError(f"{where}: {advice}")
    if isinstance(error, MemoryError) or any(words in str(error) for words in _MEMORY_PROBLEMS):
        said = str(error).partition("\n")[0].rstrip(".") or "no more was to be had"
        return ResourceError(
            f"memory: {said}; take fewer frames or pixels (video.max_frames, video.max_pixels), "
            "or end what else needs memory"
        )
    return None


class ErrorGroup(TyperGroup):
    """A command group that shows a VideoLatentError as text; other errors keep their traceback."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer's own types
        """Run a command.

        Raises:
            typer.Exit: With the exit code of the error.
        """
        try:
            return super().invoke(ctx)
        except VideoLatentError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(error.exit_code) from None
        except BrokenPipeError:
            # The reader has gone; Python must not complain again while it closes stdout.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(141) from None
        except (OSError, RuntimeError, MemoryError) as error:
            problem = resource_problem(error)
            if problem is None:
                raise
            typer.echo(f"error: {problem}", err=True)
            raise typer.Exit(problem.exit_code) from None
        except KeyboardInterrupt:
            typer.echo("stopped", err=True)
            raise typer.Exit(130) from None


class DefaultGroup(TyperGroup):
    """A group whose command `run` needs no name: `vl eval RUN` is `vl eval run RUN`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer's own
        """Put the default command before arguments that name none."""
        if not args or args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["run", *args]
        return super().parse_args(ctx, args)
