"""The one place where errors become a line and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from videolatent_cli.errors import VideoLatentError


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
        except KeyboardInterrupt:
            typer.echo("stopped", err=True)
            raise typer.Exit(130) from None
