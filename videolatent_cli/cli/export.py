"""`vl export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A new folder.")],
    half: Annotated[bool, typer.Option("--half", help="Write 16-bit weights.")] = False,
) -> None:
    """Write a run's backbone as a Hugging Face folder, LoRA merged; latents beside it.

    Example: vl export runs/mine -o my-model
    """
    from videolatent_cli.pipeline.export import export_run

    files = export_run(run, output, half=half)
    typer.echo(f"{output}: {', '.join(path.name for path in files)}")
