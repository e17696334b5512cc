"""`vl export`: export a run as a Hugging Face folder or a checkpoint without training state."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from safetensors.torch import save_file

from videolatent_cli.errors import UsageError
from videolatent_cli.model.backbones.folder import processor_files
from videolatent_cli.model.backbones.load import backbone_folder
from videolatent_cli.model.checkpoint import (
    ABOUT_FILE,
    HERE,
    LATENT_FILE,
    MODEL_FILE,
    SCHEMA,
    describe_checkpoint,
)
from videolatent_cli.model.load import build_model, restore_model, untrained_hash
from videolatent_cli.pipeline.runs.trained_model import find_model
from videolatent_cli.recipe import write_json

if TYPE_CHECKING:
    from pathlib import Path

    from videolatent_cli.model.checkpoint import Checkpoint


@dataclass(frozen=True)
class ExportRequest:
    """Run to export, and the form of the export."""

    run: Path
    """Run folder."""
    output: Path
    """Folder to create; it must not exist."""
    form: Literal["hf", "checkpoint"] = "hf"
    """Form of the export. `hf`: the backbone with LoRA merged, its tokenizer, and the injection
    module's weights in a separate file. `checkpoint`: the trained weights and the recipe."""
    half: bool = False
    """Write float16 weights."""


def export_run(request: ExportRequest) -> list[Path]:
    """Write the newest checkpoint of a run in another form, and return the files.

    Raises:
        UsageError: If the output folder exists.
        SetupError: If the run has no checkpoint.
    """
    output, half = request.output, request.half
    if output.exists():
        raise UsageError(f"{output} exists; choose another folder")
    checkpoint, _ = find_model(request.run)
    # Written under a temporary name and then renamed: a killed export leaves no partial folder.
    part = output.with_name(output.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    if request.form == "hf":
        _write_hugging_face(checkpoint, part, half=half)
    else:
        tensors = checkpoint.model_tensors()
        save_file({n: t.half() if half else t for n, t in tensors.items()}, part / MODEL_FILE)
        shutil.copy(checkpoint.folder / ABOUT_FILE, part)
    part.rename(output)
    return sorted(output.iterdir())


def _write_hugging_face(checkpoint: Checkpoint, folder: Path, *, half: bool) -> None:
    """Write backbone, tokenizer and injection module, and the `checkpoint.json` for `vl ask`."""
    model = restore_model(checkpoint, unpacked=True)
    backbone: Any = model.backbone.model
    if hasattr(backbone, "merge_and_unload"):
        backbone = backbone.merge_and_unload()
    (backbone.half() if half else backbone).save_pretrained(folder)
    model.backbone.tokenizer.save_pretrained(folder)
    for path in processor_files(backbone_folder(checkpoint.recipe.backbone)):
        shutil.copy(path, folder)
    injection = model.injection
    latent = injection.state_dict(prefix="injection.") if injection is not None else {}
    save_file({n: t.detach().contiguous() for n, t in latent.items()}, folder / LATENT_FILE)
    _describe(checkpoint, folder)


def _describe(checkpoint: Checkpoint, folder: Path) -> None:
    """Write the `checkpoint.json` of a folder that contains the whole model."""
    recipe = checkpoint.recipe
    # The backbone of the export is a finished model: nothing is trained, LoRA is merged.
    changes = {"model": str(folder), "weights": "pretrained", "train": "frozen"}
    changes["quantization"] = "none"  # the exported weights are unpacked
    backbone = recipe.backbone.model_copy(update=changes)
    merged = recipe.model_copy(update={"backbone": backbone})
    description = describe_checkpoint(
        checkpoint.step,
        checkpoint.total_steps,
        merged,
        checkpoint.sampling,
        untrained_hash(build_model(merged)),
    )
    # The folder may be moved, so the recipe refers to the model as "here" instead of by its path.
    description["recipe"]["backbone"]["model"] = HERE
    write_json(folder / ABOUT_FILE, {"schema": SCHEMA, **description, "weights_file": LATENT_FILE})
