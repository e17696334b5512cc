"""The command `vl export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to create; must not exist.")
    ],
    form: Annotated[
        Literal["hf", "checkpoint"],
        typer.Option("--as", help="hf: Hugging Face folder. checkpoint: trained weights only."),
    ] = "hf",
    half: Annotated[
        bool, typer.Option("--half", help="Write float16 weights instead of the run's own type.")
    ] = False,
) -> None:
    """Export a run as a Hugging Face folder or as a small checkpoint.

    --as hf writes the backbone with LoRA merged, plus the latent weights.
    --as checkpoint writes the trained weights without the training state.
    Both can be used with 'vl ask --run'.

    Example: vl export runs/mine -o my-model
    """
    from videolatent_cli.pipeline.export import ExportRequest, export_run

    files = export_run(ExportRequest(run, output, form, half))
    typer.echo(f"{output}: {', '.join(path.name for path in files)}")
