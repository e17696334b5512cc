"""`vl export`: a run as a Hugging Face folder."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file

from videolatent_cli.errors import RecipeError
from videolatent_cli.model.backbone import TINY, TINY_FOLDER
from videolatent_cli.model.load import restore_model
from videolatent_cli.pipeline.models import find_model

if TYPE_CHECKING:
    from pathlib import Path


def export_run(run: Path, output: Path, *, half: bool = False) -> list[Path]:
    """Write the backbone of a run, LoRA merged, with tokenizer; latents in a file of their own.

    Args:
        run: Run folder.
        output: A folder that does not exist yet.
        half: Write float16.

    Raises:
        RecipeError: Where the output exists.
    """
    if output.exists():
        raise RecipeError(f"{output} exists; choose another folder")
    checkpoint, _ = find_model(run)
    model = restore_model(checkpoint)
    backbone: Any = model.backbone.model
    if hasattr(backbone, "merge_and_unload"):
        backbone = backbone.merge_and_unload()
    backbone.config.dtype = torch.float16 if half else backbone.dtype
    part = output.with_name(output.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    (backbone.half() if half else backbone).save_pretrained(part)
    model.backbone.tokenizer.save_pretrained(part)
    if checkpoint.recipe.backbone.model == TINY:
        shutil.copy(TINY_FOLDER / "preprocessor_config.json", part)
    if model.injection is not None:
        tensors = {n: t.detach().contiguous() for n, t in model.injection.state_dict().items()}
        save_file(tensors, part / "latent.safetensors")
    part.rename(output)
    return sorted(output.iterdir())
