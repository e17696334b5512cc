"""`vl export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def export(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A new folder.")],
    form: Annotated[
        Literal["hf", "checkpoint"],
        typer.Option("--as", help="A Hugging Face folder, or a checkpoint to answer with."),
    ] = "hf",
    half: Annotated[bool, typer.Option("--half", help="Write 16-bit weights.")] = False,
) -> None:
    """Write a run's backbone as a Hugging Face folder, LoRA merged; latents beside it.

    With --as checkpoint: what was trained and the recipe, without the state of training.

    Example: vl export runs/mine -o my-model
    """
    from videolatent_cli.pipeline.export import ExportRequest, export_run

    files = export_run(ExportRequest(run, output, form, half))
    typer.echo(f"{output}: {', '.join(path.name for path in files)}")
