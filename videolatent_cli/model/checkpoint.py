"""Checkpoints of trained parameters.

A checkpoint holds the latent injection module and the parameters of the backbone that were
trained, with the recipe and the sampling that belong to them. It is written under a temporary name,
verified, and then renamed.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from videolatent_cli.errors import IncompatibleError
from videolatent_cli.recipe import stored_recipe, write_json
from videolatent_cli.video.sampling import SamplingSpec

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from videolatent_cli.model.videolatent import VideoLatent
    from videolatent_cli.recipe import Recipe

SCHEMA = "vl.checkpoint/1"
MODEL_FILE, ABOUT_FILE = "model.safetensors", "checkpoint.json"
LATENT_FILE = "latent.safetensors"
"""File of the trained parameters in a folder that is a complete model, as `vl export` writes it."""
HERE = "."
"""Value of `backbone.model` if the checkpoint's own folder contains the backbone."""
_TRAINING = "training.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """Description of a checkpoint on disk; its tensors are read on request."""

    folder: Path
    step: int
    """Number of completed optimizer steps."""
    total_steps: int
    """Number of optimizer steps of the whole training."""
    recipe: Recipe
    sampling: SamplingSpec
    backbone_hash: str
    """Hash of the backbone parameters that were not trained and are not in the checkpoint."""
    weights_file: str = MODEL_FILE
    """Name of the file with the trained parameters."""

    @property
    def finished(self) -> bool:
        """Whether training ran to its last step."""
        return self.step >= self.total_steps

    def model_tensors(self) -> dict[str, Tensor]:
        """Return the trained parameters by name."""
        return _read(self.folder / self.weights_file)

    def training_tensors(self) -> dict[str, Tensor]:
        """Return the state of the optimizer and the objectives by name."""
        return _read(self.folder / _TRAINING)


def trained_tensors(model: VideoLatent) -> dict[str, Tensor]:
    """Return the trainable parameters of a model by name, with the scale of its latents.

    The scale is not trained any more, but in a run of an earlier version it may have any value.
    """
    trained = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    fixed = {name: b for name, b in model.named_buffers() if name.startswith("injection.")}
    return trained | fixed


def untrained_names(module: nn.Module) -> set[str]:
    """Return the names of the parameters that are not trained, so not in a checkpoint."""
    return {name for name, p in module.named_parameters() if not p.requires_grad}


def checkpoint_name(step: int) -> str:
    """Return the folder name of the checkpoint after a step."""
    return f"step-{step:07d}"


def save_checkpoint(
    root: Path,
    checkpoint: dict[str, Any],
    model: dict[str, Tensor],
    training: dict[str, Tensor],
) -> Path:
    """Write `root/step-NNNNNNN`, read it back to verify it, then remove older checkpoints.

    Args:
        root: The run's `checkpoints` folder.
        checkpoint: Values of `checkpoint.json`, `step` among them.
        model: Trained parameters.
        training: State of the optimizer and the objectives.

    Raises:
        IncompatibleError: If a file reads back differently from what was written.
    """
    final = root / checkpoint_name(checkpoint["step"])
    part = root / f"{final.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name, tensors in ((MODEL_FILE, model), (_TRAINING, training)):
        plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        save_file(plain, part / name)
        stored = _read(part / name)
        if any(not torch.equal(stored[key], value) for key, value in plain.items()):
            raise IncompatibleError(f"{part / name}: differs when read back; check the disk")
    write_json(part / ABOUT_FILE, {"schema": SCHEMA, **checkpoint})
    if final.exists():
        shutil.rmtree(final)
    part.rename(final)
    for old in root.glob("step-*"):
        if old != final:
            shutil.rmtree(old)
    return final


def describe_checkpoint(
    step: int, total_steps: int, recipe: Recipe, sampling: SamplingSpec, backbone_hash: str
) -> dict[str, Any]:
    """Return the values of `checkpoint.json`, without its schema."""
    return {
        "step": step,
        "total_steps": total_steps,
        "recipe": recipe.model_dump(mode="json"),
        "sampling": asdict(sampling),
        "backbone_hash": backbone_hash,
    }


def find_checkpoint(run_dir: Path) -> Checkpoint | None:
    """Return the newest complete checkpoint of a run, or None if it has none.

    `run_dir` may also be a folder written by `vl export`, which is a checkpoint itself.

    Raises:
        IncompatibleError: If the checkpoint is damaged or has another schema.
    """
    if (run_dir / ABOUT_FILE).exists():
        return read_checkpoint(run_dir)
    folders = sorted((run_dir / "checkpoints").glob("step-*[0-9]"))
    return read_checkpoint(folders[-1]) if folders else None


def read_checkpoint(folder: Path) -> Checkpoint:
    """Return the checkpoint in a folder.

    Raises:
        IncompatibleError: If it is damaged or has another schema.
    """
    try:
        about = json.loads((folder / ABOUT_FILE).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise IncompatibleError(f"{folder}: not a checkpoint, got {error}") from None
    if about.get("schema") != SCHEMA:
        raise IncompatibleError(
            f"{folder}: checkpoint schema must be {SCHEMA}, got {about.get('schema')}; "
            "train again with this version"
        )
    if about["recipe"]["backbone"]["model"] == HERE:
        about["recipe"]["backbone"]["model"] = str(folder)
    return Checkpoint(
        folder,
        about["step"],
        about["total_steps"],
        stored_recipe(about["recipe"]),
        SamplingSpec.from_json(about["sampling"]),
        about["backbone_hash"],
        about.get("weights_file", MODEL_FILE),
    )


def load_tensors(model: VideoLatent, tensors: dict[str, Tensor], where: Path) -> None:
    """Copy named tensors into a model's parameters and buffers.

    All of `trained_tensors` must be among them, unless `tensors` is empty.

    Args:
        model: Model to change.
        tensors: Values by parameter or buffer name.
        where: Origin of the tensors, for error messages.

    Raises:
        IncompatibleError: If names or shapes differ from those of the model.
    """
    own = dict(model.named_parameters()) | dict(model.named_buffers())
    required = trained_tensors(model).keys() if tensors else set()
    missing = sorted(set(required) - tensors.keys())
    unexpected = sorted(tensors.keys() - own.keys())
    if missing or unexpected:
        raise IncompatibleError(
            f"{where}: does not fit this model: missing {missing[:3]}, unexpected {unexpected[:3]}"
        )
    with torch.no_grad():
        for name, value in tensors.items():
            if own[name].shape != value.shape:
                raise IncompatibleError(
                    f"{where}: {name} must have shape {tuple(own[name].shape)}, "
                    f"got {tuple(value.shape)}"
                )
            own[name].copy_(value)


def _read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file.

    Raises:
        IncompatibleError: If the file is missing or damaged.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise IncompatibleError(f"{path}: cannot be read, got {error}") from None
