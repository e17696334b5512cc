"""Command groups of `vl`; here, and only here, errors become one line and an exit code."""

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
"""Advice by the operating system's words for a disk problem. A database repeats these words in its
own errors."""
_MEMORY_PROBLEMS = ("out of memory", "can't allocate memory", "Cannot allocate memory")
"""Words for a lack of memory: torch's for a GPU, torch's for main memory, the operating system's.
A `MemoryError` is recognised by its type instead."""


def resource_problem(error: OSError | RuntimeError | MemoryError) -> ResourceError | None:
    """Return the one-line error for a lack of disk or memory; None for any other error."""
    for words, advice in _DISK_PROBLEMS.items():
        if words in str(error):
            where = getattr(error, "filename", None) or "disk"
            return ResourceError(f"{where}: {advice}")
    if isinstance(error, MemoryError) or any(words in str(error) for words in _MEMORY_PROBLEMS):
        reason = str(error).partition("\n")[0].rstrip(".") or "there is not enough"
        return ResourceError(
            f"memory: {reason}; use fewer frames or pixels (video.max_frames, video.max_pixels), "
            "or stop other programs that use memory"
        )
    return None


class ErrorGroup(TyperGroup):
    """Command group that prints a VideoLatentError as text; a bug keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer's own types
        """Run a command.

        Raises:
            typer.Exit: If the command failed; with the exit code of its error.
        """
        try:
            return super().invoke(ctx)
        except VideoLatentError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(error.exit_code) from None
        except BrokenPipeError:
            # The reader of stdout has closed the pipe. With stdout redirected to nowhere, Python
            # does not raise again when it flushes stdout at exit. 141 is 128 + SIGPIPE.
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
    """Command group with the default command `run`: `vl eval RUN` is `vl eval run RUN`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer's own
        """Insert the default command if the first argument names no command."""
        if not args or args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["run", *args]
        return super().parse_args(ctx, args)
